#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| icewell::fuzzing::image_id(data));
