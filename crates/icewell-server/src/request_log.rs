//! The end of each response: one line in the log, a hit or a touch on the image, the daemon's counters.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderValue, RANGE};
use http::request::Parts;
use http::{Method, Response, StatusCode, Uri};
use http_body::{Frame, SizeHint};
use tracing::info;

use crate::body::{Body, HttpBody};
use crate::cache_status::{self, CACHE_STATUS};
use crate::counters::Decision;
use crate::daemon::Daemon;
use crate::fill::Fill;
use crate::get_image::Answered;
use crate::open_images::OpenImage;

/// What is to be counted when a response has ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether bytes of the image are sent.
    pub(crate) reads: bool,
    /// That it is a hit if this many bytes were sent; or, where nobody knows how many there are, if it came to its end.
    pub(crate) hit: Option<Option<u64>>,
    /// What is read.
    pub(crate) read: Option<Read>,
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
    ending: Ending,
}

/// What is known of a request when its response begins.
#[derive(Debug)]
struct Line {
    started: Instant,
    client: SocketAddr,
    status: StatusCode,
    decision: Decision,
    said: Option<Box<Said>>,
    daemon: Arc<Daemon>,
}

/// What only the log wants to know.
#[derive(Debug)]
struct Said {
    method: Method,
    target: Uri,
    range: Option<HeaderValue>,
    cache: Option<HeaderValue>,
}

/// Notes what is known now of a request and its response; whoever sends the body tells the rest.
pub(crate) fn begin(
    daemon: &Arc<Daemon>,
    client: SocketAddr,
    started: Instant,
    request: &Parts,
    answered: Answered,
) -> (Response<Body>, Ending) {
    let Answered { response, outcome } = answered;
    let said = tracing::enabled!(tracing::Level::INFO).then(|| {
        Box::new(Said {
            method: request.method.clone(),
            target: request.uri.clone(),
            range: request.headers.get(RANGE).cloned(),
            cache: response.headers().get(CACHE_STATUS).cloned(),
        })
    });
    let decision = cache_status::decision(response.headers());
    let line = Line { started, client, status: response.status(), decision, said, daemon: daemon.clone() };
    (response, Ending { sent: 0, first_byte: None, ended: false, outcome, line })
}

/// The same for a response that a library sends.
pub(crate) fn log(
    daemon: &Arc<Daemon>,
    client: SocketAddr,
    started: Instant,
    request: &Parts,
    answered: Answered,
) -> Response<Logged> {
    let (response, ending) = begin(daemon, client, started, request, answered);
    response.map(|body| Logged { body: body.into_http(), ending })
}

impl Ending {
    pub(crate) fn sent(&mut self, bytes: u64) {
        if self.sent == 0 && bytes > 0 {
            self.first_byte = Some(self.line.started.elapsed());
        }
        self.sent += bytes;
    }

    pub(crate) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Line {
    fn write(&self, bytes: u64) {
        let Some(said) = &self.said else { return };
        let text =
            |value: &Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok().map(str::to_owned));
        info!(
            client = %self.client,
            method = said.method.as_str(),
            path = said.target.to_string(),
            range = text(&said.range),
            status = self.status.as_u16(),
            bytes,
            ms = self.started.elapsed().as_millis() as u64,
            cache = text(&said.cache).unwrap_or_default(),
            "request"
        );
    }
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
            Poll::Ready(Some(Ok(frame))) => self.ending.sent(frame.data_ref().map_or(0, |data| data.len() as u64)),
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
        line.write(self.sent);
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
