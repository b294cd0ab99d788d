//! Traces by OTLP, where that is configured: what a request about an image waited for, here and at the origin.
//!
//! | span | is | ends |
//! |---|---|---|
//! | `GET …`, of a server | a request about an image | with its answer's last byte |
//! | `fill` | an image on its way into the cache; a child of the request that began it | with the commit |
//! | `authorize` | the question whether a caller may have a Glance's image | with the answer |
//! | `GET`, of a client | a request of ours to the origin, or to Keystone | with its body's last byte |
//!
//! Requests that joined a fill are linked to it. What is none of an image's passes through untouched, `traceparent` too.
//!
//! The span that a task works for is the task's own: [`current`]. Without a tracer no task has one, and nothing here costs
//! more than finding that out. Spans that have ended go to [`export`] by a queue that nobody waits for.

mod context;
mod export;
mod of_http;
mod otlp;
mod span;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::runtime::Handle;

pub(crate) use self::context::Context;
use self::context::Sampler;
pub use self::export::Otlp;
use self::export::Queue;
pub(crate) use self::export::{Exporter, SpanEnd};
use self::of_http::set_image;
pub(crate) use self::of_http::{Answering, asked, of_request};
use self::span::Kind;
pub(crate) use self::span::Span;
use crate::counters::Check;
use crate::key::Key;

tokio::task_local! {
    /// What the task works for: the innermost span.
    static CURRENT: RefCell<Span>;
}

/// Who makes spans and hands them on.
#[derive(Debug)]
pub(crate) struct Tracer {
    sampler: Sampler,
    queue: Queue,
}

impl Tracer {
    /// Begins to export, on this runtime. `counts` are told what becomes of spans, in the order of [`SpanEnd::ALL`].
    pub(crate) fn start(exporter: Exporter, sample: f64, counts: Vec<IntCounter>, runtime: &Handle) -> Arc<Self> {
        Arc::new(Tracer { sampler: Sampler::new(sample), queue: exporter.start(counts, runtime) })
    }

    /// Waits until all that has ended is exported, but no longer than this.
    pub(crate) async fn flush(&self, patience: Duration) {
        self.queue.flush(patience).await;
    }

    /// A span that follows from what somebody else tells, or begins a trace.
    fn span(self: &Arc<Self>, parent: Option<Context>, kind: Kind, name: impl Into<String>) -> Span {
        let context = match &parent {
            Some(parent) => parent.child(),
            None => Context::root(self.sampler),
        };
        Span::begin(self.clone(), context, parent.map(|parent| (parent.span, true)), kind, name.into())
    }
}

/// The span that this task works for.
pub(crate) fn current() -> Option<Span> {
    CURRENT.try_with(|current| current.borrow().clone()).ok()
}

/// Does something for a span, if there is one.
pub(crate) async fn within<T>(span: Option<Span>, work: impl Future<Output = T>) -> T {
    match span {
        // Boxed, so that who has no span has no room for two of them.
        Some(span) => Box::pin(CURRENT.scope(RefCell::new(span), work)).await,
        None => work.await,
    }
}

/// The span of a fill: a child of the request that begins it, if one does.
pub(crate) fn of_fill(tracer: Option<&Arc<Tracer>>, key: &Key) -> Option<Span> {
    let span = match current() {
        Some(request) => request.child(Kind::Internal, "fill"),
        None => tracer?.span(None, Kind::Internal, "fill"),
    };
    set_image(&span, key);
    Some(span)
}

/// A part of what the task works for, until it is dropped.
pub(crate) struct Step {
    span: Span,
    outer: Span,
}

/// Begins a part of what this task works for, if that has a span.
pub(crate) fn step(name: &'static str) -> Option<Step> {
    let outer = current()?;
    let span = outer.child(Kind::Internal, name);
    make_current(&span);
    Some(Step { span, outer })
}

impl Step {
    /// It was the question whether a caller may have an image. One that need not be asked again took no time.
    pub(crate) fn authorized(self, outcome: Check) {
        self.outer.set("icewell.authorization", outcome.name());
        match outcome {
            Check::Remembered => self.span.forget(),
            Check::Failed => self.span.fail("no_answer", "Glance did not answer"),
            Check::Allowed | Check::Refused | Check::Changed => {}
        }
        self.span.set("icewell.authorization", outcome.name());
        self.span.end();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        make_current(&self.outer);
    }
}

fn make_current(span: &Span) {
    CURRENT.try_with(|current| drop(current.replace(span.clone()))).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_has_its_own_span_and_steps_in_it() {
        assert!(
            current().is_none()
                && step("a").is_none()
                && of_fill(None, &Key::from_target("/a", None).unwrap()).is_none()
        );
        let tracer = Arc::new(Tracer { sampler: Sampler::new(1.0), queue: Queue::nowhere() });
        let outer = tracer.span(None, Kind::Server, "outer");
        within(Some(outer.clone()), async {
            assert_eq!(current().unwrap().context(), outer.context());
            let inner = step("inner").unwrap();
            assert_eq!(current().unwrap().context(), inner.span.context());
            tokio::task::yield_now().await;
            assert!(tokio::spawn(async { current().is_none() }).await.unwrap(), "another task");
            let innermost = step("innermost").unwrap();
            assert_eq!(innermost.span.parent(), Some(inner.span.context().span));
            drop(innermost);
            drop(inner);
            assert_eq!(current().unwrap().context(), outer.context());
        })
        .await;
        assert!(current().is_none());
    }
}
