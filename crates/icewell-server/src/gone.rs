//! Images that Glance has no more: their copies go, too.
//!
//! A deletion through us is seen ([`proxy`](crate::proxy)). One elsewhere is noticed when a caller is told 404 of an
//! image that is cached. That alone says nothing: it may just not be this caller's. So the service asks, and believes a
//! 404 only where it is an administrator, to whom a Glance hides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use icewell::ImageId;
use tracing::{debug, info, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;

/// How often the service asks about one image at most: callers may well ask in vain all day.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// When the service asked about which image.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<HashMap<ImageId, Instant>>);

impl Asked {
    /// Whether it is time to ask about the image; then it counts as asked.
    fn is_due(&self, id: &ImageId, now: Instant) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, when| now.saturating_duration_since(*when) < ASK_EVERY);
        if asked.contains_key(id) {
            return false;
        }
        asked.insert(id.clone(), now);
        true
    }
}

/// A caller was told that there is no such image: the service has a look, in the background.
pub(crate) fn look(daemon: &Arc<Daemon>, id: &ImageId) {
    if daemon.service.is_some() && daemon.asked.is_due(id, Instant::now()) {
        tokio::spawn(drop_if_gone(daemon.clone(), id.clone()));
    }
}

async fn drop_if_gone(daemon: Arc<Daemon>, id: ImageId) {
    let (Some(service), Some(glance)) = (&daemon.service, daemon.origin.glance()) else { return };
    match service.is_gone(glance, &id).await {
        Ok(true) => drop_copy(&daemon, &id).await,
        Ok(false) => debug!(image_id = %id, "not this caller's, or not for us to tell; the copy stays"),
        Err(no_answer) => warn!(image_id = %id, reason = no_answer.reason, "whether it is gone cannot be asked"),
    }
}

/// Glance has the image no more: its copy and its place in the queue go, and nobody's yes of before counts any more.
pub(crate) async fn drop_copy(daemon: &Arc<Daemon>, id: &ImageId) {
    if let Some(fill) = daemon.fills.get(id) {
        fill.cancel();
    }
    daemon.permits.forget(id);
    let (cache, deleted) = (daemon.cache.clone(), id.clone());
    match blocking(move || cache.remove(&deleted).and_then(|removed| cache.unqueue(&deleted).map(|_| removed))).await {
        Ok(removed) => info!(image_id = %id, removed, "deleted at Glance"),
        Err(error) => warn!(image_id = %id, error = chain(&error), "the copy of a deleted image cannot be removed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_is_asked_about_once_in_a_while() {
        let (asked, now) = (Asked::default(), Instant::now());
        let (one, other) = (ImageId::new("1").unwrap(), ImageId::new("2").unwrap());
        assert!(asked.is_due(&one, now));
        assert!(!asked.is_due(&one, now + ASK_EVERY / 2));
        assert!(asked.is_due(&other, now + ASK_EVERY / 2));
        assert!(asked.is_due(&one, now + ASK_EVERY));
        assert_eq!(asked.0.lock().unwrap().len(), 2, "and what is long ago is forgotten");
    }
}
