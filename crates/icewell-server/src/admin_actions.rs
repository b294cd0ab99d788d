//! What the page can do to the cache besides Glance's management API: pin, unpin, verify, and prune with a look before.
//!
//! ```text
//! POST /v1/images/ID/pin   unpin   verify
//! POST /v1/prune?dry_run=yes&max_size=BYTES
//! ```
//!
//! No page of another site can send these unnoticed: a browser asks the server first, for the sake of the field
//! `X-Icewell-Request`, which no form can send and which is required here.

use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use icewell::{ImageId, Mode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::json;
use tracing::info;
use url::form_urlencoded;

use crate::body::Body;
use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::manage;
use crate::pass::{failure, method_not_allowed};
use crate::status::seconds;
use crate::verifications::Asked;

const REQUEST: HeaderName = HeaderName::from_static("x-icewell-request");

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pin(ImageId, bool),
    Verify(ImageId),
    Prune { dry_run: bool, max_size: Option<u64> },
}

/// An image that was pruned, or would be.
#[derive(Serialize)]
struct Victim {
    image_id: String,
    size: u64,
    last_accessed: f64,
}

/// Whether a path is one of these, whatever the method.
pub(crate) fn is_one(path: &str) -> bool {
    path == "/v1/prune" || path.starts_with("/v1/images/")
}

/// Does what is asked for, if it can be read; who asks may.
pub(crate) async fn answer(daemon: &Arc<Daemon>, request: &Parts) -> Response<Body> {
    if request.method != Method::POST {
        return method_not_allowed("POST", "only POST");
    }
    if !request.headers.contains_key(REQUEST) {
        let why =
            "this changes the cache: send a field X-Icewell-Request with it, so that no web page can do it unseen";
        return failure(StatusCode::FORBIDDEN, why);
    }
    let action = match parse(request.uri.path(), request.uri.query()) {
        Ok(action) => action,
        Err((status, why)) => return failure(status, &why),
    };
    let done = match action {
        Action::Pin(id, pinned) => pin(daemon, id, pinned).await,
        Action::Verify(id) => verify(daemon, id).await,
        Action::Prune { dry_run, max_size } => prune(daemon, dry_run, max_size).await,
    };
    daemon.census.is_outdated();
    done.unwrap_or_else(|error| failure(StatusCode::INTERNAL_SERVER_ERROR, &chain(&error)))
}

fn parse(path: &str, query: Option<&str>) -> Result<Action, (StatusCode, String)> {
    let nothing = || (StatusCode::NOT_FOUND, "there is nothing of that name to be done".to_owned());
    if path == "/v1/prune" {
        return parse_prune(query.unwrap_or_default()).map_err(|why| (StatusCode::BAD_REQUEST, why));
    }
    let (id, verb) = path.strip_prefix("/v1/images/").and_then(|rest| rest.split_once('/')).ok_or_else(nothing)?;
    let id = percent_decode_str(id).decode_utf8().map_err(|_| nothing())?;
    let id = ImageId::new(&id).map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))?;
    match verb {
        "pin" => Ok(Action::Pin(id, true)),
        "unpin" => Ok(Action::Pin(id, false)),
        "verify" => Ok(Action::Verify(id)),
        _ => Err(nothing()),
    }
}

/// Nothing is removed unless `dry_run=no` says so.
fn parse_prune(query: &str) -> Result<Action, String> {
    let (mut dry_run, mut max_size) = (true, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("dry_run", "yes") => dry_run = true,
            ("dry_run", "no") => dry_run = false,
            ("dry_run", _) => return Err(format!("dry_run={value} is neither yes nor no")),
            ("max_size", _) => max_size = Some(value.parse().map_err(|_| format!("max_size={value} is no number"))?),
            _ => return Err(format!("{name} is neither dry_run nor max_size")),
        }
    }
    Ok(Action::Prune { dry_run, max_size })
}

async fn pin(daemon: &Arc<Daemon>, id: ImageId, pinned: bool) -> Result<Response<Body>, icewell::Error> {
    let (cache, name) = (daemon.cache.clone(), id.clone());
    if !blocking(move || cache.set_pinned(&name, pinned)).await? {
        return Ok(not_cached(&id));
    }
    info!(image_id = %id, pinned, "pinned or unpinned, as an admin asked");
    Ok(manage::json(&json!({ "image_id": id.as_str(), "pinned": pinned })))
}

async fn verify(daemon: &Arc<Daemon>, id: ImageId) -> Result<Response<Body>, icewell::Error> {
    let (cache, name) = (daemon.cache.clone(), id.clone());
    let Some(image) = blocking(move || cache.image(&name)).await? else { return Ok(not_cached(&id)) };
    Ok(match daemon.verifications.begin(daemon, &id, image.size) {
        Asked::Begun | Asked::Already => {
            let mut response = manage::json(&json!({ "image_id": id.as_str(), "size": image.size }));
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Asked::TooMany => failure(StatusCode::TOO_MANY_REQUESTS, "too many images wait to be verified"),
    })
}

async fn prune(daemon: &Arc<Daemon>, dry_run: bool, max_size: Option<u64>) -> Result<Response<Body>, icewell::Error> {
    let cache = daemon.cache.clone();
    let pruned = blocking(move || {
        let mut limit = cache.limit()?;
        limit.max_size = max_size.unwrap_or(limit.max_size);
        cache.prune(limit, if dry_run { Mode::DryRun } else { Mode::Act })
    });
    let pruned = pruned.await?;
    let images: Vec<Victim> = pruned
        .images
        .iter()
        .map(|image| Victim {
            image_id: image.id.to_string(),
            size: image.size,
            last_accessed: seconds(image.last_accessed),
        })
        .collect();
    Ok(manage::json(&json!({
        "dry_run": dry_run,
        "images": images,
        "total_files_pruned": pruned.files(),
        "total_bytes_pruned": pruned.bytes(),
    })))
}

fn not_cached(id: &ImageId) -> Response<Body> {
    failure(StatusCode::NOT_FOUND, &format!("{:?} is not cached", id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done() {
        let id = |text: &str| ImageId::new(text).unwrap();
        for (path, query, action) in [
            ("/v1/images/a/pin", None, Action::Pin(id("a"), true)),
            ("/v1/images/a%2525%3Cb%3E/unpin", None, Action::Pin(id("a%25<b>"), false)),
            ("/v1/images/verify/verify", None, Action::Verify(id("verify"))),
            ("/v1/prune", None, Action::Prune { dry_run: true, max_size: None }),
            ("/v1/prune", Some("dry_run=no&max_size=7"), Action::Prune { dry_run: false, max_size: Some(7) }),
        ] {
            assert!(is_one(path));
            assert_eq!(parse(path, query).unwrap(), action, "{path}");
        }
        for (path, query) in [
            ("/v1/images/a", None),
            ("/v1/images/a/", None),
            ("/v1/images/a/delete", None),
            ("/v1/images/a%2Fb/pin", None),
            ("/v1/images/../pin", None),
            ("/v1/images/%FF/pin", None),
            ("/v1/prune", Some("dry_run")),
            ("/v1/prune", Some("max_size=-1")),
            ("/v1/prune", Some("dryrun=no")),
        ] {
            assert!(parse(path, query).is_err(), "{path} {query:?}");
        }
    }
}
