//! Keeps the directory in order, so that nobody needs a cron job: stalled and failed fills go, and what others wrote over
//! the limit is pruned.

use std::sync::Arc;
use std::time::Duration;

use icewell::Cache;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::live::Live;

/// How often the directory is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long a failed fill is kept for a look.
const INVALID_KEPT: Duration = Duration::from_secs(86_400);

/// Starts the work; it ends when `stop` turns true.
pub(crate) fn start(daemon: &Arc<Daemon>, stop: &watch::Receiver<bool>) {
    tokio::spawn(tidy_always(daemon.cache.clone(), daemon.live.subscribe(), stop.clone()));
}

/// Whether to go on, after this long.
pub(crate) async fn pause(stop: &mut watch::Receiver<bool>, how_long: Duration) -> bool {
    tokio::time::timeout(how_long, stop.wait_for(|stop| *stop)).await.is_err()
}

/// Whether to go on, after this long or as soon as the settings have changed.
pub(crate) async fn pause_while(
    live: &mut watch::Receiver<Live>,
    stop: &mut watch::Receiver<bool>,
    how_long: Duration,
) -> bool {
    tokio::select! {
        goes_on = pause(stop, how_long) => goes_on,
        Ok(()) = live.changed() => true,
    }
}

async fn tidy_always(cache: Cache, mut live: watch::Receiver<Live>, mut stop: watch::Receiver<bool>) {
    loop {
        let (tidied, stall_time) = (cache.clone(), live.borrow_and_update().stall_time);
        if let Err(error) = blocking(move || tidy(&tidied, stall_time)).await {
            warn!(error = chain(&error), "the cache directory cannot be tidied");
        }
        if !pause_while(&mut live, &mut stop, TIDY_EVERY).await {
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
