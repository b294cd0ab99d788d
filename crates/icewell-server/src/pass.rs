//! Passing through: a request whose answer is not, or cannot be, cached goes to the origin as the client made it.

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, PROXY_AUTHENTICATE, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{Method, Response, StatusCode};

use crate::body::Body;
use crate::cache_status::CacheStatus;
use crate::daemon::Daemon;
use crate::key::Key;
use crate::origin::{Answer, Ask, NoAnswer, caller_fields};

/// What of a client's request is passed on: what it wants, nothing of who it is.
const PASSED: [HeaderName; 7] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, VIA];

/// Fields that are about one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE];

/// Asks the origin for this client alone.
pub(crate) async fn ask(
    daemon: &Arc<Daemon>,
    key: &Key,
    method: Method,
    client: &HeaderMap,
) -> Result<Answer, NoAnswer> {
    let mut headers = HeaderMap::new();
    // A range has a meaning for GET only (RFC 9110 §14.2), and servers that think otherwise send a 206.
    let meaningless = |name: &HeaderName| method == Method::HEAD && (*name == RANGE || *name == IF_RANGE);
    for name in PASSED.into_iter().filter(|name| !meaningless(name)) {
        for value in client.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if daemon.origin.glance().is_some() {
        headers.extend(caller_fields(client));
        // A Glance answers 400 to several ranges.
        if client.get(RANGE).is_some_and(|ranges| ranges.as_bytes().contains(&b',')) {
            headers.remove(RANGE);
        }
    }
    daemon.pseudonym.add_to(&mut headers);
    daemon.origin.ask(&Ask { method, path_and_query: key.path_and_query.clone(), headers }).await
}

/// Turns the origin's answer into the client's response.
pub(crate) fn relay(daemon: &Daemon, answer: Answer, status: &CacheStatus) -> Response<Body> {
    let mut response = Response::new(Body::Stream(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = relayed(answer.headers);
    daemon.pseudonym.add_to(response.headers_mut());
    status.append_to(response.headers_mut());
    response
}

/// An answer's fields without those of its connection.
pub(crate) fn relayed(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in named {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    headers
}

/// The end of a request that no origin answered.
pub(crate) fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    let mut response = Response::new(Body::text(format!("{status}: {reason}\n")));
    *response.status_mut() = status;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

/// The end of a request by another method than those that are allowed, which have to be told (RFC 9110 §15.5.6).
pub(crate) fn method_not_allowed(allowed: &'static str, reason: &str) -> Response<Body> {
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, reason);
    response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static(allowed));
    response
}

/// The response to a `HEAD`: the same fields, no body.
pub(crate) fn without_body(mut response: Response<Body>) -> Response<Body> {
    if !response.headers().contains_key(CONTENT_LENGTH)
        && let Some(length) = response.body().len().filter(|length| *length > 0)
    {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Body::empty();
    response
}

/// Whether a `GET` asks for the whole, whatever it is: then anybody's answer will do.
pub(crate) fn is_plain(client: &HeaderMap) -> bool {
    !PASSED.iter().any(|name| *name != VIA && client.contains_key(name))
}
