//! The end of each response: one line in the log, a hit or a touch on the image, the daemon's counters.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, RANGE, USER_AGENT};
use http::request::Parts;
use http::{Method, Response, StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use tracing::info;

use crate::body::{Body, HttpBody};
use crate::cache_status::{self, CACHE_STATUS};
use crate::counters::Decision;
use crate::daemon::Daemon;
use crate::fill::Fill;
use crate::get_image::Answered;
use crate::open_images::OpenImage;
use crate::redact;
use crate::traces::{Answering, Span};

/// By what name a request is asked for in somebody's log: OpenStack's name for it, and that of others.
const REQUEST_IDS: [HeaderName; 2] =
    [HeaderName::from_static("x-openstack-request-id"), HeaderName::from_static("x-request-id")];
/// What is told as the status of a request whose client did not wait for an answer: nginx's number for it, which no answer
/// ever has.
const CLIENT_IS_GONE: u16 = 499;

/// What is to be counted when a response has ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether bytes of the image are sent.
    pub(crate) reads: bool,
    /// That it is a hit if this many bytes were sent; or, where nobody knows how many there are, if it came to its end.
    pub(crate) hit: Option<Option<u64>>,
    /// What is read.
    pub(crate) read: Option<Read>,
    /// What it is traced by.
    pub(crate) span: Option<Span>,
}

/// What a response reads.
#[derive(Debug)]
pub(crate) enum Read {
    Cached(Arc<OpenImage>),
    Fill(Arc<Fill>),
}

/// A response under way: dropped, it tells how it ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Bytes of the body that were sent.
    sent: u64,
    /// How long after its request the first byte went out.
    first_byte: Option<Duration>,
    /// Whether the body came to its end.
    ended: bool,
    outcome: Outcome,
    line: Line,
}

/// A body for the library that sends it, and what is told at its end.
pub(crate) struct Logged {
    body: HttpBody,
    /// How many bytes it has, where that is known: a library that has them all need not ask for more.
    length: Option<u64>,
    ending: Ending,
}

/// What is known of a request when its response begins.
#[derive(Debug)]
struct Line {
    started: Instant,
    client: SocketAddr,
    status: u16,
    decision: Decision,
    said: Option<Box<Said>>,
    daemon: Arc<Daemon>,
}

/// What only the log wants to know.
#[derive(Debug)]
struct Said {
    method: Method,
    target: Uri,
    version: Version,
    range: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    cache: Option<HeaderValue>,
}

/// A request that waits for its answer. Dropped, it tells that its client did not.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    daemon: &'a Arc<Daemon>,
    client: SocketAddr,
    started: Instant,
    said: Option<Box<Said>>,
    is_answered: bool,
}

/// Notes what is known of a request before it is answered.
pub(crate) fn asked<'a>(daemon: &'a Arc<Daemon>, client: SocketAddr, started: Instant, request: &Parts) -> Waiting<'a> {
    let headers = &request.headers;
    let said = tracing::enabled!(tracing::Level::INFO).then(|| {
        Box::new(Said {
            method: request.method.clone(),
            target: request.uri.clone(),
            version: request.version,
            range: headers.get(RANGE).cloned(),
            agent: headers.get(USER_AGENT).cloned(),
            request_id: REQUEST_IDS.iter().find_map(|name| headers.get(name)).cloned(),
            cache: None,
        })
    });
    Waiting { daemon, client, started, said, is_answered: false }
}

impl Waiting<'_> {
    /// Notes what is known now of the response; whoever sends the body tells the rest.
    pub(crate) fn answered(mut self, answered: Answered) -> (Response<Body>, Ending) {
        let Answered { response, outcome } = answered;
        let headers = response.headers();
        self.is_answered = true;
        let mut said = self.said.take();
        if let Some(said) = &mut said {
            said.cache = headers.get(CACHE_STATUS).cloned();
            // Who answers knows best by what name to ask for it in its own log.
            let theirs = REQUEST_IDS.iter().find_map(|name| headers.get(name)).cloned();
            said.request_id = theirs.or_else(|| said.request_id.take());
        }
        let decision = cache_status::decision(headers);
        let status = response.status().as_u16();
        let (started, client, daemon) = (self.started, self.client, self.daemon.clone());
        let line = Line { started, client, status, decision, said, daemon };
        (response, Ending { sent: 0, first_byte: None, ended: false, outcome, line })
    }

    /// The same for a response that a library sends, to a request by this method.
    pub(crate) fn answered_by_library(self, answered: Answered, method: &Method) -> Response<Logged> {
        let (response, mut ending) = self.answered(answered);
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = announced.or_else(|| response.body().len());
        let without = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if without || method == Method::HEAD || length == Some(0) {
            // It is not asked for at all.
            ending.ended();
        }
        response.map(|body| Logged { body: body.into_http(), length, ending })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let (started, client, daemon, said) = (self.started, self.client, self.daemon.clone(), self.said.take());
        let (status, decision) = (CLIENT_IS_GONE, Decision::None);
        daemon.counters.answered(decision, status, 0, false, None);
        let line = Line { started, client, status, decision, said, daemon };
        line.write(&Sent { bytes: 0, first_byte: None, whole: false, trace: None });
    }
}

impl Ending {
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent_at(bytes, None);
    }

    /// As many bytes were sent, the first of them then, or just now.
    pub(crate) fn sent_at(&mut self, bytes: u64, first: Option<Instant>) {
        if self.sent == 0 && bytes > 0 {
            let first = first.unwrap_or_else(Instant::now);
            self.first_byte = Some(first.saturating_duration_since(self.line.started));
            if let Some(span) = &self.outcome.span {
                span.event("first byte", Vec::new());
            }
        }
        self.sent += bytes;
    }

    pub(crate) fn ended(&mut self) {
        self.ended = true;
    }
}

/// What became of a response.
struct Sent<'a> {
    bytes: u64,
    first_byte: Option<Duration>,
    whole: bool,
    trace: Option<&'a Span>,
}

impl Line {
    fn write(&self, sent: &Sent<'_>) {
        let Some(said) = &self.said else { return };
        // Whatever it is: what could steer a terminal is escaped where it is written.
        let lossy = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let text = |value: &Option<HeaderValue>| value.as_ref().map(lossy);
        // Names are in docs/http-api.md.
        info!(
            client = %self.client,
            method = said.method.as_str(),
            path = redact::url(&said.target),
            range = text(&said.range),
            status = self.status,
            bytes = sent.bytes,
            whole = sent.whole,
            ms = millis(self.started.elapsed()),
            first_byte_ms = sent.first_byte.map(millis),
            decision = self.decision.name(),
            cache = text(&said.cache).unwrap_or_default(),
            protocol = ?said.version,
            user_agent = text(&said.agent),
            request_id = text(&said.request_id),
            trace_id = sent.trace.map(|span| span.context().trace.to_string()),
            "request"
        );
    }
}

/// In milliseconds, down to the microsecond: a hit takes less than one.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.ending.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                if self.length == Some(self.ending.sent) {
                    self.ending.ended();
                }
            }
            Poll::Ready(None) => self.ending.ended(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    /// Dropped when the body has been written out, or when the client has gone.
    fn drop(&mut self) {
        let line = &self.line;
        let hit = match self.outcome.hit {
            Some(Some(size)) => self.sent == size,
            Some(None) => self.ended,
            None => false,
        };
        line.daemon.counters.answered(line.decision, line.status, self.sent, hit, self.first_byte);
        let trace = self.outcome.span.as_ref();
        line.write(&Sent { bytes: self.sent, first_byte: self.first_byte, whole: self.ended, trace });
        if let Some(span) = trace {
            let (decision, from) = (line.decision.name(), line.decision.source().name());
            Answering { status: line.status, sent: self.sent, whole: self.ended, decision, from }.told_to(span);
        }
        match self.outcome.read.take().filter(|_| hit || self.sent > 0) {
            Some(Read::Cached(image)) => line.daemon.open_images.count(&image, hit),
            Some(Read::Fill(fill)) if hit => {
                let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
                let daemon = line.daemon.clone();
                daemon.counters.uncounted.fetch_add(1, Ordering::AcqRel);
                runtime.spawn(async move {
                    fill.count_hit().await;
                    daemon.counters.uncounted.fetch_sub(1, Ordering::AcqRel);
                });
            }
            // The commit, or a hit after it, sets the access time.
            Some(Read::Fill(_)) | None => {}
        }
    }
}
