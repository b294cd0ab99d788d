//! What to remove, as a pure function: no clock, no disk.

use std::time::SystemTime;

/// What a file is to the cache; what comes first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// A fill that nobody goes on with.
    Abandoned,
    /// A fill that failed.
    Invalid,
    /// An image.
    Cached,
}

/// A file that may be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<T> {
    pub(crate) what: T,
    pub(crate) class: Class,
    /// The bytes that the limit counts less when it is gone.
    pub(crate) bytes: u64,
    /// The bytes of disk that its removal gives back.
    pub(crate) blocks: u64,
    pub(crate) last_used: SystemTime,
}

/// How much has to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excess {
    /// Of the bytes that the limit counts.
    pub(crate) counted: u64,
    /// Of disk.
    pub(crate) blocks: u64,
}

/// What to remove, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan<T> {
    pub(crate) victims: Vec<Candidate<T>>,
    /// Whether that frees what was asked for.
    pub(crate) enough: bool,
}

/// Which candidates to remove so that at least the `excess` comes free: abandoned fills first, then failed ones, then
/// images, each the least recently used first, and of two used at the same time the one whose name comes first.
/// Those that `keep` says yes to stay; it is asked only of those whose turn has come.
pub(crate) fn plan<T: Ord>(
    mut candidates: Vec<Candidate<T>>,
    excess: Excess,
    mut keep: impl FnMut(&Candidate<T>) -> bool,
) -> Plan<T> {
    candidates.sort_by(|a, b| (a.class, a.last_used, &a.what).cmp(&(b.class, b.last_used, &b.what)));
    let mut victims = Vec::new();
    let mut freed = Excess::default();
    let is_enough = |freed: Excess| freed.counted >= excess.counted && freed.blocks >= excess.blocks;
    for candidate in candidates {
        if is_enough(freed) {
            break;
        }
        if !keep(&candidate) {
            freed.counted = freed.counted.saturating_add(candidate.bytes);
            freed.blocks = freed.blocks.saturating_add(candidate.blocks);
            victims.push(candidate);
        }
    }
    Plan { victims, enough: is_enough(freed) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn candidate(what: &'static str, class: Class, bytes: u64, at: u64) -> Candidate<&'static str> {
        // As of a sparse file: fewer blocks than bytes.
        Candidate { what, class, bytes, blocks: bytes / 2, last_used: UNIX_EPOCH + Duration::from_nanos(at) }
    }

    fn names(counted: u64, keep: &[&str]) -> (Vec<&'static str>, bool) {
        names_of(Excess { counted, blocks: 0 }, keep)
    }

    fn names_of(excess: Excess, keep: &[&str]) -> (Vec<&'static str>, bool) {
        let candidates = vec![
            candidate("young", Class::Cached, 10, 30),
            candidate("old", Class::Cached, 10, 10),
            candidate("twin b", Class::Cached, 10, 20),
            candidate("twin a", Class::Cached, 10, 20),
            candidate("failed", Class::Invalid, 5, 99),
            candidate("left", Class::Abandoned, 5, 100),
        ];
        let plan = plan(candidates, excess, |candidate| keep.contains(&candidate.what));
        (plan.victims.into_iter().map(|victim| victim.what).collect(), plan.enough)
    }

    #[test]
    fn what_goes_first() {
        assert_eq!(names(0, &[]), (vec![], true));
        assert_eq!(names(1, &[]), (vec!["left"], true));
        assert_eq!(names(6, &[]), (vec!["left", "failed"], true));
        assert_eq!(names(11, &[]), (vec!["left", "failed", "old"], true));
        assert_eq!(names(21, &[]), (vec!["left", "failed", "old", "twin a"], true));
        assert_eq!(names(50, &[]), (vec!["left", "failed", "old", "twin a", "twin b", "young"], true));
    }

    #[test]
    fn both_the_limit_and_the_floor_have_to_hold() {
        let until = |counted, blocks| names_of(Excess { counted, blocks }, &[]).0.len();
        assert_eq!((until(1, 0), until(1, 2), until(1, 3), until(6, 1)), (1, 1, 2, 2));
        assert_eq!(until(0, 9), 3);
        assert!(!names_of(Excess { counted: 0, blocks: 25 }, &[]).1);
    }

    #[test]
    fn what_is_pinned_stays() {
        assert_eq!(names(11, &["old"]), (vec!["left", "failed", "twin a"], true));
    }

    #[test]
    fn what_is_not_enough_is_told() {
        assert_eq!(names(51, &[]).0.len(), 6);
        assert!(!names(51, &[]).1);
        assert!(!names(41, &["young"]).1);
        assert!(names(40, &["young"]).1);
    }
}
