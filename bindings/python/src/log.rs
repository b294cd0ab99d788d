//! What the library has to tell goes to Python's `logging`, under the name "icewell".

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Level, Metadata, Subscriber};

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Makes Python's `logging` the place where the library's events go. Later calls do nothing.
pub(crate) fn install() {
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        // It fails only where something else in this shared object is set already: then that gets the events.
        set_global_default(ToLogging).ok();
    }
}

/// Hands events on, and knows no spans: the library has none.
struct ToLogging;

impl Subscriber for ToLogging {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    /// Details stay inside: to ask Python about each would cost more than most of what they tell of.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            _ => 20,
        };
        // An interpreter that is ending takes no messages, and a broken handler must not break the cache.
        Python::try_attach(|py| {
            let logger = py.import("logging")?.call_method1("getLogger", ("icewell",))?;
            logger.call_method1("log", (level, "%s", line.text()))?;
            PyResult::Ok(())
        })
        .and_then(Result::ok);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as text: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn text(&self) -> String {
        format!("{}{}", self.message, self.fields)
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        }
        .ok();
    }
}
