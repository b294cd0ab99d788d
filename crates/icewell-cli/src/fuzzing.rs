//! The short run of fuzzing over what people write: sizes and times, the settings file, oslo.config's files, `clouds.yaml`.
//! Any text may be refused; none may panic, and what is taken means what it says. `fuzz/README.md` tells of the long run.

#[path = "../../../fuzz/short.rs"]
mod short;

use crate::clouds::yaml;
use crate::glance_conf::ini;
use crate::settings;
use crate::units::{Size, Span};

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

#[test]
fn sizes_and_times() {
    short::run("units", 20_000, |data| {
        let text = text(data);
        if let Ok(Size(bytes)) = text.parse() {
            assert_eq!(bytes.to_string().parse(), Ok(Size(bytes)), "plain bytes are themselves");
            assert!(text.starts_with(|first: char| first.is_ascii_digit()), "{text:?} is a size");
        }
        if let Ok(Span(time)) = text.parse() {
            assert!(text.trim_start().starts_with(|first: char| first.is_ascii_digit()), "{text:?} is a time");
            assert_eq!(time.as_secs().to_string().parse::<Span>().map(|span| span.0.as_secs()), Ok(time.as_secs()));
        }
    });
}

#[test]
fn settings_files() {
    short::run("settings", 5_000, |data| drop(settings::parse(&text(data))));
}

#[test]
fn oslo_files() {
    short::run("ini", 20_000, |data| {
        let text = text(data);
        match ini::parse(&text) {
            Ok(found) => {
                let lines = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').count();
                assert!(found.iter().all(|one| (1..=lines).contains(&one.line) && !one.key.is_empty()), "{found:?}");
            }
            Err(told) => assert!(told.starts_with("line "), "{told}"),
        }
    });
}

#[test]
fn clouds_files() {
    short::run("yaml", 5_000, |data| {
        yaml::parse(&text(data)).ok();
    });
}
