//! What the benchmarks share.

use std::time::{Duration, Instant};

/// `cargo bench` gives `--bench`; `cargo test` builds and starts benchmarks too, and they have nothing to do then.
pub(crate) fn asked_for() -> bool {
    std::env::args().any(|argument| argument == "--bench") && !std::env::args().any(|argument| argument == "--test")
}

/// A directory of the benchmark's own, removed at the end.
pub(crate) fn directory() -> tempfile::TempDir {
    match std::env::var_os("ICEWELL_BENCH_DIR") {
        Some(parent) => tempfile::tempdir_in(parent).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

/// The middle one of so many measurements.
pub(crate) fn median(rounds: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..rounds).map(|_| measure()).collect();
    times.sort();
    times[rounds / 2]
}
