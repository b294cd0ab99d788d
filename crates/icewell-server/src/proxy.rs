//! In front of a Glance: whatever is not an image's data goes through unchanged, both bodies streaming. Only the list of
//! versions is completed.

use std::sync::Arc;

use http::header::{EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use icewell::ImageId;
use percent_encoding::percent_decode_str;

use crate::body::Body;
use crate::daemon::Daemon;
use crate::gone;
use crate::origin::{Glance, NoAnswer, image_of};
use crate::pass::{failure, method_not_allowed, relayed};
use crate::route::Client;
use crate::versions;

/// Passes a request on to Glance, and its answer back.
pub(crate) async fn pass_on(
    daemon: &Arc<Daemon>,
    glance: &Glance,
    client: Client,
    parts: &Parts,
    body: Option<Incoming>,
) -> Response<Body> {
    // The body is taken out of its chunks and put into others; what else was done to it nobody could tell any more.
    if parts.headers.get_all(TRANSFER_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return failure(StatusCode::NOT_IMPLEMENTED, "only chunked is understood of Transfer-Encoding");
    }
    if parts.method == Method::CONNECT {
        // Its target is somewhere else, where nothing can be asked for through here.
        return method_not_allowed("", "there is no tunnel here");
    }
    let mut fields = parts.headers.clone();
    // What the target says counts, and not the field (RFC 9112 §3.2.2).
    if let Some(host) = parts.uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
        fields.insert(HOST, host);
    }
    let mut headers = forwarded(client, &fields);
    daemon.pseudonym.add_to(&mut headers);
    let expects = headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = headers;
    match glance.http().send(request, expects).await {
        Ok(answer) => {
            let answer = versions::complete(&parts.method, parts.uri.path(), answer).await;
            if parts.method == Method::DELETE
                && answer.status.is_success()
                && let Some(id) = deleted(parts.uri.path())
            {
                gone::drop_copy(daemon, &id).await;
            }
            let mut response = Response::new(Body::Stream(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = relayed(answer.headers);
            daemon.pseudonym.add_to(response.headers_mut());
            response
        }
        Err(NoAnswer { status, reason }) => failure(status, &format!("Glance does not answer: {reason}")),
    }
}

/// The client's fields for Glance: `Host` stays, so that links in answers lead here, and who asked and how is told.
fn forwarded(client: Client, fields: &HeaderMap) -> HeaderMap {
    let mut headers = relayed(fields.clone());
    let address = HeaderValue::try_from(client.address.ip().to_string());
    if let Ok(address) = address {
        headers.append(HeaderName::from_static("x-forwarded-for"), address);
    }
    let scheme = HeaderValue::from_static(client.scheme);
    for (name, value) in [("x-forwarded-proto", Some(scheme)), ("x-forwarded-host", fields.get(HOST).cloned())] {
        if let Some(value) = value.filter(|_| !fields.contains_key(name)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// The image that was deleted through us.
fn deleted(path: &str) -> Option<ImageId> {
    // Glance takes escaped letters and doubled slashes for the plain ones.
    let plain = percent_decode_str(path).decode_utf8_lossy();
    let plain: Vec<&str> = plain.split('/').filter(|segment| !segment.is_empty()).collect();
    image_of(&format!("/{}", plain.join("/")))
}
