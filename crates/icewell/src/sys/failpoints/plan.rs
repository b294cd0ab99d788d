//! What is to happen at which point: a line of text, read, and followed.

use rustix::io::Errno;

use super::{CALLS, STEPS};

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The process dies, as by `kill -9`.
    Kill,
    /// The process stops, until somebody sends it `SIGCONT`.
    Pause,
    /// From here on each call fails with `EIO`: the disk is gone. To a thread alone it is as if it had died.
    Gone,
    /// The call fails.
    Fail(Errno),
}

#[derive(Debug)]
struct Rule {
    point: usize,
    /// The first and the last time at which it is followed.
    first: u64,
    last: u64,
    act: Act,
}

/// What is to happen, and what has happened so far.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Vec<Rule>,
    /// How often each point was reached.
    pub(super) reached: Vec<u64>,
    /// How often a rule was followed.
    pub(super) followed: u64,
    gone: bool,
}

const ERRORS: &[(&str, Errno)] = &[
    ("EACCES", Errno::ACCESS),
    ("EAGAIN", Errno::AGAIN),
    ("EDQUOT", Errno::DQUOT),
    ("EEXIST", Errno::EXIST),
    ("EINTR", Errno::INTR),
    ("EINVAL", Errno::INVAL),
    ("EIO", Errno::IO),
    ("ELOOP", Errno::LOOP),
    ("EMFILE", Errno::MFILE),
    ("ENOENT", Errno::NOENT),
    ("ENOLCK", Errno::NOLCK),
    ("ENOMEM", Errno::NOMEM),
    ("ENOSPC", Errno::NOSPC),
    ("ENOSYS", Errno::NOSYS),
    ("ENOTSUP", Errno::OPNOTSUPP),
    ("EPERM", Errno::PERM),
    ("EROFS", Errno::ROFS),
    ("ESTALE", Errno::STALE),
    ("EXDEV", Errno::XDEV),
];

/// Whichever point is reached.
const ANY: usize = CALLS.len() + STEPS.len();

/// The points' names, calls first.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().chain(STEPS).copied().chain(["any"])
}

impl Plan {
    /// Reads `POINT[:N][+]=ACT`, several of them with commas between; nothing is a plan that only counts.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rules = text.split(',').filter(|rule| !rule.is_empty()).map(Rule::parse).collect::<Result<_, _>>()?;
        Ok(Plan { rules, reached: vec![0; ANY + 1], followed: 0, gone: false })
    }

    /// Notes that a point was reached; what is to happen there.
    pub(super) fn reach(&mut self, point: usize) -> Option<Act> {
        for point in [point, ANY] {
            *self.reached.get_mut(point)? += 1;
        }
        if self.gone {
            return Some(Act::Gone);
        }
        let is_due = |rule: &&Rule| (rule.first..=rule.last).contains(&self.reached[rule.point]);
        let rule = self.rules.iter().filter(|rule| [point, ANY].contains(&rule.point)).find(is_due)?;
        self.followed += 1;
        self.gone = rule.act == Act::Gone;
        Some(rule.act)
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not of the form POINT[:N][+]=ACT");
        let (place, act) = text.split_once('=').ok_or_else(form)?;
        let (place, every) = place.strip_suffix('+').map_or((place, false), |place| (place, true));
        let (name, first) = match place.split_once(':') {
            Some((name, number)) => (name, number.parse().ok().filter(|number| *number > 0).ok_or_else(form)?),
            None => (place, 1),
        };
        let point = names().position(|known| known == name).ok_or_else(|| {
            format!("there is no point {name:?}; there are {}", names().collect::<Vec<_>>().join(", "))
        })?;
        let act = match act {
            "kill" => Act::Kill,
            "pause" => Act::Pause,
            "gone" => Act::Gone,
            _ if point >= CALLS.len() => {
                return Err(format!("{name:?} is no call, and may kill, pause or be gone, not {act:?}"));
            }
            _ => {
                ERRORS.iter().find(|(known, _)| *known == act).map(|(_, errno)| Act::Fail(*errno)).ok_or_else(|| {
                    let known: Vec<_> = ERRORS.iter().map(|(known, _)| *known).collect();
                    format!("{act:?} is none of kill, pause, gone, {}", known.join(", "))
                })?
            }
        };
        Ok(Rule { point, first, last: if every { u64::MAX } else { first }, act })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str) -> usize {
        names().position(|known| known == name).unwrap()
    }

    #[test]
    fn a_rule_is_followed_at_its_time_or_from_then_on() {
        let mut plan = Plan::parse("fsync:2=EIO,openat+=EMFILE").unwrap();
        let times = |plan: &mut Plan, name: &str| [(); 3].map(|()| plan.reach(at(name)));
        assert_eq!(times(&mut plan, "fsync"), [None, Some(Act::Fail(Errno::IO)), None]);
        assert_eq!(times(&mut plan, "openat"), [Some(Act::Fail(Errno::MFILE)); 3]);
        assert_eq!(times(&mut plan, "statx"), [None; 3]);
        assert_eq!((plan.followed, plan.reached[at("fsync")]), (4, 3));
    }

    #[test]
    fn nothing_comes_after_the_end_and_any_point_may_be_it() {
        let mut plan = Plan::parse("commit.synced=gone").unwrap();
        assert_eq!(plan.reach(at("fsync")), None);
        assert_eq!(plan.reach(at("commit.synced")), Some(Act::Gone));
        assert_eq!(plan.reach(at("fsync")), Some(Act::Gone));
        assert_eq!(plan.followed, 1);
        let mut plan = Plan::parse("any:3=kill").unwrap();
        assert_eq!(
            ["fsync", "openat", "commit.synced"].map(|name| plan.reach(at(name))),
            [None, None, Some(Act::Kill)]
        );
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (text, told) in [
            ("fsync", "not of the form"),
            ("fsync:0=EIO", "not of the form"),
            ("fsync:x=EIO", "not of the form"),
            ("fsnyc=EIO", "no point \"fsnyc\"; there are copy_file_range"),
            ("fsync=EOI", "none of kill, pause, gone, EACCES"),
            ("commit.synced=EIO", "is no call"),
        ] {
            assert!(Plan::parse(text).unwrap_err().contains(told), "{text}");
        }
    }
}
