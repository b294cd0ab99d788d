//! Connections on which more is said than plain requests: hyper speaks HTTP/1 with bodies, and HTTP/2.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{Request, Uri};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tracing::debug;

use crate::closing::{self, Closing, Ending};
use crate::connection::{Rewound, Serving, Wire};
use crate::request_log;
use crate::route::{self, Client};
use crate::taking::{Counted, Taken, Taking};

/// The most bytes of a request's head: about this much, as what came with it is looked at.
const MAX_HEAD: usize = 64 << 10;
/// How many answers run at a time on one connection of HTTP/2.
const MAX_STREAMS: u32 = 64;
/// How much of an answer may be on its way to the client of HTTP/2 before it says that it wants more is for the client to
/// say; this is what is gathered here for it.
const SEND_BUFFER: usize = 1 << 20;

/// What hyper is told.
#[derive(Clone, Debug)]
pub(crate) struct Libraries {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    send_timeout: Duration,
}

impl Libraries {
    pub(crate) fn new(idle_timeout: Duration, send_timeout: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(MAX_HEAD);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD as u32)
            .max_send_buf_size(SEND_BUFFER)
            // Who does not answer this is gone; a connection without requests is none too many.
            .keep_alive_interval(idle_timeout)
            .keep_alive_timeout(idle_timeout);
        Libraries { http1, http2, send_timeout }
    }

    /// Goes on with a connection of HTTP/1, to its end.
    pub(crate) async fn http1(&self, rest: Rewound, client: Client, serving: Serving) {
        let (ending, drained) = (Ending::default(), serving.drained());
        let (closing, told) = (Closing::new(rest, ending.clone()), ending.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            told.request(!request.body().is_end_stream());
            let serving = serving.clone();
            async move {
                let mut response = answer(serving.clone(), client, request).await?;
                // Who asks in the grace is told that it was the last time.
                if serving.is_draining() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        // It is dropped only after it is told how to end.
        let mut connection = pin!(self.http1.serve_connection(TokioIo::new(closing), service));
        let end = closing::until_drained(connection.as_mut(), drained).await;
        end.as_ref().err().into_iter().for_each(|error| ending.failed(error));
        ended(end, client);
    }

    /// Serves a connection of HTTP/2, to its end.
    pub(crate) async fn http2(&self, wire: Wire, client: Client, serving: Serving) {
        let drained = serving.drained();
        let taking = Arc::new(Taking::default());
        let wire = Counted::new(wire, taking.clone());
        let told = taking.clone();
        let service = service_fn(move |request| {
            let (answer, taking) = (answer(serving.clone(), client, as_http1(request)), told.clone());
            async move { answer.await.map(|response| response.map(|body| Taken::new(body, taking))) }
        });
        let connection = pin!(self.http2.serve_connection(TokioIo::new(wire), service));
        tokio::select! {
            end = closing::until_drained(connection, drained) => ended(end, client),
            () = taking.ends(self.send_timeout) => debug!(client = %client.address, "the client takes nothing"),
        }
    }
}

async fn answer(
    serving: Serving,
    client: Client,
    request: Request<Incoming>,
) -> Result<http::Response<request_log::Logged>, Infallible> {
    let started = Instant::now();
    let (mut request, body) = request.into_parts();
    let waiting = request_log::asked(&serving.daemon, client.address, started, &request);
    let answered = route::answer(&serving.daemon, client, &mut request, Some(body), &serving.fills_stop).await;
    Ok(waiting.answered_by_library(answered, &request.method))
}

/// HTTP/2 names scheme and host with the target (RFC 9113 §8.3.1): a `Host` says the same to whoever comes after us.
fn as_http1(mut request: Request<Incoming>) -> Request<Incoming> {
    let uri = std::mem::take(request.uri_mut());
    if let Some(host) = uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    *request.uri_mut() = match uri.path_and_query() {
        Some(target) => Uri::from(target.clone()),
        None => uri,
    };
    request
}

fn ended(ended: hyper::Result<()>, client: Client) {
    if let Err(error) = ended {
        debug!(client = %client.address, %error, "the connection broke off");
    }
}
