//! Times as Python's `os.stat` has them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch, as `st_atime_ns`.
pub(crate) fn nanoseconds(time: SystemTime) -> i64 {
    // Good until the year 2262.
    let signed = |nanoseconds: u128| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => signed(since.as_nanos()),
        Err(before) => -signed(before.duration().as_nanos()),
    }
}

/// Seconds since the epoch, as `st_atime`: not to the nanosecond.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
