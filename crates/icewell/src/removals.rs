//! What was removed from DIR through this cache and its clones, and why, for whoever asks afterwards: in memory, and no
//! part of what is true of the directory.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crate::evict::Class;

/// How many removals are remembered.
const KEPT: usize = 100;

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A cached image.
    Image,
    /// A fill that had failed.
    InvalidFill,
    /// A fill that nobody went on with.
    AbandonedFill,
}

impl Removed {
    /// All of them.
    pub const ALL: [Removed; 3] = [Removed::Image, Removed::InvalidFill, Removed::AbandonedFill];

    /// `image`, `invalid_fill` or `abandoned_fill`.
    pub fn name(self) -> &'static str {
        match self {
            Removed::Image => "image",
            Removed::InvalidFill => "invalid_fill",
            Removed::AbandonedFill => "abandoned_fill",
        }
    }
}

impl From<Class> for Removed {
    fn from(class: Class) -> Self {
        match class {
            Class::Abandoned => Removed::AbandonedFill,
            Class::Invalid => Removed::InvalidFill,
            Class::Cached => Removed::Image,
        }
    }
}

/// Why something was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There was no more room within the limit, or above what is to stay free.
    Limit,
    /// The file system, or a quota, was full.
    DiskFull,
    /// A prune.
    Prune,
    /// It was old, and of no use any more.
    Old,
}

impl Why {
    /// All of them.
    pub const ALL: [Why; 4] = [Why::Limit, Why::DiskFull, Why::Prune, Why::Old];

    /// `limit`, `disk_full`, `prune` or `old`.
    pub fn name(self) -> &'static str {
        match self {
            Why::Limit => "limit",
            Why::DiskFull => "disk_full",
            Why::Prune => "prune",
            Why::Old => "old",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Limit => "the limit is reached",
            Why::DiskFull => "the file system is full",
            Why::Prune => "it was pruned",
            Why::Old => "it was of no use any more",
        })
    }
}

/// One removal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// The name of the file, which is the image's ID.
    pub name: String,
    /// What it was.
    pub what: Removed,
    /// Why it went.
    pub why: Why,
    /// The bytes that the limit counted for it.
    pub bytes: u64,
    /// When it was last used; of a fill, last written.
    pub last_used: SystemTime,
    /// When it went.
    pub at: Instant,
}

/// How much has gone for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gone {
    /// How many files.
    pub files: u64,
    /// The bytes that the limit counted for them.
    pub bytes: u64,
}

/// The removals since the cache was opened.
#[derive(Debug, Default)]
pub(crate) struct Removals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The latest first.
    last: VecDeque<Removal>,
    sums: [[Gone; Why::ALL.len()]; Removed::ALL.len()],
}

impl Removals {
    pub(crate) fn note(&self, name: &str, what: Removed, why: Why, bytes: u64, last_used: SystemTime) {
        let mut kept = self.lock();
        let sum = &mut kept.sums[what as usize][why as usize];
        sum.files += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
        kept.last.truncate(KEPT - 1);
        kept.last.push_front(Removal { name: name.into(), what, why, bytes, last_used, at: Instant::now() });
    }

    /// The last ones, the latest first.
    pub(crate) fn last(&self) -> Vec<Removal> {
        self.lock().last.iter().cloned().collect()
    }

    pub(crate) fn sum(&self, what: Removed, why: Why) -> Gone {
        self.lock().sums[what as usize][why as usize]
    }

    /// No code that holds this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_last_are_kept_and_all_are_summed_up() {
        let removals = Removals::default();
        for number in 0..KEPT + 5 {
            removals.note(&number.to_string(), Removed::Image, Why::Limit, 10, UNIX_EPOCH);
        }
        removals.note("x", Removed::AbandonedFill, Why::Old, 7, UNIX_EPOCH);
        let last = removals.last();
        assert_eq!((last.len(), last[0].name.as_str(), last[1].name.as_str()), (KEPT, "x", "104"));
        assert_eq!(removals.sum(Removed::Image, Why::Limit), Gone { files: 105, bytes: 1050 });
        assert_eq!(removals.sum(Removed::AbandonedFill, Why::Old), Gone { files: 1, bytes: 7 });
        assert_eq!(removals.sum(Removed::Image, Why::Prune), Gone::default());
    }
}
