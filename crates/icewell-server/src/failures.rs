//! What went wrong lately, for whoever watches the daemon: the last failures, with their reasons, in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use http::StatusCode;
use icewell::ImageId;

use crate::counters::FillEnd;
use crate::fill::{Break, End};
use crate::retry_after::is_for_now;

/// How many are remembered.
const KEPT: usize = 100;

/// The kind of failure that is the cache's own and not the origin's.
pub(crate) const NOT_KEPT: &str = "not_kept";

/// The last failures, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

/// A fill that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: SystemTime,
    pub(crate) id: ImageId,
    /// What kind it is: one of few words.
    pub(crate) kind: &'static str,
    /// What the clients were told, where they were told so.
    pub(crate) status: Option<StatusCode>,
    /// Why, in words.
    pub(crate) reason: String,
    /// How often it happened in a row.
    pub(crate) times: u64,
}

impl Failures {
    /// Remembers how a fill ended, if that was a failure.
    pub(crate) fn remember(&self, id: &ImageId, end: &End) {
        let Some((kind, status, reason)) = failure(end) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut failure = Failure { at: SystemTime::now(), id: id.clone(), kind, status, reason, times: 1 };
        // An image that fails again and again must not push out all others.
        if let Some(same) = kept.iter().position(|last| last.is_again(&failure)) {
            failure.times += kept.remove(same).map_or(0, |same| same.times);
        }
        kept.truncate(KEPT - 1);
        kept.push_front(failure);
    }

    /// The last ones, the latest first.
    pub(crate) fn last(&self) -> Vec<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Failure {
    fn is_again(&self, other: &Failure) -> bool {
        (&self.id, self.kind, &self.reason) == (&other.id, other.kind, &other.reason)
    }
}

/// What went wrong with a fill that ended so: its kind, what clients are told, and why. That an image is not there is
/// nobody's failure, nor that it may not be kept.
pub(crate) fn failure(end: &End) -> Option<(&'static str, Option<StatusCode>, String)> {
    match end {
        End::Cached(_) => None,
        End::Uncached {
            why: why @ ("no-room" | "storage-full" | "cannot-store" | "cannot-claim" | "stalled-elsewhere"),
            ..
        } => Some((NOT_KEPT, None, format!("passed through uncached: {why}"))),
        End::Uncached { .. } => None,
        End::Refused(refusal) if is_for_now(refusal.status) => {
            Some(("origin_error", Some(refusal.status), format!("the origin answers {}", refusal.status)))
        }
        End::Refused(_) => None,
        End::Broken { how: Break::Deleted, .. } => None,
        End::Broken { status, reason, .. } | End::Unanswered { status, reason } => {
            Some(("broken", Some(*status), reason.to_string()))
        }
        End::NotKept(_) => Some((NOT_KEPT, None, "the bytes could not be kept; clients got them all the same".into())),
    }
}

/// Why fills fail, in few words, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The origin answered with an error of its own.
    OriginError,
    /// It did not answer.
    NoAnswer,
    /// Nothing came from it for too long.
    Timeout,
    /// It broke off, and did not go on.
    BrokenOff,
    /// It sent other bytes than it had announced.
    WrongBytes,
    /// There was no room within the limit.
    NoRoom,
    /// The disk was full.
    StorageFull,
    /// The bytes could not be kept for another reason, which the log tells.
    NotKept,
}

impl Reason {
    pub(crate) const ALL: [(Reason, &'static str); 8] = [
        (Reason::OriginError, "origin_error"),
        (Reason::NoAnswer, "no_answer"),
        (Reason::Timeout, "timeout"),
        (Reason::BrokenOff, "broken_off"),
        (Reason::WrongBytes, "wrong_bytes"),
        (Reason::NoRoom, "no_room"),
        (Reason::StorageFull, "storage_full"),
        (Reason::NotKept, "not_kept"),
    ];
}

/// Why a fill failed that ended so; none where it did not.
pub(crate) fn reason(end: &End) -> Option<Reason> {
    failure(end)?;
    Some(match end {
        End::Refused(_) => Reason::OriginError,
        End::Unanswered { status, .. } if *status == StatusCode::GATEWAY_TIMEOUT => Reason::Timeout,
        End::Unanswered { .. } => Reason::NoAnswer,
        End::Broken { how: Break::Wrong, .. } => Reason::WrongBytes,
        End::Broken { .. } => Reason::BrokenOff,
        End::Uncached { why: "no-room", .. } => Reason::NoRoom,
        End::Uncached { why: "storage-full", .. } => Reason::StorageFull,
        End::Cached(_) | End::Uncached { .. } | End::NotKept(_) => Reason::NotKept,
    })
}

/// How a fill ended that left its followers with this, or with an image and nothing more to tell.
pub(crate) fn outcome(end: Option<&End>) -> FillEnd {
    match end {
        None => FillEnd::Stored,
        Some(End::Cached(_)) => FillEnd::Cached,
        Some(end) => match failure(end) {
            None => FillEnd::Refused,
            Some(("origin_error", ..)) => FillEnd::OriginError,
            Some((NOT_KEPT, ..)) => FillEnd::NotKept,
            Some(_) => FillEnd::Broken,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fill::Good;

    fn broken(reason: &str) -> End {
        End::Broken { how: Break::Off, status: StatusCode::BAD_GATEWAY, reason: reason.into() }
    }

    #[test]
    fn the_last_are_kept_the_latest_first() {
        let failures = Failures::default();
        for n in 0..KEPT + 5 {
            failures.remember(&ImageId::new(&n.to_string()).unwrap(), &broken("reset"));
        }
        failures.remember(&ImageId::new("good").unwrap(), &End::Cached(Good::Stored));
        let last = failures.last();
        assert_eq!((last.len(), last[0].id.as_str(), last[KEPT - 1].id.as_str()), (KEPT, "104", "5"));
        assert_eq!((last[0].kind, last[0].reason.as_str()), ("broken", "reset"));
        failures.remember(&ImageId::new("50").unwrap(), &broken("reset"));
        failures.remember(&ImageId::new("50").unwrap(), &broken("timed out"));
        let last = failures.last();
        assert_eq!((last.len(), last[0].times, last[1].times, last[2].id.as_str()), (KEPT, 1, 2, "104"));
    }
}
