//! What every part of the daemon works with.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use icewell::Cache;

use crate::fill::Fills;
use crate::origin::Origin;
use crate::request_log::Counters;
use crate::via::Pseudonym;

/// A response's body: bytes as they become ready, or an error, at which the connection is broken off.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The cache, its origin, and the fills under way.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) cache: Cache,
    pub(crate) origin: Origin,
    pub(crate) fills: Fills,
    pub(crate) pseudonym: Pseudonym,
    /// Whether a cached image is sent when the origin cannot be asked whether it is still right.
    pub(crate) serve_stale: bool,
    pub(crate) counters: Counters,
}

impl Daemon {
    pub(crate) fn new(cache: Cache, origin: Origin, serve_stale: bool) -> Arc<Self> {
        Arc::new(Daemon {
            cache,
            origin,
            fills: Fills::default(),
            pseudonym: Pseudonym::new(),
            serve_stale,
            counters: Counters::default(),
        })
    }
}

/// Runs what may block on the disk on a thread where it blocks nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        // Only a panic of `work` ends here: the runtime does not go away under a running request.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
