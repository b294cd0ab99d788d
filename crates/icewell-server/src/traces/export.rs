//! Spans on their way out: gathered, posted, tried again for a while, and dropped where that does not help.
//!
//! Nobody waits for any of it. Up to [`WAITING`] spans wait to be posted; what comes while there are so many is dropped
//! and counted.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{StatusCode, Uri};
use prometheus::IntCounter;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::otlp;
use super::span::Finished;
use crate::error::Error;
use crate::origin::{Answer, Client, Reach};
use crate::retry_after::retry_after;

/// How many spans wait to be posted at most: at some hundred bytes each, a megabyte or two.
const WAITING: usize = 2048;
/// How many spans are posted together at most, and how long the first of them waits for others.
const TOGETHER: usize = 512;
const GATHERED_FOR: Duration = Duration::from_secs(1);
/// How long the receiver may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often spans are posted before they are dropped; the pause before each time is twice as long as the one before.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest that a receiver may ask to be left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 10;

/// Where traces go, and how many of them.
#[derive(Clone)]
pub struct Otlp {
    /// The URL of the receiver, for traces: `http(s)://HOST:4318/v1/traces`.
    pub endpoint: String,
    /// Fields of each request to it. They may be secrets.
    pub headers: Vec<(String, String)>,
    /// What this daemon is called in traces.
    pub service_name: String,
    /// What else is told of it.
    pub attributes: Vec<(String, String)>,
    /// The share of traces that begin here that are kept: from 0 to 1. Of others' the client says whether they are kept.
    pub sample: f64,
    /// A file of certificates (PEM) to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// Without the values of its fields.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let mut told = f.debug_struct("Otlp");
        told.field("endpoint", &self.endpoint).field("headers", &headers).field("service_name", &self.service_name);
        told.field("attributes", &self.attributes).field("sample", &self.sample).field("ca", &self.ca).finish()
    }
}

/// What becomes of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanEnd {
    Exported,
    /// Too many waited.
    Dropped,
    /// The receiver did not take them.
    Refused,
    /// It did not answer, or could not take them for a while.
    Failed,
}

impl SpanEnd {
    pub(crate) const ALL: [(SpanEnd, &'static str); 4] = [
        (SpanEnd::Exported, "exported"),
        (SpanEnd::Dropped, "dropped"),
        (SpanEnd::Refused, "refused"),
        (SpanEnd::Failed, "failed"),
    ];
}

enum Message {
    Span(Box<Finished>),
    /// To be told when all before it is posted.
    Flush(oneshot::Sender<()>),
}

/// The way out.
#[derive(Debug)]
pub(super) struct Queue {
    messages: mpsc::Sender<Message>,
    counts: Vec<IntCounter>,
}

impl Queue {
    pub(super) fn give(&self, span: Finished) {
        if self.messages.try_send(Message::Span(Box::new(span))).is_err()
            && let Some(dropped) = self.counts.get(SpanEnd::Dropped as usize)
        {
            dropped.inc();
        }
    }

    pub(super) async fn flush(&self, patience: Duration) {
        let (flushed, done) = oneshot::channel();
        let flush = async { self.messages.send(Message::Flush(flushed)).await.is_ok() && done.await.is_ok() };
        if !timeout(patience, flush).await.unwrap_or(false) {
            warn!("the last traces are not exported: the receiver is too slow");
        }
    }

    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Queue { messages: mpsc::channel(1).0, counts: Vec::new() }
    }
}

/// Who posts.
#[derive(Debug)]
pub(crate) struct Exporter {
    client: Client,
    endpoint: Uri,
    headers: HeaderMap,
    /// What is told of this daemon.
    resource: Vec<(String, String)>,
}

impl Exporter {
    /// One for this receiver. Reads the certificates that are trusted.
    ///
    /// # Errors
    ///
    /// A usage error where the receiver's URL, a field or the certificates cannot be used.
    pub(crate) fn new(to: &Otlp, instance: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::usage(format!("cannot export traces to {:?}: {why}", to.endpoint));
        let no_url = || refuse("it is no http(s) URL; OTLP by gRPC is not spoken here");
        let endpoint: Uri = to.endpoint.parse().map_err(|_| no_url())?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(no_url());
        }
        if endpoint.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Error::usage("cannot export traces to a URL with a user or password in it"));
        }
        if !(0.0..=1.0).contains(&to.sample) {
            return Err(Error::usage(format!("the share of traces is from 0 to 1, not {}", to.sample)));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &to.headers {
            let name: HeaderName = name.parse().map_err(|_| refuse(&format!("{name:?} is no name of a field")))?;
            // The value may be a secret.
            let mut value: HeaderValue =
                value.parse().map_err(|_| refuse(&format!("the value for {name} cannot be sent")))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("icewell/", env!("CARGO_PKG_VERSION"))));
        let own = [
            ("service.name", to.service_name.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", instance),
        ];
        let said = |name: &str| to.attributes.iter().any(|(said, _)| said == name);
        let own = own.iter().filter(|(name, _)| !said(name)).map(|(name, value)| ((*name).into(), (*value).into()));
        let resource = own.chain(to.attributes.iter().cloned()).collect();
        let client = Client::new(&Reach { timeout: TIMEOUT, min_rate: 0, ca: to.ca.clone() })?;
        Ok(Exporter { client, endpoint, headers, resource })
    }

    pub(super) fn start(self, counts: Vec<IntCounter>, runtime: &Handle) -> Queue {
        let (messages, received) = mpsc::channel(WAITING);
        info!(endpoint = %self.endpoint, "exporting traces");
        runtime.spawn(self.export(received, counts.clone()));
        Queue { messages, counts }
    }

    async fn export(self, mut messages: mpsc::Receiver<Message>, counts: Vec<IntCounter>) {
        let mut fails = false;
        while let Some(first) = messages.recv().await {
            let (mut spans, mut flushed) = (Vec::new(), None);
            let until = Instant::now() + GATHERED_FOR;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Span(span) => spans.push(*span),
                    Message::Flush(tell) => flushed = Some(tell),
                }
                if flushed.is_some() || spans.len() == TOGETHER {
                    break;
                }
                next = timeout_at(until, messages.recv()).await.ok().flatten();
            }
            let count = |end: SpanEnd, spans: u64| {
                if let Some(count) = counts.get(end as usize) {
                    count.inc_by(spans);
                }
            };
            if !spans.is_empty() {
                let all = spans.len() as u64;
                match self.post(otlp::request(&self.resource, &spans).into()).await {
                    Ok(rejected) => {
                        count(SpanEnd::Exported, all.saturating_sub(rejected));
                        count(SpanEnd::Refused, rejected);
                        if std::mem::take(&mut fails) {
                            info!("traces are exported again");
                        }
                    }
                    Err((end, why)) => {
                        count(end, all);
                        // Once, not each second.
                        if std::mem::replace(&mut fails, true) {
                            debug!(why, spans = all, "traces cannot be exported");
                        } else {
                            warn!(endpoint = %self.endpoint, why, spans = all, "traces cannot be exported; these are lost");
                        }
                    }
                }
            }
            if let Some(flushed) = flushed {
                flushed.send(()).ok();
            }
        }
    }

    /// Posts it until that is answered for good; how many of the spans were not taken, or why none were.
    async fn post(&self, request: bytes::Bytes) -> Result<u64, (SpanEnd, String)> {
        let mut pause = PAUSE;
        let mut why = String::new();
        for nth in 0..TRIES {
            if nth > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            match self.client.post(&self.endpoint, &self.headers, request.clone()).await {
                Ok(answer) if answer.status.is_success() => return Ok(self.rejected(answer).await),
                Ok(answer) => {
                    why = format!("it answers {}", answer.status);
                    if !is_worth_a_try(answer.status) {
                        return Err((SpanEnd::Refused, why));
                    }
                    if let Some(wait) = retry_after(&answer.headers, SystemTime::now()) {
                        pause = pause.max(wait.min(LONGEST_PAUSE));
                    }
                }
                Err(no_answer) => why = no_answer.reason,
            }
        }
        Err((SpanEnd::Failed, why))
    }

    async fn rejected(&self, mut answer: Answer) -> u64 {
        let mut text = Vec::new();
        while let Ok(Some(piece)) = answer.body.try_next().await {
            text.extend_from_slice(&piece);
            if text.len() > MAX_ANSWER {
                return 0;
            }
        }
        let Some((spans, why)) = otlp::rejected(&text) else { return 0 };
        warn!(endpoint = %self.endpoint, spans, why, "traces are not taken");
        spans
    }
}

/// Which answers are about the moment (OTLP 1.10, "Retryable Response Codes").
fn is_worth_a_try(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(endpoint: &str) -> Otlp {
        let headers = vec![("x-key".into(), "secret".into())];
        Otlp {
            endpoint: endpoint.into(),
            headers,
            service_name: "icewell".into(),
            attributes: vec![("service.version".into(), "mine".into())],
            sample: 1.0,
            ca: None,
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_no_secret_is_told() {
        for (endpoint, why) in [
            ("localhost:4317", "no http(s) URL"),
            ("grpc://localhost", "no http(s) URL"),
            ("http://a b/", "no http(s) URL"),
            ("http://me:secret@host/", "user or password"),
        ] {
            let error = Exporter::new(&to(endpoint), "i").unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(why), "{endpoint}: {error}");
            assert!(!error.to_string().contains("secret"));
        }
        let share = Otlp { sample: 1.5, ..to("http://localhost/") };
        assert!(Exporter::new(&share, "i").unwrap_err().to_string().contains("from 0 to 1"));
        let wrong = Otlp { headers: vec![("x".into(), "secret\n".into())], ..to("http://localhost/") };
        assert!(!Exporter::new(&wrong, "i").unwrap_err().to_string().contains("secret"));
        let good = to("http://localhost/v1/traces");
        let exporter = Exporter::new(&good, "i").unwrap();
        assert!(!format!("{good:?}{exporter:?}").contains("secret"));
        assert!(exporter.resource.contains(&("service.version".into(), "mine".into())));
        assert_eq!(exporter.resource.len(), 3);
    }

    #[test]
    fn each_label_is_at_its_place() {
        assert!(SpanEnd::ALL.iter().enumerate().all(|(at, (end, _))| *end as usize == at));
    }
}
