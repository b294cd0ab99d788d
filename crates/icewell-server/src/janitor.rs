//! Keeps the directory in order, so that nobody needs a cron job: stalled and failed fills go, what others wrote over
//! the limit is pruned, and what is queued is fetched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use icewell::{Cache, ImageId};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::fill::{End, Progress};
use crate::filler;
use crate::key::Key;

/// How often the directory is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long a failed fill is kept for a look.
const INVALID_KEPT: Duration = Duration::from_secs(86_400);
/// How often the queue is looked at.
const QUEUE_EVERY: Duration = Duration::from_secs(1);
/// How many queued images are fetched at a time.
const AT_A_TIME: usize = 2;
/// How long a queued image that failed waits, at first and at most; the wait doubles each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// Starts both tasks; they end when `stop` turns true.
pub(crate) fn start(daemon: &Arc<Daemon>, stall_time: Duration, stop: &watch::Receiver<bool>) {
    tokio::spawn(tidy_always(daemon.cache.clone(), stall_time, stop.clone()));
    // Who fetches from a Glance has to be somebody, and the daemon is nobody yet.
    if daemon.origin.glance().is_none() {
        tokio::spawn(work_off_queue(daemon.clone(), stop.clone()));
    }
}

/// Whether to go on, after this long.
async fn pause(stop: &mut watch::Receiver<bool>, how_long: Duration) -> bool {
    tokio::time::timeout(how_long, stop.wait_for(|stop| *stop)).await.is_err()
}

async fn tidy_always(cache: Cache, stall_time: Duration, mut stop: watch::Receiver<bool>) {
    loop {
        let tidied = cache.clone();
        if let Err(error) = blocking(move || tidy(&tidied, stall_time)).await {
            warn!(error = chain(&error), "the cache directory cannot be tidied");
        }
        if !pause(&mut stop, TIDY_EVERY).await {
            return;
        }
    }
}

fn tidy(cache: &Cache, stall_time: Duration) -> Result<(), icewell::Error> {
    let invalid = cache.reap_invalid(INVALID_KEPT)?;
    let stalled = cache.reap_stalled(stall_time)?;
    if invalid + stalled > 0 {
        info!(invalid, stalled, "cleaned");
    }
    if !cache.enforce_limit()? {
        warn!("the cache is over its limit, and what is left is pinned or being filled");
    }
    Ok(())
}

/// When a queued image that failed may be tried again, and how long it waits after the next failure.
struct Waiting {
    until: Instant,
    next: Duration,
}

async fn work_off_queue(daemon: Arc<Daemon>, mut stop: watch::Receiver<bool>) {
    let mut running = tokio::task::JoinSet::new();
    let mut waiting: HashMap<ImageId, Waiting> = HashMap::new();
    loop {
        tokio::select! {
            going_on = pause(&mut stop, QUEUE_EVERY) => if !going_on { return },
            () = daemon.queue_changed.notified() => {}
        }
        while let Some(Ok((id, fetched))) = running.try_join_next() {
            if fetched {
                waiting.remove(&id);
            } else {
                let wait = waiting.get(&id).map_or(BACK_OFF.0, |waiting| waiting.next);
                waiting.insert(id, Waiting { until: Instant::now() + wait, next: (wait * 2).min(BACK_OFF.1) });
            }
        }
        let cache = daemon.cache.clone();
        let queued = match blocking(move || cache.queued()).await {
            Ok(queued) => queued,
            Err(error) => {
                warn!(error = chain(&error), "the queue cannot be read");
                continue;
            }
        };
        waiting.retain(|id, _| queued.iter().any(|queued| queued.id == *id));
        for queued in queued {
            if running.len() >= AT_A_TIME {
                break;
            }
            if waiting.get(&queued.id).is_some_and(|waiting| waiting.until > Instant::now()) {
                continue;
            }
            match Key::from_id(&queued.id) {
                Some(key) if daemon.fills.get(&key.id).is_none() => {
                    running.spawn(fetch(daemon.clone(), key, stop.clone()));
                }
                Some(_) => {}
                None => {
                    warn!(image_id = %queued.id, "queued, but no path of the origin has that name");
                    waiting.insert(queued.id, Waiting { until: Instant::now() + BACK_OFF.1, next: BACK_OFF.1 });
                }
            }
        }
    }
}

/// Fetches one image; whether it need not be tried again.
async fn fetch(daemon: Arc<Daemon>, key: Key, stop: watch::Receiver<bool>) -> (ImageId, bool) {
    let id = key.id.clone();
    let cache = daemon.cache.clone();
    let cached = blocking({
        let id = id.clone();
        move || {
            let cached = cache.is_cached(&id)?;
            if cached {
                cache.unqueue(&id)?;
            }
            Ok::<_, icewell::Error>(cached)
        }
    });
    if matches!(cached.await, Ok(true)) {
        return (id, true);
    }
    let (fill, new) = daemon.fills.join_or_create(&key);
    if new {
        filler::start(&daemon, &fill, HeaderMap::new(), filler::Found::Missing, &stop);
    }
    let mut progress = fill.follow();
    let end = progress.wait_for(|progress| matches!(progress, Progress::Whole { .. } | Progress::Ended(_))).await;
    let fetched = match end.as_deref() {
        Ok(Progress::Whole { .. } | Progress::Ended(End::Cached(_))) => true,
        // Off the queue: the origin has none.
        Ok(Progress::Ended(End::Refused(refusal))) if matches!(refusal.status.as_u16(), 404 | 410) => true,
        Ok(Progress::Ended(end)) => {
            warn!(image_id = %id, ?end, "a queued image could not be fetched; it is tried again later");
            false
        }
        _ => false,
    };
    drop(end);
    (id, fetched)
}
