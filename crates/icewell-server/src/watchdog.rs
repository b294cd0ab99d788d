//! What systemd hears of a running daemon: that it lives, and how it does.
//!
//! A sign of life is sent only where there is life: each thread that connections live on has run a task, and a thread that
//! may wait for the disk has read a tag of the directory, all within half of the time that systemd waits. A daemon that is
//! stuck, or whose disk is, is so started again, and not looked at for ever.

use std::sync::Arc;
use std::time::Duration;

use icewell::Cache;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::warn;

use crate::daemon::{Daemon, blocking};
use crate::janitor::pause;
use crate::notify::Notify;

/// How often the line for `systemctl status` is made anew.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Tells systemd, if it wants to know, until `stop` turns true. `threads` are those that connections live on.
pub(crate) fn start(daemon: &Arc<Daemon>, notify: &Arc<Notify>, threads: Vec<Handle>, stop: &watch::Receiver<bool>) {
    if let Some(period) = notify.watchdog() {
        tokio::spawn(tell_life(daemon.cache.clone(), notify.clone(), threads, period / 2, stop.clone()));
    }
    if notify.is_wanted() {
        tokio::spawn(tell_status(daemon.clone(), notify.clone(), stop.clone()));
    }
}

async fn tell_life(
    cache: Cache,
    notify: Arc<Notify>,
    threads: Vec<Handle>,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let started = tokio::time::Instant::now();
        match tokio::time::timeout(every, lives(&cache, &threads)).await {
            Ok(()) => notify.alive(),
            Err(_) => warn!(waited = ?every, "a thread or the disk does not answer; systemd gets no sign of life"),
        }
        if !pause(&mut stop, every.saturating_sub(started.elapsed())).await {
            return;
        }
    }
}

/// Comes to an end when everything that clients depend on has done something.
async fn lives(cache: &Cache, threads: &[Handle]) {
    let tasks: Vec<_> = threads.iter().map(|thread| thread.spawn(async {})).collect();
    for task in tasks {
        // A thread that has ended is not stuck.
        task.await.ok();
    }
    let cache = cache.clone();
    // That the directory cannot be read is told elsewhere, and no new start would mend it.
    blocking(move || drop(cache.limit())).await;
}

async fn tell_status(daemon: Arc<Daemon>, notify: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut told = String::new();
    loop {
        if let Some(line) = status(&daemon).await.filter(|line| *line != told) {
            notify.status(&line);
            told = line;
        }
        if !pause(&mut stop, STATUS_EVERY).await {
            return;
        }
    }
}

/// `12 images, 3.4 GiB of 10.0 GiB; 97 % of 1204 requests from the cache; 1 fill under way`.
async fn status(daemon: &Arc<Daemon>) -> Option<String> {
    let counted = daemon.census.counted(&daemon.cache).await.ok()?;
    let totals = daemon.counters.totals();
    let answered = totals.from_cache + totals.from_fill + totals.passed;
    let fills = daemon.fills.len();
    let (used, limit) = (gibibytes(counted.used()), gibibytes(counted.limit.max_size));
    let mut line = format!("{} {}, {used} of {limit} GiB", counted.images, plural(counted.images, "image"));
    if let Some(percent) = (totals.from_cache * 100).checked_div(answered) {
        line += &format!("; {percent} % of {answered} requests from the cache");
    }
    if fills > 0 {
        line += &format!("; {fills} {} under way", plural(fills as u64, "fill"));
    }
    Some(line)
}

fn plural(number: u64, one: &str) -> String {
    if number == 1 { one.to_owned() } else { format!("{one}s") }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_life_only_where_every_thread_has_done_something() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::open(temp.path()).unwrap();
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, stuck) = (runtime(), runtime());
        let threads = [stuck.handle().clone()];
        // Nobody runs what is given to that thread, so the time does not matter.
        let waited =
            ours.block_on(async { tokio::time::timeout(Duration::from_millis(10), lives(&cache, &threads)).await });
        assert!(waited.is_err());
        let works = std::thread::spawn(move || stuck.block_on(tokio::time::sleep(Duration::from_secs(3600))));
        ours.block_on(lives(&cache, &threads));
        drop(works);
    }
}
