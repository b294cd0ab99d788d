//! Where a request goes: to an image's data; in front of a Glance, to the management of the cache, or on to Glance.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_RANGE, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::watch;

use crate::body::Sending;
use crate::daemon::Daemon;
use crate::get_image::{self, Answered};
use crate::key::Key;
use crate::origin::{Glance, image_of_file};
use crate::pass::failure;
use crate::{manage, proxy, traces};

/// The form of the path of a Glance's image data.
const ROUTE: &str = "/v2/images/{image_id}/file";

/// How many bytes of a request for an image are thrown away before its answer.
const MOST_THROWN_AWAY: usize = 256 << 10;

/// Who sent a request, and by which scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
}

impl Client {
    /// How the bytes of an image are handed to the socket.
    pub(crate) fn sending(self) -> Sending {
        if self.scheme == "https" { Sending::Copies } else { Sending::Pages }
    }
}

/// Answers a request of a client.
pub(crate) async fn answer(
    daemon: &Arc<Daemon>,
    client: Client,
    parts: &mut Parts,
    body: Option<Incoming>,
    stop: &watch::Receiver<bool>,
) -> Answered {
    let (ambiguous, chunked) = (has_no_one_host(parts), parts.headers.contains_key(TRANSFER_ENCODING));
    let mut answered = if ambiguous {
        failure(StatusCode::BAD_REQUEST, "a request has one Host, and that is a host").into()
    } else {
        route(daemon, client, parts, body, stop).await
    };
    // Somebody between the client and us may have gone by a length that came with the chunks (RFC 9112 §6.1): what to him is
    // the rest of this request must not be the next one to us.
    if ambiguous || chunked {
        answered.response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answered
}

/// Whether nobody can tell whom a request of HTTP/1 is for (RFC 9112 §3.2).
fn has_no_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => parts.version == Version::HTTP_11,
        (Some(host), None) => !may_be_a_host(host.as_bytes()),
        (Some(_), Some(_)) => true,
    }
}

/// Whether these are bytes of a `HOST[:PORT]` (RFC 3986 §3.2), or none, as where a target has none (RFC 9110 §7.2).
fn may_be_a_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

async fn route(
    daemon: &Arc<Daemon>,
    client: Client,
    parts: &mut Parts,
    body: Option<Incoming>,
    stop: &watch::Receiver<bool>,
) -> Answered {
    if daemon.pseudonym.is_in(&parts.headers) {
        let reason = "the origin leads back to this cache; set --origin to where the images are";
        return failure(StatusCode::LOOP_DETECTED, reason).into();
    }
    let Some(glance) = daemon.origin.glance() else {
        return match get_image::key(parts) {
            Ok(key) => image(daemon, client, &key, None, parts, body, stop).await,
            Err(response) => (*response).into(),
        };
    };
    // Whatever becomes of the request, nobody else gets to see the token.
    let has_token = daemon.management.take_token(&mut parts.headers);
    if let Some(asked) = manage::asked(&parts.method, parts.uri.path()) {
        return manage::answer(daemon, parts, asked, has_token, stop).await.into();
    }
    // To a Glance, a `Content-Range` in a request is a range of its own kind.
    let reads = matches!(parts.method, Method::GET | Method::HEAD) && !parts.headers.contains_key(CONTENT_RANGE);
    match image_of_file(parts.uri.path()).filter(|_| reads) {
        Some(id) => {
            let key = Glance::key(id, parts.uri.query());
            image(daemon, client, &key, Some(ROUTE), parts, body, stop).await
        }
        None => proxy::pass_on(daemon, glance, client, parts, body).await.into(),
    }
}

/// Answers a request about an image while what else it says is taken and thrown away: hyper notices that a client has gone
/// only when all of its request has come. Not where the client waits to be told to go on, nor for ever.
async fn reading_out<T>(mut body: Incoming, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    let mut taken = 0;
    while taken < MOST_THROWN_AWAY {
        tokio::select! {
            biased;
            answered = &mut answer => return answered,
            frame = body.frame() => match frame {
                Some(Ok(frame)) => taken += frame.data_ref().map_or(0, Bytes::len),
                Some(Err(_)) | None => break,
            }
        }
    }
    answer.await
}

/// Answers a request about an image, and reads what else it says.
async fn image(
    daemon: &Arc<Daemon>,
    client: Client,
    key: &Key,
    route: Option<&'static str>,
    parts: &Parts,
    body: Option<Incoming>,
    stop: &watch::Receiver<bool>,
) -> Answered {
    let more = body.filter(|body| !body.is_end_stream() && !parts.headers.contains_key(EXPECT));
    match more {
        None => traced(daemon, client, key, route, parts, stop).await,
        // At a place of its own: a plain request has no room for it.
        Some(body) => Box::pin(reading_out(body, traced(daemon, client, key, route, parts, stop))).await,
    }
}

/// Answers a request about an image, in a span where requests are traced.
async fn traced(
    daemon: &Arc<Daemon>,
    client: Client,
    key: &Key,
    route: Option<&'static str>,
    parts: &Parts,
    stop: &watch::Receiver<bool>,
) -> Answered {
    // Each at its own place: who is not traced has no room for the other.
    match traces::of_request(daemon.tracer.as_ref(), client, parts, key, route) {
        None => get_image::answer(daemon, client, key, parts, stop).await,
        Some(span) => {
            let answer = get_image::answer(daemon, client, key, parts, stop);
            let mut answered = Box::pin(traces::within(Some(span.clone()), answer)).await;
            answered.outcome.span = Some(span);
            answered
        }
    }
}
