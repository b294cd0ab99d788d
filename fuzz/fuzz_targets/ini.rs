#![no_main]
#![allow(dead_code, reason = "the command uses more of this module")]

#[path = "../../crates/icewell-cli/src/glance_conf/ini.rs"]
mod ini;

libfuzzer_sys::fuzz_target!(|text: &str| drop(ini::parse(text)));
