//! Who else has the image, or fills it: the claim, and another process's fill.
//!
//! What `icewell add` or a Glance brings into the directory speaks for nobody but itself: neither it nor its bytes are sent
//! before they have been compared with what the origin has. It is told by its having no record of freshness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use icewell::{ErrorKind, Image, Observed, Observer, Writer};
use tracing::{info, warn};

use super::Filler;
use super::ending::uncached;
use crate::daemon::blocking;
use crate::error::chain;
use crate::fill::{Break, End, Good, Growing, Progress};
use crate::image_head::ImageHead;

/// How often a fill of another process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who has written nothing for so long is waited for no more: as long as an origin is by default.
const STALLED: Duration = Duration::from_secs(30);

/// Who fills an image.
pub(super) enum Claim {
    Ours(Box<Writer>),
    Theirs(Observer),
}

/// Whether an image that was just found cached may be sent without a further question.
pub(super) fn good(image: &Image) -> Good {
    if image.metadata.freshness.is_some() { Good::Stored } else { Good::ByHand }
}

impl Filler {
    /// Claims the image. Another process that fills it from the origin is watched; who fills it from elsewhere, or without
    /// Icewell's mark, as a Glance does, is waited for while it gets on.
    pub(super) async fn claim(&self) -> Result<Claim, End> {
        let mut patience = Instant::now();
        loop {
            let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
            let claimed = blocking(move || match cache.write(&id) {
                Ok(writer) => Ok(Some(Claim::Ours(Box::new(writer)))),
                Err(error) if error.kind() == ErrorKind::InProgress => {
                    let theirs = cache.observe(&id)?.filter(|theirs| theirs.metadata().freshness.is_some());
                    Ok(theirs.map(Claim::Theirs))
                }
                Err(error) => Err(error),
            });
            match claimed.await {
                Ok(Some(claim)) => return Ok(claim),
                Ok(None) if *self.stop.borrow() => return Err(uncached("stopping", None, None)),
                Ok(None) => {
                    if Instant::now() >= patience {
                        let still = STALLED.saturating_sub(self.standing_still().await);
                        if still.is_zero() {
                            return Err(uncached("stalled-elsewhere", None, None));
                        }
                        patience = Instant::now() + still;
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyCached => return Err(self.found_cached().await),
                Err(error) => return Err(uncached("cannot-claim", None, Some(&error))),
            }
        }
    }

    /// For how long nothing was written of the image that somebody else brings in.
    async fn standing_still(&self) -> Duration {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        let incomplete = blocking(move || cache.incomplete()).await.unwrap_or_default();
        let theirs = incomplete.iter().find(|fill| fill.id == id);
        // One that is gone by now has not stood still; and a clock that was set back tells nothing.
        theirs.and_then(|fill| fill.last_modified.elapsed().ok()).unwrap_or_default()
    }

    /// Somebody cached it since it was looked for.
    async fn found_cached(&self) -> End {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        let image = blocking(move || cache.image(&id)).await.ok().flatten();
        // One that is gone by now is looked for anew, too.
        End::Cached(image.map_or(Good::ByHand, |image| good(&image)))
    }

    /// Follows the fill of another process, so that its clients and ours share one download. Where it breaks off, or
    /// gets nowhere although it had the time to ask its origin anew, as if the process had been stopped, followers go
    /// on with the origin, and the next request begins a fill of our own. Where its bytes were wrong, so are those that
    /// ours were sent.
    pub(super) async fn watch(&self, observer: Observer) -> Option<End> {
        let head = ImageHead::of_metadata(observer.size(), observer.metadata().clone());
        let image = Arc::new(Growing { theirs: true, ..Growing::new(head, observer.file().clone()) });
        info!(image_id = %self.fill.key.id, "another process fills the image; following it");
        self.daemon.open_images.watch(&image);
        self.fill.set(Progress::Filling { image: image.clone(), written: 0 });
        let observer = Arc::new(observer);
        let (mut got_to, mut got_on) = (0, Instant::now());
        loop {
            let looking = observer.clone();
            match blocking(move || looking.look()).await {
                Ok(Observed::Filling { .. }) if *self.stop.borrow() => return Some(End::NotKept(None)),
                Ok(Observed::Filling { written }) if written > got_to => {
                    self.fill.advance(written);
                    (got_to, got_on) = (written, Instant::now());
                }
                Ok(Observed::Filling { .. }) if got_on.elapsed() / 2 > self.daemon.origin_timeout => {
                    warn!(image_id = %self.fill.key.id, "the other process stands still; it is followed no more");
                    return Some(End::NotKept(None));
                }
                Ok(Observed::Filling { .. }) => {}
                Ok(Observed::Committed) => break,
                Ok(Observed::Ended) => return Some(ended(observer).await),
                Err(error) => {
                    warn!(image_id = %self.fill.key.id, error = chain(&error), "the other fill cannot be followed");
                    return Some(End::NotKept(None));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (cache, fill) = (self.daemon.cache.clone(), self.fill.clone());
        let reader = blocking(move || cache.read(&fill.key.id)).await.ok()?;
        self.fill.set(Progress::Whole { image, size: reader.image().size });
        let fill = self.fill.clone();
        blocking(move || fill.committed(reader)).await;
        None
    }
}

/// How another process's fill ended that brought no image.
async fn ended(observer: Arc<Observer>) -> End {
    match blocking(move || observer.failure()).await {
        Some(reason) => End::Broken { how: Break::Wrong, status: StatusCode::BAD_GATEWAY, reason: reason.into() },
        None => End::NotKept(None),
    }
}
