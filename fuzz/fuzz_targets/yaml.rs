#![no_main]
#![allow(dead_code, reason = "the command uses more of this module")]

#[path = "../../crates/icewell-cli/src/clouds/yaml.rs"]
mod yaml;

libfuzzer_sys::fuzz_target!(|text: &str| drop(yaml::parse(text).ok()));
