//! How fast bytes come: over the last seconds, so that a stall is seen and a hiccup is not.

use std::time::{Duration, Instant};

/// Over how long the rate is taken.
const WINDOW: Duration = Duration::from_secs(2);

/// The pace of one fill.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Where it was when this window began, and when that was.
    from: Option<(u64, Instant)>,
    /// Where it has come to.
    at: u64,
    /// When it began.
    begun: Instant,
    /// Bytes a second in the window before.
    before: Option<f64>,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Pace { from: None, at: 0, begun: now, before: None }
    }

    /// It has come to this many bytes. What was there at the first of these calls may be from an earlier fill.
    pub(crate) fn reached(&mut self, bytes: u64, now: Instant) {
        let (from, since) = *self.from.get_or_insert((bytes, self.begun));
        self.at = bytes;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= WINDOW {
            self.before = Some(per_second(bytes.saturating_sub(from), elapsed));
            self.from = Some((bytes, now));
        }
    }

    /// Bytes a second. As long as no window has ended, from the beginning on.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        let Some((from, since)) = self.from else { return 0.0 };
        let elapsed = now.saturating_duration_since(since);
        match self.before {
            Some(before) if elapsed < WINDOW => before,
            _ => per_second(self.at.saturating_sub(from), elapsed),
        }
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { bytes as f64 / elapsed.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_and_what_was_there_before_is_no_speed() {
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        let mut pace = Pace::new(begun);
        assert_eq!(pace.rate(after(5)), 0.0);
        pace.reached(1_000_000, after(0));
        assert_eq!(pace.rate(after(500)), 0.0, "resumed, and nothing has come yet");
        pace.reached(1_000_100, after(1000));
        assert_eq!(pace.rate(after(1000)), 100.0);
        pace.reached(1_000_400, after(2000));
        assert_eq!(pace.rate(after(2000)), 200.0);
        assert_eq!(pace.rate(after(3900)), 200.0);
        assert_eq!(pace.rate(after(4000)), 0.0, "nothing for a whole window");
        pace.reached(1_000_400 + 400, after(6000));
        assert_eq!(pace.rate(after(6000)), 100.0);
    }
}
