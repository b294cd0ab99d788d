//! In front of a Glance: whatever is not an image's data goes through unchanged, both bodies streaming.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use icewell::ImageId;
use percent_encoding::percent_decode_str;

use crate::body::answer_body;
use crate::daemon::{Body, Daemon};
use crate::gone;
use crate::origin::{Glance, NoAnswer, image_of};
use crate::pass::{failure, relayed};

/// Passes a request on to Glance, and its answer back.
pub(crate) async fn pass_on(
    daemon: &Arc<Daemon>,
    glance: &Glance,
    client: SocketAddr,
    parts: &Parts,
    body: Incoming,
) -> Response<Body> {
    let mut headers = forwarded(client, &parts.headers);
    daemon.pseudonym.add_to(&mut headers);
    let has_body = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| parts.headers.contains_key(name));
    let body = has_body.then(|| reqwest::Body::wrap_stream(body.into_data_stream()));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    match glance.http().send(parts.method.clone(), target, headers, body).await {
        Ok(answer) => {
            if parts.method == Method::DELETE
                && answer.status.is_success()
                && let Some(id) = deleted(parts.uri.path())
            {
                gone::drop_copy(daemon, &id).await;
            }
            let mut response = Response::new(answer_body(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = relayed(answer.headers);
            daemon.pseudonym.add_to(response.headers_mut());
            response
        }
        Err(NoAnswer { status, reason }) => failure(status, &format!("Glance does not answer: {reason}")),
    }
}

/// The client's fields for Glance: `Host` stays, so that links in answers lead here, and who asked and how is told.
fn forwarded(client: SocketAddr, fields: &HeaderMap) -> HeaderMap {
    let mut headers = relayed(fields.clone());
    // The client has been told to go on already.
    headers.remove(EXPECT);
    let address = HeaderValue::try_from(client.ip().to_string());
    if let Ok(address) = address {
        headers.append(HeaderName::from_static("x-forwarded-for"), address);
    }
    for (name, value) in
        [("x-forwarded-proto", Some(HeaderValue::from_static("http"))), ("x-forwarded-host", fields.get(HOST).cloned())]
    {
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
