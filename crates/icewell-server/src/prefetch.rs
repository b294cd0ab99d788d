//! Works off the queue: what is wanted is fetched before anybody asks for it. In front of a Glance that takes
//! credentials; whoever has them also goes on with fills that broke off and have no client left to go on for.
//!
//! The queue and what broke off are on the disk, so a restart forgets nothing but how long to wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use icewell::{Cache, Filler, ImageId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::fill::{End, Progress};
use crate::filler::{self, Asker};
use crate::janitor::pause;
use crate::key::Key;
use crate::retry_after::retry_after;

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many images are fetched at a time.
const AT_A_TIME: usize = 2;
/// How long an image that failed waits, at first and at most; the wait doubles each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));
/// How long at most an image waits because the origin asked for it (`Retry-After`).
const MAX_ASKED: Duration = Duration::from_secs(3600);

/// Starts the work; it ends when `stop` turns true.
pub(crate) fn start(daemon: &Arc<Daemon>, stop: &watch::Receiver<bool>) {
    if !can_work(daemon) {
        info!("no service credentials (OS_* or --os-cloud): what is queued waits");
        return;
    }
    tokio::spawn(work(daemon.clone(), stop.clone()));
}

/// Whether what is queued is fetched: a Glance gives nothing to nobody.
pub(crate) fn can_work(daemon: &Daemon) -> bool {
    daemon.origin.glance().is_none() || daemon.service.is_some()
}

async fn work(daemon: Arc<Daemon>, mut stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut waiting = Waiting::default();
    let (mut no_token, mut no_queue) = (String::new(), String::new());
    loop {
        let ready = is_logged_in(&daemon, &mut no_token).await;
        while let Some(Ok((id, done))) = running.try_join_next() {
            waiting.tell(id, done, Instant::now());
        }
        if ready {
            let (cache, broken_too) = (daemon.cache.clone(), daemon.service.is_some());
            match blocking(move || wanted(&cache, broken_too)).await {
                Ok(wanted) => {
                    no_queue.clear();
                    begin(&daemon, wanted, &mut waiting, &mut running, &stop);
                }
                Err(error) => {
                    let why = chain(&error);
                    if why != no_queue {
                        warn!(error = why, "the queue cannot be read; it is tried again all the time");
                    }
                    no_queue = why;
                }
            }
        }
        tokio::select! {
            going_on = pause(&mut stop, LOOK_EVERY) => if !going_on { return },
            () = daemon.queue_changed.notified() => {}
        }
    }
}

/// Whether the daemon is somebody, where it has to be. That it is not is told before anything is queued, each reason once;
/// it is tried again until it works.
async fn is_logged_in(daemon: &Daemon, told: &mut String) -> bool {
    let Some(service) = &daemon.service else { return true };
    let why = service.log_in().await.err().map(|error| chain(&error)).unwrap_or_default();
    if !why.is_empty() && why != *told {
        warn!(error = why, "no token for the service; what is queued waits");
    }
    *told = why;
    told.is_empty()
}

/// An image to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    id: ImageId,
    /// Whether it is on the queue; else an earlier fill of it broke off.
    queued: bool,
}

fn wanted(cache: &Cache, broken_too: bool) -> Result<Vec<Wanted>, icewell::Error> {
    let mut wanted: Vec<_> = cache.queued()?.into_iter().map(|queued| Wanted { id: queued.id, queued: true }).collect();
    if broken_too {
        let known: BTreeSet<_> = wanted.iter().map(|wanted| wanted.id.clone()).collect();
        let broken = cache.incomplete()?.into_iter();
        let broken = broken.filter(|fill| fill.filler == Filler::Icewell && !fill.active && fill.written > 0);
        let broken = broken.filter(|fill| !known.contains(&fill.id));
        wanted.extend(broken.map(|fill| Wanted { id: fill.id, queued: false }));
    }
    Ok(wanted)
}

/// Begins as many fetches as may run at a time, of those whose turn it is.
fn begin(
    daemon: &Arc<Daemon>,
    wanted: Vec<Wanted>,
    waiting: &mut Waiting,
    running: &mut JoinSet<(ImageId, Done)>,
    stop: &watch::Receiver<bool>,
) {
    waiting.keep_only(&wanted);
    for wanted in wanted {
        if running.len() >= AT_A_TIME {
            return;
        }
        if !waiting.is_due(&wanted.id, Instant::now()) || daemon.fills.get(&wanted.id).is_some() {
            continue;
        }
        match daemon.key_of(&wanted.id) {
            Some(key) => {
                running.spawn(fetch(daemon.clone(), key, wanted.queued, stop.clone()));
            }
            None => {
                warn!(image_id = %wanted.id, "queued, but no image of the origin has that name");
                waiting.give_up(wanted.id, Instant::now());
            }
        }
    }
}

/// What a fetch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    /// It need not be tried again.
    Yes,
    /// It has failed. The origin may have said how long it wants to be left alone.
    No(Option<Duration>),
}

/// Fetches one image.
async fn fetch(daemon: Arc<Daemon>, key: Key, queued: bool, stop: watch::Receiver<bool>) -> (ImageId, Done) {
    let id = key.id.clone();
    let (cache, looked_at) = (daemon.cache.clone(), id.clone());
    let cached = blocking(move || {
        let cached = cache.is_cached(&looked_at)?;
        if cached {
            cache.unqueue(&looked_at)?;
        }
        Ok::<_, icewell::Error>(cached)
    });
    if matches!(cached.await, Ok(true)) {
        return (id, Done::Yes);
    }
    let (fill, new) = daemon.fills.join_or_create(&key);
    if new {
        filler::start(&daemon, &fill, Asker::of(&daemon), filler::Found::Missing, &stop);
    }
    let mut progress = fill.follow_for_nobody();
    let end = progress.wait_for(|progress| matches!(progress, Progress::Whole { .. } | Progress::Ended(_))).await;
    let done = match end.as_deref() {
        Ok(Progress::Whole { .. } | Progress::Ended(End::Cached(_))) => Done::Yes,
        // Off the queue: the origin has none. What broke off waits until it counts as stalled.
        Ok(Progress::Ended(End::Refused(refusal))) if matches!(refusal.status.as_u16(), 404 | 410) => {
            info!(image_id = %id, status = %refusal.status, "wanted, but the origin has no such image");
            if queued && new { Done::Yes } else { Done::No(None) }
        }
        Ok(Progress::Ended(end)) => {
            warn!(image_id = %id, ?end, "a wanted image could not be fetched; it is tried again later");
            let refusal = if let End::Refused(refusal) = end { Some(refusal) } else { None };
            Done::No(refusal.and_then(|refusal| retry_after(&refusal.headers, SystemTime::now())))
        }
        _ => Done::No(None),
    };
    drop(end);
    (id, done)
}

/// Images that failed, and when they may be tried again.
#[derive(Debug, Default)]
struct Waiting(HashMap<ImageId, Wait>);

#[derive(Debug)]
struct Wait {
    until: Instant,
    next: Duration,
}

impl Waiting {
    fn tell(&mut self, id: ImageId, done: Done, now: Instant) {
        let Done::No(asked) = done else {
            self.0.remove(&id);
            return;
        };
        let wait = self.0.get(&id).map_or(BACK_OFF.0, |wait| wait.next);
        // As long as the origin asks for, but not as long as it likes: it may mean another clock.
        let until = now + wait.max(asked.unwrap_or_default().min(MAX_ASKED));
        self.0.insert(id, Wait { until, next: (wait * 2).min(BACK_OFF.1) });
    }

    fn give_up(&mut self, id: ImageId, now: Instant) {
        self.0.insert(id, Wait { until: now + BACK_OFF.1, next: BACK_OFF.1 });
    }

    fn is_due(&self, id: &ImageId, now: Instant) -> bool {
        self.0.get(id).is_none_or(|wait| wait.until <= now)
    }

    fn keep_only(&mut self, wanted: &[Wanted]) {
        self.0.retain(|id, _| wanted.iter().any(|wanted| wanted.id == *id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_waits_twice_as_long_each_time() {
        let (mut waiting, mut now) = (Waiting::default(), Instant::now());
        let id = ImageId::new("1").unwrap();
        assert!(waiting.is_due(&id, now));
        for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
            waiting.tell(id.clone(), Done::No(None), now);
            now += Duration::from_secs(wait);
            assert!(!waiting.is_due(&id, now - Duration::from_millis(1)), "{wait}");
            assert!(waiting.is_due(&id, now), "{wait}");
        }
        waiting.keep_only(&[Wanted { id: id.clone(), queued: true }]);
        assert_eq!(waiting.0.len(), 1);
        waiting.keep_only(&[]);
        assert_eq!(waiting.0.len(), 0);
    }

    #[test]
    fn who_is_told_when_to_come_again_does_not_come_before() {
        let now = Instant::now();
        let id = ImageId::new("1").unwrap();
        for (asked, waits) in [(0, 2), (1, 2), (90, 90), (1_000_000, 3600)] {
            let mut waiting = Waiting::default();
            waiting.tell(id.clone(), Done::No(Some(Duration::from_secs(asked))), now);
            assert!(!waiting.is_due(&id, now + Duration::from_secs(waits) - Duration::from_millis(1)), "{asked}");
            assert!(waiting.is_due(&id, now + Duration::from_secs(waits)), "{asked}");
            waiting.tell(id.clone(), Done::Yes, now);
            assert!(waiting.is_due(&id, now));
        }
    }
}
