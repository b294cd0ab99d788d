//! Where "now" comes from, and times as tags.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a cache takes the time of day from, so that tests need not sleep.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of day, as precise as the clock can tell it.
    fn now(&self) -> SystemTime;
}

/// The machine's clock, to the nanosecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// `SECONDS.NANOSECONDS` since the epoch.
pub(crate) fn to_tag(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// What [`to_tag`] wrote; none for anything else.
pub(crate) fn from_tag(text: &str) -> Option<SystemTime> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    if nanoseconds.len() != 9 || !seconds.bytes().chain(nanoseconds.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, nanoseconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_keep_the_nanosecond() {
        let time = UNIX_EPOCH + Duration::new(1_700_000_000, 7);
        assert_eq!(to_tag(time), "1700000000.000000007");
        assert_eq!(from_tag(&to_tag(time)), Some(time));
        for garbage in ["", "1", "1.5", "x.000000000", "-1.000000000", "99999999999999999999.000000000"] {
            assert_eq!(from_tag(garbage), None, "{garbage}");
        }
    }
}
