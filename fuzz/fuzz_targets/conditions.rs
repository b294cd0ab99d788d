#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| icewell_server::fuzzing::conditions(data));
