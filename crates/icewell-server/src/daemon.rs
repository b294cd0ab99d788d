//! What every part of the daemon works with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use icewell::{Cache, ImageId};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::census::Census;
use crate::config::Config;
use crate::counters::Counters;
use crate::failures::Failures;
use crate::fill::Fills;
use crate::gone;
use crate::history::History;
use crate::key::Key;
use crate::live::Live;
use crate::manage::Management;
use crate::open_images::OpenImages;
use crate::origin::{Glance, Origin};
use crate::permits::Permits;
use crate::scrub_progress::ScrubProgress;
use crate::service::Service;
use crate::traces::Tracer;
use crate::verifications::Verifications;
use crate::via::Pseudonym;

/// The cache, its origin, and the fills under way.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) cache: Cache,
    pub(crate) origin: Origin,
    /// For how long the origin may say nothing.
    pub(crate) origin_timeout: Duration,
    /// Where fills run: not with the connections, which come and go.
    pub(crate) runtime: Handle,
    pub(crate) fills: Fills,
    pub(crate) open_images: OpenImages,
    pub(crate) pseudonym: Pseudonym,
    /// The settings that may change while it runs.
    pub(crate) live: watch::Sender<Live>,
    pub(crate) counters: Counters,
    pub(crate) oversized: Oversized,
    pub(crate) permits: Permits,
    /// Who the daemon is to a Glance, if it was told.
    pub(crate) service: Option<Service>,
    pub(crate) asked: gone::Asked,
    pub(crate) management: Management,
    /// Notified when something was queued, so that it is fetched at once.
    pub(crate) queue_changed: Notify,
    /// When it was made.
    pub(crate) started: (SystemTime, Instant),
    pub(crate) failures: Failures,
    pub(crate) census: Arc<Census>,
    pub(crate) history: History,
    pub(crate) verifications: Verifications,
    pub(crate) scrub_progress: ScrubProgress,
    /// Who traces what is done, if it is to be traced.
    pub(crate) tracer: Option<Arc<Tracer>>,
}

impl Daemon {
    /// One that is nobody to its origin, remembers no permit and serves nothing stale; its fills run on `runtime`.
    pub(crate) fn new(cache: Cache, origin: Origin, runtime: Handle) -> Self {
        let config = Config::new(cache.dir().to_owned(), origin.identity().to_owned());
        let live = Live::of(&config);
        Daemon {
            cache,
            origin,
            origin_timeout: config.origin_timeout,
            runtime,
            fills: Fills::default(),
            open_images: OpenImages::default(),
            pseudonym: Pseudonym::new(),
            live: watch::Sender::new(live),
            counters: Counters::default(),
            oversized: Oversized::default(),
            permits: Permits::new(Duration::ZERO),
            service: None,
            asked: gone::Asked::default(),
            management: Management::default(),
            queue_changed: Notify::new(),
            started: (SystemTime::now(), Instant::now()),
            failures: Failures::default(),
            census: Arc::default(),
            history: History::default(),
            verifications: Verifications::default(),
            scrub_progress: ScrubProgress::default(),
            tracer: None,
        }
    }

    /// Whether a cached image is sent when the origin cannot be asked whether it is still right.
    pub(crate) fn serves_stale(&self) -> bool {
        self.live.borrow().serve_stale
    }

    /// What the origin has to be asked for to get the image of this ID; none where no request gives that name.
    pub(crate) fn key_of(&self, id: &ImageId) -> Option<Key> {
        match &self.origin {
            Origin::Glance(_) => Some(Glance::key(id.clone(), None)),
            Origin::Folder(_) | Origin::Http(_) => Key::from_id(id),
        }
    }
}

/// Images that turned out too large for the limit only while they came. For a while they are not tried again: each try
/// would empty the cache for nothing.
#[derive(Debug, Default)]
pub(crate) struct Oversized(Mutex<HashMap<ImageId, Instant>>);

impl Oversized {
    const KEPT: Duration = Duration::from_secs(600);

    pub(crate) fn remember(&self, id: &ImageId) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|_, since| since.elapsed() < Self::KEPT);
        since.insert(id.clone(), Instant::now());
    }

    pub(crate) fn knows(&self, id: &ImageId) -> bool {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.get(id).is_some_and(|since| since.elapsed() < Self::KEPT)
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
