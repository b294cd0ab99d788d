//! What the library and the daemon log, to standard error.

use std::fmt::{self, Debug};
use std::fs::File;
use std::sync::Arc;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
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

/// Changes what a daemon logs while it runs.
#[derive(Clone)]
pub(crate) struct Relog(Arc<dyn Fn(EnvFilter) + Send + Sync>);

impl Relog {
    /// What is logged from now on, where the options do not say it.
    ///
    /// # Errors
    ///
    /// The setting makes no sense.
    pub(crate) fn set(&self, global: &Global, setting: Option<&str>) -> Result<()> {
        (self.0)(daemons_filter(global, setting)?);
        Ok(())
    }
}

/// Logs what a daemon does, with the time; `setting` says what, where the options do not.
pub(crate) fn init_daemon(global: &Global, format: LogFormat, setting: Option<&str>) -> Result<Relog> {
    let subscriber = tracing_subscriber::fmt().with_env_filter(daemons_filter(global, setting)?);
    let subscriber = subscriber.with_writer(std::io::stderr);
    // Without a subscriber there is nobody left to tell that it cannot be changed.
    Ok(match format {
        LogFormat::Text => {
            let subscriber = subscriber.with_ansi(false).fmt_fields(debug_fn(write_field).delimited(" "));
            let subscriber = subscriber.with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Relog(Arc::new(move |filter| drop(handle.reload(filter))))
        }
        LogFormat::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_filter_reloading();
            let handle = subscriber.reload_handle();
            subscriber.init();
            Relog(Arc::new(move |filter| drop(handle.reload(filter))))
        }
    })
}

fn daemons_filter(global: &Global, setting: Option<&str>) -> Result<EnvFilter> {
    match setting {
        Some(text) if !global.quiet && global.verbose == 0 => parsed("log", text),
        _ => filter(global, Level::INFO),
    }
}

/// The setting `log`, if it makes sense.
pub(crate) fn directives(text: &str) -> std::result::Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("{text:?}: {error}"))
}

fn parsed(name: &str, text: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(text).map_err(|error| Failure::usage(format!("{name}: {text:?}: {error}")))
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
            return parsed(name, &text);
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
