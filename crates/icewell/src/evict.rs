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
    /// The bytes that its removal gives back.
    pub(crate) bytes: u64,
    pub(crate) last_used: SystemTime,
}

/// What to remove, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan<T> {
    pub(crate) victims: Vec<Candidate<T>>,
    /// Whether that frees what was asked for.
    pub(crate) enough: bool,
}

/// Which candidates to remove so that at least `excess` bytes come free: abandoned fills first, then failed ones, then
/// images, each the least recently used first, and of two used at the same time the one whose name comes first.
/// Those that `keep` says yes to stay; it is asked only of those whose turn has come.
pub(crate) fn plan<T: Ord>(
    mut candidates: Vec<Candidate<T>>,
    excess: u64,
    mut keep: impl FnMut(&Candidate<T>) -> bool,
) -> Plan<T> {
    candidates.sort_by(|a, b| (a.class, a.last_used, &a.what).cmp(&(b.class, b.last_used, &b.what)));
    let mut victims = Vec::new();
    let mut freed = 0u64;
    for candidate in candidates {
        if freed >= excess {
            break;
        }
        if !keep(&candidate) {
            freed = freed.saturating_add(candidate.bytes);
            victims.push(candidate);
        }
    }
    Plan { victims, enough: freed >= excess }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn candidate(what: &'static str, class: Class, bytes: u64, at: u64) -> Candidate<&'static str> {
        Candidate { what, class, bytes, last_used: UNIX_EPOCH + Duration::from_nanos(at) }
    }

    fn names(excess: u64, keep: &[&str]) -> (Vec<&'static str>, bool) {
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
