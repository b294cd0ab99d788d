//! What is known of each setting besides its value: its names, meaning, kind, default, and when a change takes effect.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{Arg, Args, Command};
use icewell::{DEFAULT_MAX_SIZE, DEFAULT_MIN_FREE};
use icewell_server::Config;

use super::Settings;
use crate::args::Global;
use crate::context::SYSTEM_DIR;

/// The setting that is an option of every verb.
pub(crate) const DIR: &str = "dir";

/// What a value is written as in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, as `"127.0.0.1:9292"`.
    Text,
    /// Text with a unit, or a whole number of bytes or seconds.
    Amount,
    /// A whole number.
    Number,
    /// A number, whole or not.
    Fraction,
    /// `true` or `false`.
    Bool,
}

/// When a change of the file takes effect on a running daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// When it is told to reload (SIGHUP).
    Reload,
    /// When it is started again.
    Restart,
}

/// What is done where a setting is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usual {
    /// What could be typed to get the same, at least on a new directory.
    pub(crate) value: Option<String>,
    /// It in words, where the value alone does not tell it.
    pub(crate) words: Option<&'static str>,
}

/// A setting.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// As an option: its name, help, environment and what it takes, without its default.
    arg: Arg,
    pub(crate) kind: Kind,
    pub(crate) usual: Usual,
    pub(crate) effect: Effect,
}

impl About {
    fn new(arg: Arg) -> Self {
        let id = arg.get_id().as_str();
        let (usual, effect) = (usual(id), takes_effect(id));
        let kind = match value_name(&arg) {
            "SIZE" | "TIME" | "SHARE" => Kind::Amount,
            "NUMBER" => Kind::Number,
            "FRACTION" => Kind::Fraction,
            "BOOL" => Kind::Bool,
            _ => Kind::Text,
        };
        About { arg, kind, usual, effect }
    }

    /// The key in the file.
    pub(crate) fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// `--max-size`.
    pub(crate) fn option(&self) -> String {
        format!("--{}", self.arg.get_long().unwrap_or_default())
    }

    /// `ICEWELL_MAX_SIZE`.
    pub(crate) fn variable(&self) -> String {
        self.arg.get_env().map(OsStr::to_string_lossy).unwrap_or_default().into_owned()
    }

    /// `SIZE`.
    pub(crate) fn value_name(&self) -> &str {
        value_name(&self.arg)
    }

    pub(crate) fn group(&self) -> &str {
        self.arg.get_help_heading().unwrap_or_default()
    }

    /// What it means, in paragraphs; the first is a sentence without a full stop.
    pub(crate) fn meaning(&self) -> String {
        let text = self.arg.get_long_help().or(self.arg.get_help());
        text.map(ToString::to_string).unwrap_or_default()
    }

    /// The words that it takes, if it takes no others.
    pub(crate) fn words(&self) -> Vec<String> {
        let possible = if self.kind == Kind::Bool { Vec::new() } else { self.arg.get_possible_values() };
        possible.iter().map(|value| value.get_name().to_owned()).collect()
    }

    /// The default in words, as it ends the help.
    pub(crate) fn usual_in_words(&self) -> Option<String> {
        let Usual { value, words } = &self.usual;
        words.map(str::to_owned).or_else(|| value.clone())
    }

    /// It as an option, with its default in its help, as with clap's own defaults.
    pub(super) fn into_option(self) -> Arg {
        let Some(usual) = self.usual_in_words() else { return self.arg };
        let short = self.arg.get_help().map(|help| format!("{help} [default: {usual}]"));
        let long = self.arg.get_long_help().map(|help| format!("{help}\n\n[default: {usual}]"));
        self.arg.help(Resettable::from(short.map(Into::into))).long_help(Resettable::from(long.map(Into::into)))
    }

    /// Whether this text is a value of it.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        let command = Command::new("icewell").no_binary_name(true).arg(self.alone());
        let typed = command.try_get_matches_from([format!("{}={text}", self.option())]);
        typed.map(drop).map_err(|error| match std::error::Error::source(&error) {
            Some(source) => source.to_string(),
            None if self.words().is_empty() => format!("{text:?} is no {}", self.value_name()),
            None => format!("{text:?} is none of {}", self.words().join(", ")),
        })
    }

    /// The option, deaf to the environment.
    pub(super) fn alone(&self) -> Arg {
        self.arg.clone().env(Resettable::<clap::builder::OsStr>::Reset)
    }
}

fn value_name(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
}

/// Every setting, in the order of the reference.
pub(crate) fn all() -> Vec<About> {
    let global = Global::augment_args(Command::new("icewell"));
    let dir = global.get_arguments().find(|arg| arg.get_id() == DIR).cloned();
    let dir = dir.map(|dir| dir.global(false).help_heading("The cache directory"));
    dir.into_iter().chain(options()).map(About::new).collect()
}

/// Those that are options of `serve` only.
pub(super) fn options() -> Vec<Arg> {
    Settings::augment_args(Command::new("icewell")).get_arguments().cloned().collect()
}

/// The default of a setting.
fn usual(id: &str) -> Usual {
    let usual = Config::new(PathBuf::new(), String::new());
    let value = |value: String| Usual { value: Some(value), words: None };
    let told = |value: String, words| Usual { value: Some(value), words: Some(words) };
    let words = |words| Usual { value: None, words: Some(words) };
    match id {
        DIR => told(SYSTEM_DIR.into(), "/var/cache/icewell for root, else icewell in the user's cache directory"),
        "origin" => told("./images".into(), "the folder ./images, made if missing"),
        "origin_timeout" => value(time(usual.origin_timeout)),
        "origin_min_rate" => value(format!("{}KiB", usual.origin_min_rate >> 10)),
        "origin_ca" => words("the system's certificates"),
        "os_cloud" => words("as OpenStack's clients do"),
        "serve_stale" => value(usual.serve_stale.to_string()),
        "auth_ttl" => value(time(usual.auth_ttl)),
        "max_size" => told(format!("{}GiB", DEFAULT_MAX_SIZE >> 30), "the limit kept on the directory, else 10GiB"),
        "count" => told("size".into(), "as kept on the directory, else size"),
        "min_free" => told(DEFAULT_MIN_FREE.to_string(), "as kept on the directory, else 5%"),
        "stall_time" => value(time(usual.stall_time)),
        "scrub_every" => value(time(usual.scrub_every)),
        "scrub_rate" => value(format!("{}MiB", usual.scrub_rate >> 20)),
        "listen" => value(usual.listen.to_string()),
        "max_connections" => value(usual.max_connections.to_string()),
        "idle_timeout" => value(time(usual.idle_timeout)),
        "send_timeout" => value(time(usual.send_timeout)),
        "drain_timeout" => value(time(usual.drain_timeout)),
        "admin" => value(usual.admin.as_ref().map_or_else(|| "off".into(), SocketAddr::to_string)),
        "log" => value("info".into()),
        "otlp_endpoint" => told("off".into(), "as OTEL_EXPORTER_OTLP_ENDPOINT says, else off"),
        "otlp_sample" => value("1".into()),
        "log_format" => value("text".into()),
        "confine" => value(usual.confine.to_string()),
        _ => Usual::default(),
    }
}

/// When a change of a setting takes effect.
pub(crate) fn takes_effect(id: &str) -> Effect {
    match id {
        "serve_stale" | "auth_ttl" | "max_size" | "count" | "min_free" | "stall_time" | "scrub_every"
        | "scrub_rate" | "max_connections" | "idle_timeout" | "send_timeout" | "drain_timeout" | "log" => {
            Effect::Reload
        }
        _ => Effect::Restart,
    }
}

/// `24h`: days are told in hours, as Glance's documents and ours do.
fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds if time.subsec_nanos() > 0 || seconds == 0 => humantime::format_duration(time).to_string(),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;

    #[test]
    fn help_tells_the_defaults_in_words_that_can_be_typed() {
        let help = |id: &str| {
            let about = all().into_iter().find(|about| about.id() == id).unwrap();
            about.into_option().get_help().unwrap().to_string()
        };
        assert!(help("listen").ends_with(" [default: 127.0.0.1:9292]"));
        assert!(help("stall_time").ends_with(" [default: 24h]"));
        assert!(!help("tls_cert").contains("default"));
        for (seconds, text) in [(0.0, "0s"), (0.5, "500ms"), (90.0, "90s"), (120.0, "2m"), (86400.0, "24h")] {
            let told = Duration::from_secs_f64(seconds);
            assert_eq!(time(told), text);
            assert_eq!(text.parse(), Ok(Span(told)));
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        for about in all() {
            if let Some(value) = &about.usual.value {
                assert_eq!(about.check(value), Ok(()), "{}", about.id());
            }
            assert!(!about.group().is_empty() && !about.meaning().is_empty(), "{}", about.id());
        }
    }

    #[test]
    fn why_a_value_is_none() {
        let why = |id: &str, text: &str| all().iter().find(|about| about.id() == id).unwrap().check(text).unwrap_err();
        assert_eq!(why("max_size", "x"), "\"x\" is not a size, such as 10GiB, 500MB (10⁶ bytes each) or 4096");
        assert_eq!(why("count", "blocks"), "\"blocks\" is none of size, allocated");
        assert!(why("listen", "here").contains("socket address"));
    }
}
