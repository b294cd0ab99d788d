//! What the library and the daemon log, to standard error.

use std::fmt::{self, Debug};
use std::fs::File;

use serde::Deserialize;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::output::escape;
use crate::progress::Progress;

/// How the daemon's log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// Logs warnings as diagnostics of the command.
pub(crate) fn init_command(global: &Global, progress: &Progress) -> Result<()> {
    let filter = filter(global, Level::WARN)?;
    let progress = progress.clone();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || progress.stderr());
    subscriber.fmt_fields(debug_fn(write_field).delimited(" ")).event_format(Diagnostic("icewell")).init();
    Ok(())
}

/// Logs warnings of one of Glance's tools as its diagnostics, and what it does, with the time, into `file`.
pub(crate) fn init_tool(program: &'static str, debug: bool, file: Option<File>) {
    let level = |usual| LevelFilter::from_level(if debug { Level::DEBUG } else { usual });
    let diagnostics = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let diagnostics = diagnostics.fmt_fields(debug_fn(write_field).delimited(" ")).event_format(Diagnostic(program));
    let file = file.map(|file| {
        let lines = tracing_subscriber::fmt::layer().with_writer(file).with_ansi(false);
        lines.fmt_fields(debug_fn(write_field).delimited(" ")).with_filter(level(Level::INFO))
    });
    tracing_subscriber::registry().with(diagnostics.with_filter(level(Level::WARN))).with(file).init();
}

/// Logs what a daemon does, with the time.
pub(crate) fn init_daemon(global: &Global, format: LogFormat) -> Result<()> {
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter(global, Level::INFO)?);
    let subscriber = subscriber.with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(false).fmt_fields(debug_fn(write_field).delimited(" ")).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}

/// What is logged: by the options, else by `ICEWELL_LOG` or `RUST_LOG`, else from `usual` on.
fn filter(global: &Global, usual: Level) -> Result<EnvFilter> {
    let more = |level| if level == Level::WARN { Level::INFO } else { Level::DEBUG };
    let level = match (global.quiet, global.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => {
            let named = ["ICEWELL_LOG", "RUST_LOG"].map(|name| (name, std::env::var(name).unwrap_or_default()));
            let Some((name, text)) = named.into_iter().find(|(_, text)| !text.is_empty()) else {
                return Ok(EnvFilter::default().add_directive(usual.into()));
            };
            return EnvFilter::try_new(&text).map_err(|error| Failure::usage(format!("{name}: {text:?}: {error}")));
        }
        (false, 1) => more(usual),
        (false, 2) => more(more(usual)),
        (false, _) => Level::TRACE,
    };
    Ok(EnvFilter::default().add_directive(level.into()))
}

/// `name=value`, the message without its name, nothing raw that could steer a terminal or fake a line.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let value = escape(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        name => write!(writer, "{name}={value}"),
    }
}

/// `icewell: warning: …`, as the command's own diagnostics look, after the name of the program.
struct Diagnostic(&'static str);

impl<S, N> FormatEvent<S, N> for Diagnostic
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        writeln!(writer, "{}: {level}: {fields}", self.0)
    }
}
