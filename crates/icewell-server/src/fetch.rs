//! One image fetched into the cache, for the command: blocking, with progress, without the daemon.

use std::sync::Arc;
use std::time::Duration;

use icewell::{Adoption, Cache, ImageId};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::daemon::Daemon;
use crate::error::Error;
use crate::fill::{End, Fill, Progress};
use crate::filler;
use crate::key::Key;
use crate::keystone::{Credentials, Session};
use crate::origin::{Origin, Reach};
use crate::service::Service;

/// How long an origin is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long it may take to connect, to answer, and between two pieces of a body.
    pub timeout: Duration,
    /// How many bytes of a body have to come in a second, measured over `timeout` of waiting for it; 0 for any.
    pub min_rate: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { timeout: Duration::from_secs(30), min_rate: 1024 }
    }
}

/// Fetches images from one origin.
#[derive(Debug)]
pub struct Fetcher {
    daemon: Arc<Daemon>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

/// Whether the cache is bound to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bind {
    ToOrigin,
    Not,
}

/// What a fetch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The image came from the origin and is cached.
    Stored {
        /// Its size.
        bytes: u64,
    },
    /// It was cached already, or somebody else's fill of it was waited for.
    AlreadyCached,
}

impl Fetcher {
    /// A fetcher of this cache and origin; the cache is bound to the origin. The credentials are for a Glance, and the
    /// certificates that they trust are trusted there, too.
    ///
    /// # Errors
    ///
    /// A usage error for text that is no origin, and for a Glance without credentials; one of the library where the cache is bound to another.
    pub fn new(
        cache: Cache,
        origin: &str,
        credentials: Option<Credentials>,
        patience: Patience,
    ) -> Result<Self, Error> {
        Fetcher::make(cache, origin, credentials, patience, Bind::ToOrigin)
    }

    /// A fetcher for a cache that a Glance itself uses, from that Glance. It leaves the cache bound as it is, or to
    /// nothing: whose it is stands in that Glance's configuration.
    ///
    /// # Errors
    ///
    /// As those of [`new`](Fetcher::new).
    pub fn beside_glance(cache: Cache, origin: &str, credentials: Credentials) -> Result<Self, Error> {
        Fetcher::make(cache, origin, Some(credentials), Patience::default(), Bind::Not)
    }

    fn make(
        cache: Cache,
        origin: &str,
        credentials: Option<Credentials>,
        Patience { timeout, min_rate }: Patience,
        bind: Bind,
    ) -> Result<Self, Error> {
        let ca = credentials.as_ref().and_then(|credentials| credentials.ca().map(Into::into));
        let origin = Origin::parse(origin, &Reach { timeout, min_rate, ca })?;
        let credentials = credentials.filter(|_| origin.glance().is_some());
        if origin.glance().is_some() && credentials.is_none() {
            return Err(Error::usage(
                "cannot fetch from a Glance without credentials: set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and the like, \
                 or name a cloud of clouds.yaml with --os-cloud",
            ));
        }
        let session = credentials.map(|credentials| Session::new(credentials, timeout)).transpose()?;
        if bind == Bind::ToOrigin {
            // As in `serve`: a Glance's images have the same names everywhere.
            let adoption = if origin.glance().is_some() { Adoption::Allowed } else { Adoption::Refused };
            cache.bind_origin(origin.identity(), adoption)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Error::new("cannot start the runtime").with_source(error))?;
        Ok(Fetcher {
            daemon: Arc::new(Daemon {
                service: session.map(Service::new),
                origin_timeout: timeout,
                ..Daemon::new(cache, origin, runtime.handle().clone())
            }),
            runtime,
            stop: watch::Sender::new(false),
        })
    }

    /// Fetches the image, or waits for whoever fetches it already. Tells `progress` the bytes that are there and how
    /// many there will be, where that is known. Blocks.
    ///
    /// # Errors
    ///
    /// What the origin or the cache said; what was fetched up to a break is kept, and the next fetch goes on from it.
    pub fn fetch(&self, id: &ImageId, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<Fetched, Error> {
        if self.daemon.cache.is_cached(id)? {
            self.daemon.cache.unqueue(id)?;
            return Ok(Fetched::AlreadyCached);
        }
        let key = self.daemon.key_of(id).ok_or_else(|| {
            Error::new(format!("cannot fetch {id:?}: no image of the origin has that name in the cache"))
        })?;
        self.runtime.block_on(self.fill(&key, progress))
    }

    async fn fill(&self, key: &Key, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<Fetched, Error> {
        let (fill, new) = self.daemon.fills.join_or_create(key);
        if new {
            let asker = filler::Asker::of(&self.daemon);
            filler::start(&self.daemon, &fill, asker, filler::Found::Missing, &self.stop.subscribe());
        }
        let failed = |why: String| Err(Error::new(format!("cannot fetch {:?}: {why}", key.id)));
        let mut follow = fill.follow();
        loop {
            let now = follow.borrow_and_update().clone();
            match now {
                Progress::Asking => {}
                Progress::Filling { image, written } => progress(written, image.head.size),
                Progress::Whole { size, .. } => {
                    progress(size, Some(size));
                    return self.committed(&fill, size).await;
                }
                Progress::Ended(End::Cached(_)) => return Ok(Fetched::AlreadyCached),
                Progress::Ended(End::Uncached { why: "not-active", .. }) => {
                    return failed("Glance does not call it active: it has no data yet, or is deactivated".into());
                }
                Progress::Ended(End::Uncached { why, .. }) => return failed(format!("it cannot be cached ({why})")),
                Progress::Ended(End::Refused(refusal)) => {
                    return failed(format!("the origin answers {}", refusal.status));
                }
                Progress::Ended(End::Broken { reason, .. } | End::Unanswered { reason, .. }) => {
                    return failed(reason.to_string());
                }
                Progress::Ended(End::NotKept(_)) => return failed("the bytes cannot be kept".into()),
            }
            if follow.changed().await.is_err() {
                return failed("the fill is gone".into());
            }
        }
    }

    /// The fill leaves the list when its commit is done, well or not.
    async fn committed(&self, fill: &Fill, bytes: u64) -> Result<Fetched, Error> {
        let id = &fill.key.id;
        while self.daemon.fills.get(id).is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Who prunes may have removed it already.
        if fill.is_stored() || self.daemon.cache.is_cached(id)? {
            return Ok(Fetched::Stored { bytes });
        }
        Err(Error::new(format!("cannot fetch {id:?}: it could not be committed")))
    }
}
