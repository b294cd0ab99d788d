//! What the management API does to the cache.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Response, StatusCode};
use icewell::{Cache, ImageId, Mode, Summary};
use serde::Serialize;
use serde_json::json;
use tracing::info;

use super::{CLEAR_TARGET, Named, Old, Request, reply};
use crate::body::Body;
use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::filler::{self, Asker};

type Answered = Result<Response<Body>, Box<Response<Body>>>;

/// A cached image as Glance lists it.
#[derive(Serialize)]
struct Listed {
    image_id: String,
    hits: u64,
    /// Whole seconds since 1970.
    last_accessed: i64,
    last_modified: i64,
    size: u64,
}

impl From<Summary> for Listed {
    fn from(image: Summary) -> Self {
        let (last_accessed, last_modified) = (seconds(image.last_accessed), seconds(image.last_modified));
        Listed { image_id: image.id.to_string(), hits: image.hits, last_accessed, last_modified, size: image.size }
    }
}

/// Whole seconds, rounded down, also before 1970.
fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs_f64().ceil() as u64).unwrap_or(i64::MAX),
    }
}

fn cached(cache: &Cache) -> icewell::Result<Vec<Listed>> {
    Ok(cache.summaries()?.into_iter().map(Listed::from).collect())
}

fn queued(cache: &Cache) -> icewell::Result<Vec<String>> {
    Ok(cache.queued()?.into_iter().map(|queued| queued.id.to_string()).collect())
}

impl Request<'_> {
    pub(super) async fn list(&self) -> Answered {
        let (cached, queued) = self.with_cache(|cache| Ok((cached(cache)?, queued(cache)?))).await?;
        Ok(reply::json(&json!({ "cached_images": cached, "queued_images": queued })))
    }

    /// Queues an image, and begins to fetch it: at once and in the caller's name, if he is somebody to Glance; by the
    /// worker's look at the queue otherwise.
    pub(super) async fn queue(&self, image: Named) -> Answered {
        let in_callers_name = match &image.description {
            Some(description) if description.status != "active" => {
                return self
                    .refuse(StatusCode::BAD_REQUEST, "Only images with status active can be targeted for queueing");
            }
            description => description.is_some() && self.names_somebody(),
        };
        let id = image.id.clone();
        // First, so that it is asked for as long as it is not there, however the fill ends.
        let wanted = self.with_cache(move |cache| Ok(cache.queue(&id)? || cache.is_queued(&id)?)).await?;
        if wanted && in_callers_name {
            let Some(key) = self.daemon.key_of(&image.id) else { return Ok(reply::empty(StatusCode::ACCEPTED)) };
            let (fill, new) = self.daemon.fills.join_or_create(&key);
            if new {
                let asker = Asker::Client(self.passed_on());
                filler::start(self.daemon, &fill, asker, filler::Found::Missing, self.stop);
            }
        }
        self.daemon.queue_changed.notify_one();
        Ok(reply::empty(StatusCode::ACCEPTED))
    }

    /// Drops the copy, the queue entry and the fill under way, whichever there is.
    pub(super) async fn drop_image(&self, id: &ImageId) -> Answered {
        self.remove(id).await?;
        self.unqueue(id).await?;
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    /// Whether there is anything of the image here that a drop would take away.
    pub(super) async fn is_here(&self, id: &ImageId) -> Result<bool, Box<Response<Body>>> {
        let filling = self.daemon.fills.get(id).is_some();
        let id = id.clone();
        self.with_cache(move |cache| Ok(filling || cache.is_cached(&id)? || cache.is_queued(&id)?)).await
    }

    pub(super) async fn clear(&self) -> Answered {
        let target = self.parts.headers.get(CLEAR_TARGET).map_or(&b""[..], |target| target.as_bytes());
        let (cached, queued) = match target.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" => (true, true),
            b"cache" => (true, false),
            b"queue" => (false, true),
            _ => {
                let message = "If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.";
                return self.refuse(StatusCode::BAD_REQUEST, message);
            }
        };
        if cached {
            self.remove_all().await?;
        }
        if queued {
            self.unqueue_all().await?;
        }
        Ok(reply::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn clean(&self) -> Answered {
        let stall_time = self.daemon.live.borrow().stall_time;
        let cleaned = self.with_cache(move |cache| cache.clean(stall_time)).await?;
        info!(invalid = cleaned.invalid, stalled = cleaned.stalled, "cleaned, as an admin asked");
        Ok(reply::empty(StatusCode::OK))
    }

    pub(super) async fn prune(&self) -> Answered {
        let pruned = self.with_cache(|cache| cache.prune(cache.limit()?, Mode::Act)).await?;
        Ok(reply::json(&json!({ "total_files_pruned": pruned.files(), "total_bytes_pruned": pruned.bytes() })))
    }

    pub(super) async fn old(&self, operation: Old) -> Answered {
        Ok(match operation {
            Old::ListCached => {
                let cached = self.with_cache(cached).await?;
                reply::json(&json!({ "cached_images": cached }))
            }
            Old::ListQueued => {
                let queued = self.with_cache(queued).await?;
                reply::json(&json!({ "queued_images": queued }))
            }
            Old::DropAllCached => reply::json(&json!({ "num_deleted": self.remove_all().await? })),
            Old::UnqueueAll => reply::json(&json!({ "num_deleted": self.unqueue_all().await? })),
            Old::DropCached(name) => {
                self.remove(&self.legal(&name)?).await?;
                reply::json(&())
            }
            Old::Unqueue(name) => {
                self.unqueue(&self.legal(&name)?).await?;
                reply::json(&())
            }
            Old::Queue(name) => {
                let id = self.legal(&name)?;
                self.with_cache(move |cache| cache.queue(&id)).await?;
                reply::json(&())
            }
        })
    }

    fn legal(&self, name: &str) -> Result<ImageId, Box<Response<Body>>> {
        let unknown = |_| Box::new(self.error(StatusCode::NOT_FOUND, &format!("Image {name} not found.")));
        ImageId::new(name).map_err(unknown)
    }

    /// Removes the copy, and keeps the fill under way from becoming one. Who reads either reads on.
    async fn remove(&self, id: &ImageId) -> Result<(), Box<Response<Body>>> {
        if let Some(fill) = self.daemon.fills.get(id) {
            fill.do_not_keep();
        }
        let gone = id.clone();
        let removed = self.with_cache(move |cache| cache.remove(&gone)).await?;
        info!(image_id = %id, removed, "dropped, as an admin asked");
        Ok(())
    }

    async fn remove_all(&self) -> Result<u64, Box<Response<Body>>> {
        let removed = self.with_cache(|cache| cache.remove_all(false)).await?;
        info!(removed, "all images dropped but the pinned ones, as an admin asked");
        Ok(removed)
    }

    async fn unqueue(&self, id: &ImageId) -> Result<bool, Box<Response<Body>>> {
        let id = id.clone();
        self.with_cache(move |cache| cache.unqueue(&id)).await
    }

    async fn unqueue_all(&self) -> Result<u64, Box<Response<Body>>> {
        self.with_cache(Cache::unqueue_all).await
    }

    /// Works on the directory where that blocks nobody; what goes wrong is a 500 that says what.
    async fn with_cache<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cache) -> icewell::Result<T> + Send + 'static,
    ) -> Result<T, Box<Response<Body>>> {
        let daemon: Arc<Daemon> = self.daemon.clone();
        let done = blocking(move || work(&daemon.cache)).await;
        done.map_err(|error| Box::new(self.error(StatusCode::INTERNAL_SERVER_ERROR, &chain(&error))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whole_seconds() {
        assert_eq!(seconds(UNIX_EPOCH + Duration::from_millis(1999)), 1);
        assert_eq!(seconds(UNIX_EPOCH - Duration::from_millis(1999)), -2);
    }
}
