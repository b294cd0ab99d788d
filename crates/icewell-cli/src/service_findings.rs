//! What `icewell doctor` says of the daemon's settings and of what it works with: the clock, how the file system is mounted,
//! limits of the system, the origin and the credentials there.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icewell::{Cache, Severity};
use rustix::process::{Resource, getrlimit};

use crate::commands::doctor::Row;
use crate::commands::serve;
use crate::context::Context;
use crate::failure::Result;
use crate::output::count;
use crate::settings::{InForce, Layer, Wrong};

/// Before this there was no such program: a clock that says so is wrong. The start of 2026, in seconds since 1970.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// How far ahead of the clock a time may be before it is told: file systems and clocks are not that exact.
const AHEAD: Duration = Duration::from_secs(60);
/// What the daemon has open besides connections.
const FOR_FILES: u64 = 1024;
/// What lets a file system or its disk forget in a power cut what it called durable (`mount(8)`, of ext4 and XFS).
const NOT_DURABLE: [&str; 3] = ["nobarrier", "barrier=0", "journal_async_commit"];

fn row(severity: Severity, path: &str, message: impl Into<String>, advice: &str) -> Row {
    let advice = Some(advice.to_owned()).filter(|advice| !advice.is_empty());
    Row { severity, path: path.to_owned(), message: message.into(), advice }
}

/// Something wrong in the file of settings.
pub(crate) fn of_file(wrong: Wrong) -> Row {
    let mut place = wrong.file.display().to_string();
    if let Some(line) = wrong.line {
        write!(place, ", line {line}").ok();
    }
    let key = wrong.key.map(|key| format!("{key}: ")).unwrap_or_default();
    let advice = format!("edit it; then icewell config --check {}", wrong.file.display());
    row(Severity::Problem, &place, format!("{key}{}", wrong.why), &advice)
}

/// Whether the clock is right, as far as it can be told: leases, freshness and the order in which images go depend on it.
pub(crate) fn of_clock(cache: &Cache) -> Result<Vec<Row>> {
    let times = cache.images()?.into_iter().map(|image| image.last_accessed.max(image.last_modified));
    Ok(clock(SystemTime::now(), times))
}

fn clock(now: SystemTime, times: impl Iterator<Item = SystemTime>) -> Vec<Row> {
    let mend = "timedatectl set-ntp true; timedatectl status";
    if now < UNIX_EPOCH + EARLIEST {
        let message = format!("it says {}, before this program was written", humantime::format_rfc3339_seconds(now));
        return vec![row(Severity::Problem, "clock", message, mend)];
    }
    let ahead: Vec<SystemTime> = times.filter(|time| *time > now + AHEAD).collect();
    let Some(last) = ahead.iter().max() else { return Vec::new() };
    let images = count(ahead.len() as u64, "image was", "images were");
    let message = format!(
        "{images} used or written in the future, the last at {}: the clock is, or was, wrong, and they go last",
        humantime::format_rfc3339_seconds(*last)
    );
    vec![row(Severity::Warning, "clock", message, mend)]
}

/// Whether what is on the disk is still there after a power cut.
pub(crate) fn of_mount(dir: &Path) -> Option<Row> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    mount(&table, &std::fs::canonicalize(dir).ok()?)
}

/// The finding by this `mountinfo` (`proc_pid_mountinfo(5)`): fields with blanks between, the fifth where it is mounted, and
/// after a `-` the options of the file system as the third.
fn mount(table: &str, dir: &Path) -> Option<Row> {
    let mounts = table.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        // A blank is written as \\040.
        let place = before.split(' ').nth(4)?.replace("\\040", " ");
        let options = format!("{},{}", before.split(' ').nth(5)?, after.split(' ').nth(2)?);
        dir.starts_with(&place).then_some((place, options))
    });
    let (place, options) = mounts.max_by_key(|(place, _)| place.len())?;
    let found = options.split(',').find(|option| NOT_DURABLE.contains(option))?;
    let message = format!("mounted with {found}: a power cut may take images that were committed, or tear them");
    let without = if found == "journal_async_commit" { "without it, after an unmount" } else { "barrier" };
    Some(row(Severity::Warning, &place, message, &format!("mount -o remount,{without} {place}")))
}

/// What is wrong with the settings, what the system does not give for them, and, if the network may be asked, whether
/// the origin answers.
pub(crate) fn of_settings(
    in_force: &InForce,
    cache: Option<&Cache>,
    ask: bool,
    context: &Context<'_>,
) -> Result<Vec<Row>> {
    let problem = |why: String| row(Severity::Problem, "settings", why, "icewell config --check; icewell config");
    let problems = serve::problems(in_force, context)?;
    let are_right = problems.is_empty();
    let mut rows: Vec<Row> = problems.into_iter().map(problem).collect();
    let settings = in_force.settings()?;
    let allowed = getrlimit(Resource::Nofile).maximum;
    let wanted = settings.max_connections.map_or(icewell_server::DEFAULT_MAX_CONNECTIONS, |number| number) as u64;
    rows.extend(open_files(allowed, wanted));
    let is_set = in_force.rows.iter().any(|row| row.about.id() == "origin" && row.layer != Layer::Default);
    let bound = cache.map(Cache::origin).transpose()?.flatten();
    if !ask || !are_right || (!is_set && bound.is_none()) {
        return Ok(rows);
    }
    let mut config = serve::configured(settings, in_force, context)?;
    if let (false, Some(bound)) = (is_set, bound) {
        config.origin = bound;
    }
    match icewell_server::reach_origin(&config) {
        Ok(()) => rows.push(row(Severity::Info, "origin", "it answers", "")),
        Err(wrong) => rows.extend(wrong.into_iter().map(|error| {
            let failure = crate::failure::Failure::from(error).to_string();
            let severity = if is_set { Severity::Problem } else { Severity::Warning };
            row(severity, "origin", failure, "curl -v the origin from here; look at proxies, names and firewalls")
        })),
    }
    Ok(rows)
}

/// Whether as many files may be open as the daemon needs.
fn open_files(allowed: Option<u64>, connections: u64) -> Option<Row> {
    let needed = connections.saturating_add(FOR_FILES);
    let allowed = allowed.filter(|allowed| *allowed < needed)?;
    let message = format!(
        "here {allowed} files may be open, and {connections} connections need {needed}; fewer are served at once (max_connections)"
    );
    let advice =
        format!("LimitNOFILE={needed} in the unit; or ulimit -Hn {needed} as root; or set max_connections lower");
    Some(row(Severity::Warning, "limits", message, &advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = EARLIEST.as_secs() + 1000;
        assert!(clock(at(now), [at(now), at(now + 60)].into_iter()).is_empty());
        assert_eq!(clock(at(1), std::iter::empty())[0].severity, Severity::Problem);
        let told = clock(at(now), [at(now + 61), at(now + 90), at(5)].into_iter());
        assert!(told[0].message.starts_with("2 images were used or written in the future"), "{told:?}");
    }

    #[test]
    fn a_mount_that_forgets() {
        let table = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,nobarrier\n\
                     30 22 8:2 / /var/cache rw shared:2 - ext4 /dev/sdb rw\n\
                     31 22 8:3 / /a\\040b rw - xfs /dev/sdc rw,nobarrier\n";
        assert!(mount(table, Path::new("/var/cache/icewell")).is_none());
        let told = mount(table, Path::new("/srv/icewell")).unwrap();
        assert_eq!((told.path.as_str(), told.advice.as_deref()), ("/", Some("mount -o remount,barrier /")));
        assert_eq!(mount(table, Path::new("/a b/c")).unwrap().path, "/a b");
    }

    #[test]
    fn too_few_open_files() {
        assert!(open_files(None, u64::MAX).is_none());
        assert!(open_files(Some(11_024), 10_000).is_none());
        assert!(open_files(Some(11_023), 10_000).unwrap().message.contains("need 11024"));
    }
}
