//! The admin listener: whether the daemon lives, whether it is ready, and the management of its cache.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::body::{Body, HttpBody};
use crate::closing::until_drained;
use crate::daemon::{Daemon, blocking};
use crate::error::{Error, chain};
use crate::pass::{failure, method_not_allowed, without_body};
use crate::status::Status;
use crate::{admin_actions, image_list, manage, metrics, page, request_log, socket};

/// The most bytes of a request's head: about this much.
const MAX_HEAD: usize = 16 << 10;
/// How many connections are served at a time: a browser takes six, and nobody else one for each client.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may stay without a request, and a request's head may take.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The connections of one admin listener.
pub(crate) struct Admins {
    pub(crate) address: SocketAddr,
    /// One permit for each connection.
    room: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl Admins {
    /// Waits until the requests under way are answered, up to `timeout`. Connections that rest are closed, and nobody new is
    /// served.
    pub(crate) async fn close(self, timeout: Duration) {
        self.closing.send_replace(true);
        if tokio::time::timeout(timeout, self.room.acquire_many(MAX_CONNECTIONS as u32)).await.is_err() {
            warn!(?timeout, "some requests of admins are still running and are cut off");
        }
    }
}

/// Serves the admin listener in the background.
pub(crate) fn start(
    listener: TcpListener,
    daemon: &Arc<Daemon>,
    send_timeout: Duration,
    draining: &watch::Receiver<bool>,
    fills_stop: &watch::Receiver<bool>,
) -> Result<Admins, Error> {
    let address = listener.local_addr().map_err(|error| Error::new("cannot listen").with_source(error))?;
    let (daemon, draining, fills_stop) = (daemon.clone(), draining.clone(), fills_stop.clone());
    let (closing, mut closed) = watch::channel(false);
    let admins = Admins { address, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)), closing };
    let room = admins.room.clone();
    tokio::spawn(async move {
        loop {
            let next = async { (room.clone().acquire_owned().await, listener.accept().await) };
            let (place, accepted) = tokio::select! {
                next = next => next,
                _ = closed.wait_for(|closed| *closed) => return,
            };
            let Ok(place) = place else { return };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept a connection of an admin");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            socket::set_up(&stream, client, send_timeout);
            let (daemon, draining, fills_stop) = (daemon.clone(), draining.clone(), fills_stop.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (daemon, draining, fills_stop) = (daemon.clone(), draining.clone(), fills_stop.clone());
                async move {
                    let draining = *draining.borrow();
                    Ok::<_, Infallible>(match manage::asked(request.method(), request.uri().path()) {
                        Some(asked) => {
                            let started = Instant::now();
                            let (mut request, _) = request.into_parts();
                            let waiting = request_log::asked(&daemon, client, started, &request);
                            let managed =
                                manage::answer_admin(&daemon, address, &mut request, asked, &fills_stop).await;
                            waiting.answered_by_library(managed.into(), &request.method).map(HttpBody::new)
                        }
                        None => {
                            let (mut request, _) = request.into_parts();
                            answer(&daemon, address, draining, &mut request).await.map(Body::into_http)
                        }
                    })
                }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(MAX_HEAD);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            let mut closed = closed.clone();
            tokio::spawn(async move {
                let closed = async { drop(closed.wait_for(|closed| *closed).await) };
                until_drained(pin!(connection), closed).await.ok();
                drop(place);
            });
        }
    });
    Ok(admins)
}

async fn answer(daemon: &Arc<Daemon>, address: SocketAddr, draining: bool, request: &mut Parts) -> Response<Body> {
    let path = request.uri.path().to_owned();
    if admin_actions::is_one(&path) {
        return match manage::refusal(daemon, address, request) {
            Some(refusal) => refusal,
            None => admin_actions::answer(daemon, request).await,
        };
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return method_not_allowed("GET, HEAD", "only GET and HEAD");
    }
    let response = match path.as_str() {
        "/healthz" => Response::new(Body::text("ok\n")),
        "/readyz" => readiness(daemon, draining).await,
        "/metrics" => metrics(daemon).await,
        // These name images, as the list of what is cached does.
        "/v1/status" | "/v1/images" | "/v1/history" => match manage::refusal(daemon, address, request) {
            Some(refusal) => refusal,
            None => look(daemon, draining, &path, request.uri.query()).await,
        },
        _ => page::file(&path).unwrap_or_else(|| {
            failure(
                StatusCode::NOT_FOUND,
                "here are a page at /, /healthz, /readyz, /metrics, /v1/status and /v2/cache",
            )
        }),
    };
    if request.method == Method::HEAD { without_body(response) } else { response }
}

/// What somebody sees who may see what is cached.
async fn look(daemon: &Arc<Daemon>, draining: bool, path: &str, query: Option<&str>) -> Response<Body> {
    match path {
        "/v1/status" => as_json(Status::of(daemon, draining).await),
        "/v1/history" => match daemon.history.told(query) {
            Ok(told) => manage::json(&told),
            Err(why) => failure(StatusCode::BAD_REQUEST, &why),
        },
        _ => match image_list::Wanted::parse(query) {
            Ok(wanted) => as_json(image_list::list(daemon, wanted).await),
            Err(why) => failure(StatusCode::BAD_REQUEST, &why),
        },
    }
}

fn as_json(told: Result<impl Serialize, icewell::Error>) -> Response<Body> {
    match told {
        Ok(told) => manage::json(&told),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &chain(&error)),
    }
}

/// Ready is who can serve: not on the way out, and with a directory that can be read.
async fn readiness(daemon: &Arc<Daemon>, draining: bool) -> Response<Body> {
    if draining {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    let cache = daemon.cache.clone();
    // The limit is a tag, which a directory that somebody has removed still has, as long as it is open. Its folders can't
    // be listed any more.
    match blocking(move || cache.limit().and_then(|_| cache.queued())).await {
        Ok(_) => Response::new(Body::text("ready\n")),
        Err(error) => failure(StatusCode::SERVICE_UNAVAILABLE, &chain(&error)),
    }
}

async fn metrics(daemon: &Arc<Daemon>) -> Response<Body> {
    match metrics::text(daemon).await {
        Ok(page) => {
            let mut response = Response::new(Body::text(page));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::KIND));
            response
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &chain(&*error)),
    }
}
