//! A span: something that began, what it was, and how it ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Tracer;
use super::context::{Context, Id};

/// The most that is kept of one thing: what is longer comes from outside, and says no more.
const MAX_TEXT: usize = 1024;
/// The most things that happen in a span, and are joined by it.
const MAX_EVENTS: usize = 64;

/// Whose side of what a span is; the numbers are OTLP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// What an attribute says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// Something that is going on. All clones are the same; the last that is dropped hands it on.
#[derive(Clone, Debug)]
pub(crate) struct Span(Arc<Running>);

#[derive(Debug)]
struct Running {
    tracer: Arc<Tracer>,
    context: Context,
    /// From which span it follows, and whether that is in another program.
    parent: Option<(Id<8>, bool)>,
    kind: Kind,
    name: String,
    began: (SystemTime, Instant),
    told: Mutex<Told>,
}

/// What has become known of a span.
#[derive(Debug, Default)]
struct Told {
    attributes: Vec<(&'static str, Value)>,
    events: Vec<Event>,
    links: Vec<Context>,
    /// Why it failed, if it did.
    failed: Option<String>,
    ended: Option<Duration>,
    /// That it is not worth telling.
    forgotten: bool,
}

/// Something that happened in a span.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: SystemTime,
    pub(super) name: &'static str,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// A span that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) context: Context,
    pub(super) parent: Option<(Id<8>, bool)>,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<Context>,
    pub(super) failed: Option<String>,
}

impl Span {
    pub(super) fn begin(
        tracer: Arc<Tracer>,
        context: Context,
        parent: Option<(Id<8>, bool)>,
        kind: Kind,
        name: String,
    ) -> Self {
        let began = (SystemTime::now(), Instant::now());
        Span(Arc::new(Running { tracer, context, parent, kind, name, began, told: Mutex::default() }))
    }

    /// A span that follows from this one.
    pub(super) fn child(&self, kind: Kind, name: impl Into<String>) -> Self {
        let Running { tracer, context, .. } = &*self.0;
        Span::begin(tracer.clone(), context.child(), Some((context.span, false)), kind, name.into())
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    #[cfg(test)]
    pub(super) fn parent(&self) -> Option<Id<8>> {
        self.0.parent.map(|(parent, _)| parent)
    }

    /// Says something of it; what was said before by this name holds no longer.
    pub(crate) fn set(&self, name: &'static str, value: impl Into<Value>) {
        if let Some(mut told) = self.telling() {
            told.attributes.retain(|(known, _)| *known != name);
            told.attributes.push((name, value.into()));
        }
    }

    /// Something happens, now.
    pub(crate) fn event(&self, name: &'static str, attributes: Vec<(&'static str, Value)>) {
        if let Some(mut told) = self.telling().filter(|told| told.events.len() < MAX_EVENTS) {
            let at = self.0.began.0 + self.0.began.1.elapsed();
            told.events.push(Event { at, name, attributes });
        }
    }

    /// Something of another trace that it has to do with.
    pub(crate) fn link(&self, to: &Context) {
        if let Some(mut told) = self.telling().filter(|told| told.links.len() < MAX_EVENTS) {
            told.links.push(to.clone());
        }
    }

    /// It fails, with one of few words for it, and why.
    pub(crate) fn fail(&self, kind: impl Into<Value>, why: &str) {
        self.set("error.type", kind);
        if let Some(mut told) = self.telling() {
            told.failed = Some(cut(why));
        }
    }

    /// It ends, although somebody may still hold it. Who is dropped without was given up in the middle.
    pub(crate) fn end(&self) {
        let after = self.0.began.1.elapsed();
        if let Some(mut told) = self.telling() {
            told.ended.get_or_insert(after);
        }
    }

    /// It is not worth telling.
    pub(crate) fn forget(&self) {
        if let Some(mut told) = self.telling() {
            told.forgotten = true;
        }
    }

    fn telling(&self) -> Option<MutexGuard<'_, Told>> {
        let lock = || self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.context.is_sampled().then(lock)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.context.is_sampled() {
            return;
        }
        let mut told = std::mem::take(self.told.get_mut().unwrap_or_else(PoisonError::into_inner));
        if told.forgotten {
            return;
        }
        let failed = told.attributes.iter().any(|(name, _)| *name == "error.type");
        if told.ended.is_none() && !failed {
            told.attributes.push(("error.type", Value::from("canceled")));
        }
        self.tracer.queue.give(Finished {
            context: self.context.clone(),
            parent: self.parent,
            kind: self.kind,
            name: std::mem::take(&mut self.name),
            began: self.began.0,
            ended: self.began.0 + told.ended.unwrap_or_else(|| self.began.1.elapsed()),
            attributes: told.attributes,
            events: told.events,
            links: told.links,
            failed: told.failed,
        });
    }
}

/// Text of a length that is worth keeping.
fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(cut(text))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Truth(truth)
    }
}
