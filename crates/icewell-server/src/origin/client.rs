//! HTTP/1.1 as a client: one request, one answer. Nothing is added to a request but what HTTP itself wants.

use std::time::{Duration, Instant};

use ::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use ::http::{Method, Request, StatusCode, Uri};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use super::connect::Connector;
use super::pace::Pace;
use super::upload::{Given, Giving};
use super::{Answer, NoAnswer, Reach};
use crate::body::Body;
use crate::error::{Error, chain};
use crate::rest::part;
use crate::tls::{certificates, provider};
use crate::traces;

/// How long an idle connection is kept. Servers close theirs too, gunicorn after two seconds: a request that meets that
/// close is lost.
const IDLE: Duration = Duration::from_secs(1);
/// How long a body waits for an origin to ask for it, if the client wants it asked (RFC 9110 §10.1.1): some never do.
const CONTINUE: Duration = Duration::from_secs(1);

/// A pool of connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pool: legacy::Client<HttpsConnector<Connector>, Given>,
    /// For connecting, for the answer's beginning, and between two pieces of a body.
    timeout: Duration,
    /// How many bytes of a body have to come in a second.
    min_rate: u64,
}

impl Client {
    /// A client that trusts the system's certificates, and `reach`'s.
    ///
    /// # Errors
    ///
    /// A usage error for a file of certificates that cannot be used.
    pub(crate) fn new(reach: &Reach) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        // Without any, plain HTTP still works, and HTTPS says that the issuer is unknown.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &reach.ca {
            for certificate in certificates(path)? {
                let unusable =
                    |error| Error::usage(format!("cannot use the certificates in {path:?}")).with_source(error);
                roots.add(certificate).map_err(unusable)?;
            }
        }
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new("cannot set up the client for the origin").with_source(error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(reach.timeout));
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Client { pool, timeout: reach.timeout, min_rate: reach.min_rate })
    }

    /// Sends a request without a body, in a span of its own where what it is for is traced. One that can do no harm is sent a second time if its connection was closed under
    /// it, as it may have been idle.
    pub(crate) async fn ask(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Answer, NoAnswer> {
        let Some((asking, headers)) = traces::asked(method, uri, headers) else {
            return self.ask_plainly(method, uri, headers).await;
        };
        asking.answered(self.ask_plainly(method, uri, &headers).await)
    }

    async fn ask_plainly(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Answer, NoAnswer> {
        let request = || {
            let mut request = Request::new(Body::empty().into_http());
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            request
        };
        let limit = |sending| tokio::time::timeout(self.timeout, sending);
        let answered = match limit(self.pool.request(request())).await {
            Ok(Err(error)) if method.is_safe() && is_closed(&error) => limit(self.pool.request(request())).await,
            answered => answered,
        };
        match answered {
            Ok(Ok(response)) => Ok(self.answer(response, None)),
            Ok(Err(error)) => Err(no_answer(&error)),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Sends a request whose body is at hand, once, in a span of its own where what it is for is traced.
    pub(crate) async fn post(&self, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Answer, NoAnswer> {
        let Some((asking, headers)) = traces::asked(&Method::POST, uri, headers) else {
            return self.post_plainly(uri, headers, body).await;
        };
        asking.answered(self.post_plainly(uri, &headers, body).await)
    }

    async fn post_plainly(&self, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Answer, NoAnswer> {
        let mut request = Request::new(Body::text(body).into_http());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        match tokio::time::timeout(self.timeout, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(self.answer(response, None)),
            Ok(Err(error)) => Err(no_answer(&error)),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Sends a request with a body that comes from a client. It is sent once: nobody keeps the body.
    pub(crate) async fn send(&self, request: Request<Incoming>, expects: bool) -> Result<Answer, NoAnswer> {
        let (head, body) = request.into_parts();
        // Whatever ends this, the client's body is let go of then.
        let giving = Giving::new(body, expects);
        let mut request = Request::from_parts(head, giving.body());
        if expects {
            let asked = giving.upload();
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    asked.go_on();
                }
            });
        }
        let mut sending = self.pool.request(request);
        let begun = Instant::now();
        loop {
            let wait = match giving.waiting_for_origin() {
                Some(waited) if waited >= self.timeout => return Err(self.too_slow()),
                Some(waited) => self.timeout - waited,
                // For the client: as long as it likes.
                None => self.timeout,
            };
            let wait = if giving.is_held() { wait.min(CONTINUE.saturating_sub(begun.elapsed())) } else { wait };
            tokio::select! {
                answered = &mut sending => return match answered {
                    Ok(response) => {
                        giving.answered(response.status());
                        Ok(self.answer(response, Some(giving)))
                    }
                    Err(error) => Err(no_answer(&error)),
                },
                () = tokio::time::sleep(wait) => {}
            }
            if begun.elapsed() >= CONTINUE {
                giving.go_on();
            }
        }
    }

    /// The answer, with its body as a stream. A refused upload is let go of when nobody reads the answer any more.
    fn answer(&self, response: ::http::Response<Incoming>, upload: Option<Giving>) -> Answer {
        let (mut head, body) = response.into_parts();
        if head.headers.contains_key(TRANSFER_ENCODING) {
            // The chunks count (RFC 9112 §6.3). Passed on, the length would cut the answer short, and it would look whole.
            head.headers.remove(CONTENT_LENGTH);
        }
        let framed = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| head.headers.contains_key(name));
        // A part whose end is that of the connection: its range tells how many bytes it has, and so whether it broke off.
        let left = part(head.status, &head.headers).filter(|_| !framed).map(|part| part.end - part.start);
        if let Some(length) = left {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        let pace = Pace::new(self.min_rate, self.timeout);
        let reading = Reading { body, left, _upload: upload, timeout: self.timeout, pace };
        let body = stream::try_unfold(reading, |mut reading| async {
            Ok(reading.next().await?.map(|piece| (piece, reading)))
        });
        Answer { status: head.status, headers: head.headers, body: Box::pin(body), delimited: framed }
    }

    fn too_slow(&self) -> NoAnswer {
        NoAnswer { status: StatusCode::GATEWAY_TIMEOUT, reason: format!("nothing came for {:?}", self.timeout) }
    }
}

/// The body of an answer.
struct Reading {
    body: Incoming,
    /// How many bytes have to come yet, where HTTP does not see to it.
    left: Option<u64>,
    _upload: Option<Giving>,
    timeout: Duration,
    pace: Pace,
}

impl Reading {
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            let began = Instant::now();
            let frame = match tokio::time::timeout(self.timeout, self.body.frame()).await {
                Ok(None) if self.left.is_some_and(|left| left > 0) => {
                    return Err(std::io::Error::other("the part ended early"));
                }
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(|error| std::io::Error::other(chain(&error)))?,
                Err(_) => return Err(std::io::Error::other(format!("nothing came for {:?}", self.timeout))),
            };
            // Trailers are not passed on.
            if let Ok(data) = frame.into_data() {
                if let Some(left) = &mut self.left {
                    let over = || std::io::Error::other("more came than the part has");
                    *left = left.checked_sub(data.len() as u64).ok_or_else(over)?;
                }
                let paced = self.pace.came(data.len(), began.elapsed());
                paced.map_err(|too_slow| std::io::Error::other(too_slow.to_string()))?;
                return Ok(Some(data));
            }
        }
    }
}

/// What in an error, or behind it, is a `T`.
fn find<T: std::error::Error + 'static>(error: &legacy::Error) -> Option<&T> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an I/O error wraps is its inner, not its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        at = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    None
}

/// Whether the connection was closed before the answer began.
fn is_closed(error: &legacy::Error) -> bool {
    let incomplete = find::<hyper::Error>(error).is_some_and(hyper::Error::is_incomplete_message);
    let kind = find::<std::io::Error>(error).map(std::io::Error::kind);
    let broken = matches!(kind, Some(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe));
    !error.is_connect() && (incomplete || broken)
}

fn no_answer(error: &legacy::Error) -> NoAnswer {
    let slow = find::<std::io::Error>(error).is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
    let status = if slow { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    let reason = match find::<rustls::Error>(error) {
        // A CA of the same name with another key is another CA.
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            "its certificate is not from a CA that is trusted here; --origin-ca, or for Keystone OS_CACERT, names a file with its CA".into()
        }
        Some(rustls::Error::InvalidCertificate(why)) => format!("its certificate is not accepted: {why}"),
        // The client's own words for the occasion tell nothing.
        _ => std::error::Error::source(error).map_or_else(|| error.to_string(), chain),
    };
    NoAnswer { status, reason }
}
