//! How many files and sockets this process may have open.
//!
//! The usual limit of 1024 is there for programs that keep descriptors in bit sets (`select`). Nothing here does, so it is
//! raised as far as the system lets us, at the start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What is needed besides clients' connections: files of images, connections to the origin, what fills write to.
const FOR_FILES: u64 = 1024;

/// Raises the limit, and says how many of these connections there is room for. Fewer than wanted is told in the log.
pub(crate) fn make_room(connections: usize) -> usize {
    let allowed = raised();
    let fit = connections_within(allowed, connections as u64);
    if fit < connections as u64 {
        warn!(
            max_connections = connections,
            served = fit,
            open_files = allowed,
            "the limit of open files (LimitNOFILE, ulimit -n) is too low for so many connections"
        );
    }
    usize::try_from(fit).unwrap_or(connections)
}

/// The soft limit, after it was raised to the hard one.
fn raised() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok() {
        return maximum.unwrap_or(u64::MAX);
    }
    current.unwrap_or(u64::MAX)
}

/// How many connections fit, beside what else there is to open. Half of a limit that is low.
fn connections_within(allowed: u64, wanted: u64) -> u64 {
    wanted.min(allowed.saturating_sub(FOR_FILES).max(allowed / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        for (allowed, wanted, fit) in [
            (1 << 20, 10_000, 10_000),
            (11_024, 10_000, 10_000),
            (11_023, 10_000, 9_999),
            (4096, 10_000, 3072),
            (1024, 10_000, 512),
            (1024, 100, 100),
            (1, 100, 1),
            (u64::MAX, u64::MAX, u64::MAX - FOR_FILES),
        ] {
            assert_eq!(connections_within(allowed, wanted), fit, "{allowed} {wanted}");
        }
    }
}
