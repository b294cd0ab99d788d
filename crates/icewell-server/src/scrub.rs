//! The scrub: cached images are read again from time to time, slowly, and compared with the digests kept of them, so that
//! what a disk has lost is found before a machine boots from it.
//!
//! When each image was last compared is kept on the image, so a restart goes on where it was; one that is broken off in
//! the middle of an image begins that one anew.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use icewell::{ErrorKind, ImageId, Verdict};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::janitor::pause_while;
use crate::live::Live;
use crate::rot;

/// How often it is looked for images that are due, at least and at most.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// How often a pause in the middle of an image is left to hear of a stop.
const LISTEN_EVERY: Duration = Duration::from_millis(100);

/// How much is read how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scrub {
    /// Each image once in this time.
    pub(crate) every: Duration,
    /// Bytes a second.
    pub(crate) rate: u64,
}

impl Scrub {
    pub(crate) fn is_off(self) -> bool {
        self.every.is_zero() || self.rate == 0
    }
}

/// Starts the work; it ends when `stop` turns true. While it is switched off, it waits.
pub(crate) fn start(daemon: &Arc<Daemon>, stop: &watch::Receiver<bool>) {
    daemon.scrub_progress.goes_by(daemon.live.borrow().scrub);
    tokio::spawn(work(daemon.clone(), daemon.live.subscribe(), stop.clone()));
}

async fn work(daemon: Arc<Daemon>, mut live: watch::Receiver<Live>, mut stop: watch::Receiver<bool>) {
    loop {
        let scrub = live.borrow_and_update().scrub;
        daemon.scrub_progress.goes_by(scrub);
        let look_every = (scrub.every / 100).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        if scrub.is_off() {
            if !pause_while(&mut live, &mut stop, LOOK_EVERY.1).await {
                return;
            }
            continue;
        }
        let cache = daemon.cache.clone();
        match blocking(move || cache.scrub_due(scrub.every)).await {
            Ok(due) => {
                daemon.scrub_progress.found(due.len());
                for id in due {
                    if *stop.borrow() {
                        return;
                    }
                    // The rate may have changed with the last one.
                    let rate = daemon.live.borrow().scrub.rate.max(1);
                    read_again(&daemon, id, rate, &stop).await;
                }
            }
            Err(error) => warn!(error = chain(&error), "what is to be read again cannot be told"),
        }
        if !pause_while(&mut live, &mut stop, look_every).await {
            return;
        }
    }
}

async fn read_again(daemon: &Arc<Daemon>, id: ImageId, rate: u64, stop: &watch::Receiver<bool>) {
    let (reading, read, stop) = (daemon.clone(), id.clone(), stop.clone());
    let verdict = blocking(move || {
        let (started, mut bytes) = (Instant::now(), 0u64);
        if let Ok(Some(image)) = reading.cache.image(&read) {
            reading.scrub_progress.begin(&read, image.size);
        }
        reading.cache.scrub(&read, &mut |step| {
            bytes += step;
            reading.counters.scrubbed_bytes.inc_by(step);
            reading.scrub_progress.read(step);
            wait_until(started + Duration::from_secs_f64(bytes as f64 / rate as f64), &stop)
        })
    });
    let verdict = verdict.await;
    daemon.scrub_progress.end();
    match verdict {
        Ok(Some(Verdict::Corrupt(why))) => rot::is_corrupt(daemon, &id, &why).await,
        Ok(Some(verdict)) => {
            debug!(image_id = %id, ?verdict, "read again");
            daemon.counters.scrubbed.inc();
        }
        // The daemon stops, or the image has gone meanwhile.
        Ok(None) => {}
        Err(error) if error.kind() == ErrorKind::NotCached => {}
        Err(error) => warn!(image_id = %id, error = chain(&error), "the image cannot be read again"),
    }
}

fn wait_until(due: Instant, stop: &watch::Receiver<bool>) -> ControlFlow<()> {
    loop {
        if *stop.borrow() {
            return ControlFlow::Break(());
        }
        match due.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => thread::sleep(left.min(LISTEN_EVERY)),
            _ => return ControlFlow::Continue(()),
        }
    }
}
