//! What an operator should know before anything else, in sentences: made of what is known, by plain rules.

use std::time::Duration;

use serde::Serialize;

/// How long a failure is worth a word.
pub(crate) const RECENT: Duration = Duration::from_secs(300);

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How bad it is.
    pub level: Level,
    /// What it is and what to do, in sentences.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Clients suffer.
    Bad,
    /// Nobody suffers yet.
    Warning,
}

/// What a look at a directory and its file system tells, without a daemon. In bytes.
#[derive(Clone, Copy, Debug)]
pub struct Fullness {
    /// What the limit counts.
    pub used: u64,
    /// The limit.
    pub limit: u64,
    /// What is free on the file system.
    pub available: u64,
    /// The file system's size.
    pub total: u64,
    /// What is to stay free of it.
    pub floor: u64,
    /// How long the image that goes next has not been used; none where none would go.
    pub tail_age: Option<Duration>,
}

impl Fullness {
    /// The notes that a daemon would tell of it, the worst first.
    pub fn notes(self) -> Vec<Note> {
        let Fullness { used, limit, available, total, floor, tail_age } = self;
        notes(&Known { used, limit, available, total, floor, tail_age, can_fetch: true, ..Known::default() })
    }
}

/// What the rules go by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    pub(crate) draining: bool,
    /// The bytes that the limit counts, and the limit.
    pub(crate) used: u64,
    pub(crate) limit: u64,
    /// What is free on the file system, of how much.
    pub(crate) available: u64,
    pub(crate) total: u64,
    /// What is to stay free of it; where the limit is more than there is room for, this is the limit.
    pub(crate) floor: u64,
    /// Failures of the last [`RECENT`] of which the origin is the cause, and those that are the cache's own.
    pub(crate) origin_failures: usize,
    pub(crate) own_failures: usize,
    pub(crate) queued: usize,
    /// Whether the daemon can fetch what is queued.
    pub(crate) can_fetch: bool,
    /// How long the image that goes next has not been used.
    pub(crate) tail_age: Option<Duration>,
}

/// The notes, the worst first.
pub(crate) fn notes(known: &Known) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |level, text: String| notes.push(Note { level, text });
    let minutes = RECENT.as_secs() / 60;
    if known.origin_failures > 0 {
        // One may be one client's broken link; several are the origin's.
        let (level, many) = match known.origin_failures {
            1 => (Level::Warning, "One fill has"),
            2 => (Level::Warning, "Two fills have"),
            _ => (Level::Bad, "Several fills have"),
        };
        let when = format!("in the last {minutes} minutes");
        note(level, format!("{many} failed at the origin {when}; the reasons stand under recent failures."));
    }
    if known.own_failures > 0 {
        note(
            Level::Bad,
            format!(
                "An image could not be kept in the last {minutes} minutes. Clients get it all the same, slowly, from the \
                 origin."
            ),
        );
    }
    if known.draining {
        note(Level::Warning, "The daemon is stopping: running downloads are finished, no new ones begun.".into());
    }
    if known.used > known.limit {
        let text = "The cache is over its limit: what is left is pinned, being filled, or written by somebody else.";
        note(Level::Warning, text.into());
    }
    let little = if known.floor > 0 { known.floor.min(known.total / 50) } else { known.total / 50 };
    if known.available < little {
        let text = "The file system is almost full. Make room on it, or lower the limit (--max-size).";
        note(Level::Warning, text.into());
    } else if known.floor == 0 && known.limit.saturating_sub(known.used) > known.available {
        let text = "The limit is more than the file system has room for; the disk will be full before the cache is. Lower \
                    the limit (--max-size), or say what is to stay free (--min-free).";
        note(Level::Warning, text.into());
    }
    if known.available < known.floor && known.tail_age.is_none() {
        let text = "Less is free on the file system than is to stay so (--min-free), and nothing that is cached may go: \
                    no image is cached until there is room.";
        note(Level::Warning, text.into());
    }
    if known.queued > 0 && !known.can_fetch {
        let text = "Images are queued, and the daemon has no credentials to fetch them with (OS_* or --os-cloud).";
        note(Level::Warning, text.into());
    }
    let to_limit = known.limit.saturating_sub(known.used);
    let to_floor = known.available.saturating_sub(known.floor);
    let room = to_limit.min(to_floor);
    let is_full = room < known.used.saturating_add(room) / 10;
    if is_full && known.tail_age.is_some_and(|age| age < Duration::from_secs(3600)) {
        let remedy = match to_limit <= to_floor {
            true => "Raise the limit (--max-size).",
            false => "It needs a larger disk, or less that is to stay free (--min-free).",
        };
        let text = format!("The cache is full, and images go that were used within the last hour. {remedy}");
        note(Level::Warning, text);
    }
    notes.sort_by_key(|note| note.level == Level::Warning);
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels of the notes of a daemon that is well but for this.
    fn levels(known: Known) -> String {
        let notes = notes(&known).into_iter();
        notes.map(|note| if note.level == Level::Bad { 'B' } else { 'W' }).collect()
    }

    #[test]
    fn what_is_worth_a_note() {
        let gib = 1 << 30;
        let well = Known {
            used: 5 * gib,
            limit: 10 * gib,
            available: 50 * gib,
            total: 100 * gib,
            can_fetch: true,
            queued: 3,
            tail_age: Some(Duration::from_secs(60)),
            ..Known::default()
        };
        for (known, expected) in [
            (well, ""),
            (Known { origin_failures: 1, ..well }, "W"),
            (Known { origin_failures: 2, own_failures: 1, ..well }, "BW"),
            (Known { origin_failures: 3, own_failures: 1, draining: true, ..well }, "BBW"),
            (Known { used: 11 * gib, tail_age: None, ..well }, "W"),
            (Known { available: gib, ..well }, "W"),
            (Known { available: 4 * gib, ..well }, "W"),
            (Known { can_fetch: false, ..well }, "W"),
            (Known { can_fetch: false, queued: 0, ..well }, ""),
            (Known { used: 10 * gib, ..well }, "W"),
            (Known { used: 10 * gib, tail_age: Some(Duration::from_secs(7200)), ..well }, ""),
            // What is to stay free is the limit, on purpose: no note but where that cannot be held, or images go too soon.
            (Known { available: 4 * gib, floor: gib, ..well }, ""),
            (Known { limit: 1000 * gib, floor: 20 * gib, ..well }, ""),
            (Known { available: gib, floor: gib, tail_age: Some(Duration::from_secs(7200)), ..well }, ""),
            (Known { available: 4 * gib, floor: 4 * gib, ..well }, "W"),
            (Known { available: 4 * gib, floor: 5 * gib, tail_age: None, ..well }, "W"),
            (Known { available: gib / 2, floor: gib, tail_age: None, ..well }, "WW"),
        ] {
            assert_eq!(levels(known), expected, "{known:?}");
        }
    }
}
