//! What of requests and answers stands in spans, by OpenTelemetry's conventions for HTTP. What tells who somebody is, and
//! what lets somebody in, stays out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http::header::{HOST, HeaderMap, HeaderValue, RANGE, USER_AGENT};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Uri, Version};

use super::context::Context;
use super::span::{Kind, Span};
use super::{Tracer, current};
use crate::key::Key;
use crate::origin::{Answer, AnswerBody, NoAnswer};
use crate::redact;
use crate::route::Client;

/// The span of a request about an image; of a Glance's, where `route` is the form of its path.
pub(crate) fn of_request(
    tracer: Option<&Arc<Tracer>>,
    client: Client,
    request: &Parts,
    key: &Key,
    route: Option<&'static str>,
) -> Option<Span> {
    let tracer = tracer?;
    let name = match route {
        Some(route) => format!("{} {route}", request.method),
        None => request.method.to_string(),
    };
    let span = tracer.span(Context::of(&request.headers), Kind::Server, name);
    if !span.context().is_sampled() {
        return Some(span);
    }
    span.set("http.request.method", request.method.as_str());
    span.set("url.scheme", client.scheme);
    span.set("url.path", request.uri.path());
    if let Some(query) = request.uri.query().filter(|query| !redact::hides(query)) {
        span.set("url.query", query);
    }
    if let Some(route) = route {
        span.set("http.route", route);
    }
    let text = |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok().map(str::to_owned));
    if let Some(host) = text(request.headers.get(HOST)).and_then(|host| host.parse::<Authority>().ok()) {
        set_server(&span, &host, client.scheme);
    }
    span.set("client.address", client.address.ip().to_string().as_str());
    span.set("client.port", client.address.port());
    span.set("network.protocol.version", version(request.version));
    if let Some(agent) = text(request.headers.get(USER_AGENT)) {
        span.set("user_agent.original", agent.as_str());
    }
    if let Some(range) = text(request.headers.get(RANGE)) {
        span.set("icewell.range", range.as_str());
    }
    set_image(&span, key);
    Some(span)
}

/// Which image it is about, unless its name has a secret of the URL in it.
pub(super) fn set_image(span: &Span, key: &Key) {
    if !key.path_and_query.split_once('?').is_some_and(|(_, query)| redact::hides(query)) {
        span.set("icewell.image.id", key.id.as_str());
    }
}

/// How a request was answered.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(crate) status: u16,
    /// Bytes of the body that were sent.
    pub(crate) sent: u64,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
    /// What the cache did, and where the bytes came from.
    pub(crate) decision: &'static str,
    pub(crate) from: &'static str,
}

impl Answering {
    /// Says so of the request's span, which ends.
    pub(crate) fn told_to(self, span: &Span) {
        span.set("http.response.status_code", self.status);
        span.set("http.response.body.size", self.sent);
        span.set("icewell.cache", self.decision);
        span.set("icewell.from", self.from);
        span.set("icewell.whole", self.whole);
        if self.status >= 500 {
            span.fail(self.status.to_string().as_str(), "");
        } else if !self.whole {
            span.set("error.type", "broken_off");
        }
        span.end();
    }
}

/// A request of ours to somebody else.
pub(crate) struct Asking(Span);

/// Begins a request of ours, if what it is for has a span: what tells of it, and the fields with which it goes.
pub(crate) fn asked(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<(Asking, HeaderMap)> {
    let span = current()?.child(Kind::Client, method.as_str());
    span.set("http.request.method", method.as_str());
    span.set("url.full", redact::url(uri).as_str());
    if let Some(host) = uri.authority() {
        set_server(&span, host, uri.scheme_str().unwrap_or_default());
    }
    if let Some(range) = headers.get(RANGE).and_then(|range| range.to_str().ok()) {
        span.set("icewell.range", range);
    }
    let mut headers = headers.clone();
    span.context().add_to(&mut headers);
    Some((Asking(span), headers))
}

impl Asking {
    /// Says what came of it. It ends with the answer's body, or where nobody reads on.
    pub(crate) fn answered(self, answered: Result<Answer, NoAnswer>) -> Result<Answer, NoAnswer> {
        let span = self.0;
        match answered {
            Ok(answer) => {
                span.set("http.response.status_code", answer.status.as_u16());
                // That there is nothing beyond the end is the answer that a question is asked for.
                let expected = answer.status == StatusCode::RANGE_NOT_SATISFIABLE;
                if !expected && (answer.status.is_client_error() || answer.status.is_server_error()) {
                    span.fail(answer.status.as_str(), &answer.status.to_string());
                }
                let body: AnswerBody = Box::pin(Reading { body: answer.body, span, read: 0 });
                Ok(Answer { body, ..answer })
            }
            Err(no_answer) => {
                span.fail("no_answer", &no_answer.reason);
                span.end();
                Err(no_answer)
            }
        }
    }
}

/// The body of an answer, whose span ends with it.
struct Reading {
    body: AnswerBody,
    span: Span,
    read: u64,
}

impl Stream for Reading {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.as_mut().poll_next(task);
        match &polled {
            Poll::Ready(Some(Ok(piece))) => self.read += piece.len() as u64,
            Poll::Ready(Some(Err(error))) => self.span.fail("broken_off", &error.to_string()),
            Poll::Ready(None) => self.span.end(),
            Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.span.set("http.response.body.size", self.read);
        self.span.end();
    }
}

fn set_server(span: &Span, host: &Authority, scheme: &str) {
    span.set("server.address", host.host());
    span.set("server.port", host.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 }));
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
