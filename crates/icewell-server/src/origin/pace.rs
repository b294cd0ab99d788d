//! How fast an answer's body has to come, so that an origin which drips does not hold what waits for it for ever.

use std::fmt;
use std::time::Duration;

/// Counts what comes against the time it was waited for. Time in which nobody waited, because the disk or a client was
/// slower, is not the origin's fault and does not count.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes a second; 0 for any.
    floor: u64,
    over: Duration,
    waited: Duration,
    came: u64,
}

/// The body comes too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow {
    came: u64,
    waited: Duration,
}

impl Pace {
    /// At least `floor` bytes a second, in each stretch of `over` of waiting.
    pub(super) fn new(floor: u64, over: Duration) -> Self {
        Pace { floor, over, waited: Duration::ZERO, came: 0 }
    }

    /// These many bytes came after this wait.
    ///
    /// # Errors
    ///
    /// A stretch has ended, and too few came in it.
    pub(super) fn came(&mut self, bytes: usize, waited: Duration) -> Result<(), TooSlow> {
        self.came += bytes as u64;
        self.waited += waited;
        if self.waited < self.over {
            return Ok(());
        }
        let wanted = u128::from(self.floor) * self.waited.as_millis() / 1000;
        if u128::from(self.came) < wanted {
            return Err(TooSlow { came: self.came, waited: self.waited });
        }
        (self.came, self.waited) = (0, Duration::ZERO);
        Ok(())
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooSlow { came, waited } = self;
        write!(f, "it comes too slowly: {came} bytes in {waited:.1?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these pieces, each with the milliseconds it was waited for, is the one too slow.
    fn too_slow(floor: u64, pieces: &[(usize, u64)]) -> Option<usize> {
        let mut pace = Pace::new(floor, Duration::from_secs(1));
        pieces.iter().position(|(bytes, millis)| pace.came(*bytes, Duration::from_millis(*millis)).is_err())
    }

    #[test]
    fn what_drips_is_too_slow_at_the_end_of_a_stretch_and_not_before() {
        let drip = [(1, 100); 30];
        assert_eq!(too_slow(1000, &drip), Some(9));
        assert_eq!(too_slow(10, &drip), None);
        assert_eq!(too_slow(11, &drip), Some(9));
        assert_eq!(too_slow(0, &drip), None);
    }

    #[test]
    fn each_stretch_counts_by_itself() {
        // A good start is no credit for what comes after it.
        assert_eq!(too_slow(1000, &[(1_000_000, 1000), (1, 999), (1, 1)]), Some(2));
        assert_eq!(too_slow(1000, &[(0, 999), (1000, 1), (0, 999), (1000, 1)]), None);
    }

    #[test]
    fn time_in_which_nobody_waited_does_not_count() {
        assert_eq!(too_slow(1000, &[(1, 0); 5000]), None);
    }

    #[test]
    fn a_floor_without_bounds_overflows_nothing() {
        assert_eq!(too_slow(u64::MAX, &[(1, 1000)]), Some(0));
    }
}
