#![no_main]
#![allow(dead_code, reason = "the command uses more of this module")]

#[path = "../../crates/icewell-cli/src/units.rs"]
mod units;

libfuzzer_sys::fuzz_target!(|text: &str| {
    drop(text.parse::<units::Size>());
    drop(text.parse::<units::Span>());
});
