//! What an operator should know of a cache directory: the checks behind `icewell doctor`.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::attrs::{Identity, Tagged};
use crate::cache::Cache;
use crate::clean;
use crate::entry::{self, Claim};
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::glances_own::{GlancesOwn, glances_own};
use crate::image_id::ImageId;
use crate::layout;
use crate::sys::{self, Dir, Kind};
use crate::{limit, room, space};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Works, but not as it should.
    Warning,
    /// Does not work.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        })
    }
}

/// Something found in a cache directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder it is about.
    pub path: PathBuf,
    /// What was found.
    pub message: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

impl Finding {
    fn new(severity: Severity, path: PathBuf, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { severity, path, message: message.into(), advice: advice.into() }
    }
}

/// Looks at the cache at `dir` and tells what is wrong with it, worst first. Changes nothing but what opening a cache
/// changes: folders that are missing are made.
///
/// # Errors
///
/// Those of reading the folders; that the cache cannot be opened is a finding.
pub fn examine(dir: &Path) -> Result<Vec<Finding>> {
    if let Err(error) = Cache::open(dir) {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        return Ok(vec![Finding::new(Severity::Problem, dir.into(), format!("{error}{source}"), "")]);
    }
    let folders = Folders::open(dir)?;
    let mut findings = Vec::new();
    permissions(&folders, &mut findings)?;
    file_system(&folders, &mut findings)?;
    images(&folders, &mut findings)?;
    for dir in [&folders.incomplete, &folders.invalid, &folders.queue] {
        strangers(dir, &[layout::FILLS], &mut findings)?;
    }
    leftovers(&folders, &mut findings)?;
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
    Ok(findings)
}

fn permissions(folders: &Folders, findings: &mut Vec<Finding>) -> Result<()> {
    let root = &folders.root;
    let (uid, gid) = root.owner();
    let (me, _) = sys::whoami();
    if me != uid && me != 0 {
        findings.push(Finding::new(
            Severity::Warning,
            root.path().into(),
            format!("it belongs to user {uid}, and this is user {me}: access times cannot be set and tags stand in"),
            format!("run icewell as user {uid}"),
        ));
    }
    for folder in [&folders.incomplete, &folders.fills, &folders.invalid, &folders.queue] {
        if folder.owner() != (uid, gid) {
            let (other, group) = folder.owner();
            findings.push(Finding::new(
                Severity::Warning,
                folder.path().into(),
                format!("it belongs to {other}:{group}, and the cache directory to {uid}:{gid}"),
                format!("chown {uid}:{gid} {}", folder.path().display()),
            ));
        }
    }
    let mode = sys::stat(root).context("look at", || root.path().into())?.mode;
    if mode & 0o002 != 0 {
        findings.push(Finding::new(
            Severity::Problem,
            root.path().into(),
            "everybody may write into it: anybody on this machine can put bytes under an image's name",
            format!("chmod o-w {}", root.path().display()),
        ));
    }
    Ok(())
}

fn file_system(folders: &Folders, findings: &mut Vec<Finding>) -> Result<()> {
    let path = || folders.root.path().to_owned();
    let volume = space::volume(folders)?;
    let limit = limit::limit(folders)?;
    let atimes = if volume.no_access_times { "noatime; Icewell sets access times itself" } else { "access times kept" };
    findings.push(Finding::new(
        Severity::Info,
        path(),
        format!("{}, {} of {} MiB free, {atimes}", volume.file_system, volume.available >> 20, volume.total >> 20),
        "",
    ));
    if volume.read_only {
        findings.push(Finding::new(
            Severity::Problem,
            path(),
            "the file system is mounted read-only",
            format!("mount -o remount,rw \"$(findmnt -nT {} -o TARGET)\"", folders.root.path().display()),
        ));
    }
    if volume.file_system == "tmpfs" {
        let message = "tmpfs: the cache is gone after a reboot, and takes memory";
        findings.push(Finding::new(Severity::Warning, path(), message, "choose a directory on a disk"));
    }
    let space = space::space(folders)?;
    let used = space.counted(limit.count);
    let could = room::largest_limit(folders, limit, &space)?;
    let floor = limit.floor(volume.total);
    if volume.available < floor {
        findings.push(Finding::new(
            Severity::Warning,
            path(),
            format!("{} bytes are free, and {floor} are to stay free (min_free)", volume.available),
            "icewell prune; or make room beside the cache, or set a lower min_free",
        ));
    }
    if limit.max_size > could {
        findings.push(Finding::new(
            Severity::Warning,
            path(),
            format!("the limit is {} bytes, and the file system has room for {could}", limit.max_size),
            format!("set max_size to {could} or less"),
        ));
    }
    if used > limit.max_size {
        findings.push(Finding::new(
            Severity::Warning,
            path(),
            format!("{used} bytes are used, and the limit is {}", limit.max_size),
            "icewell prune; icewell clean",
        ));
    }
    Ok(())
}

fn images(folders: &Folders, findings: &mut Vec<Finding>) -> Result<()> {
    let root = &folders.root;
    strangers(root, &[layout::INCOMPLETE, layout::INVALID, layout::QUEUE], findings)?;
    for entry in crate::scan::entries(root)? {
        let (id, stat) = entry?;
        let path = root.path_of(id.as_str());
        let tags = Tagged::Name(root, OsStr::new(id.as_str()));
        let identity = tags.identity(&id).context("read the tags of", || path.clone())?;
        let own = match identity {
            Identity::Untagged => glances_own(root, id.as_str(), stat.size).context("look into", || path.clone())?,
            _ => None,
        };
        let remove = format!("icewell rm --force {id:?}");
        let (severity, message, advice) = match (identity, own) {
            (Identity::Another, _) => {
                let message = "its tag names another image: it was moved here and is not served";
                (Severity::Warning, message, remove)
            }
            (Identity::Claim, _) => {
                (Severity::Warning, "it is a claim that a Glance committed, and is not served", remove)
            }
            (_, Some(GlancesOwn::Database)) => {
                (Severity::Info, "it is of the database of Glance's sqlite driver, no image, and stays", String::new())
            }
            (_, Some(GlancesOwn::Lock)) => {
                (Severity::Info, "it is a lock of Glance's, no image, and stays", String::new())
            }
            (_, Some(GlancesOwn::Probe)) => {
                (Severity::Warning, "it is a leftover of Glance's xattr driver, no image", format!("rm {path:?}"))
            }
            (Identity::Untagged, None) if stat.links > 1 => {
                let message = "a hard link to a file that is none of ours: it is not served";
                (Severity::Warning, message, format!("rm {path:?}"))
            }
            (_, None) if stat.size == 0 => (Severity::Info, "an image without a byte", String::new()),
            (_, None) => continue,
        };
        findings.push(Finding::new(severity, path, message, advice));
    }
    Ok(())
}

/// What is neither an image nor one of the cache's folders.
fn strangers(dir: &Dir, known: &[&str], findings: &mut Vec<Finding>) -> Result<()> {
    let names = sys::names(dir).context("list", || dir.path().into())?;
    for name in (0..names.len()).filter_map(|place| names.get(place)) {
        if known.iter().any(|known| name == *known) {
            continue;
        }
        let path = dir.path().join(name);
        let Some(stat) = dir.stat(name).context("look at", || path.clone())? else { continue };
        let message = match stat.kind {
            Kind::File if ImageId::from_file_name(name).is_some() => continue,
            Kind::File => "a file whose name is no image ID",
            Kind::Folder => "a folder that is not the cache's",
            Kind::Link => "a symbolic link; links are never followed or served",
            Kind::Other => "neither file nor folder",
        };
        findings.push(Finding::new(Severity::Warning, path, message, "move it out of the cache directory"));
    }
    Ok(())
}

fn leftovers(folders: &Folders, findings: &mut Vec<Finding>) -> Result<()> {
    let abandoned = clean::incomplete(folders)?.into_iter().filter(|fill| !fill.active).count();
    if abandoned > 0 {
        let message = format!("{abandoned} fills were broken off; the next fill of each goes on where it stopped");
        findings.push(Finding::new(Severity::Info, folders.incomplete.path().into(), message, "icewell clean"));
    }
    let failed = clean::invalid(folders)?.len();
    if failed > 0 {
        let message = format!("{failed} fills failed and are kept for a look");
        let advice = "icewell ls --invalid; icewell clean";
        findings.push(Finding::new(Severity::Info, folders.invalid.path().into(), message, advice));
    }
    let mut signs = 0;
    for entry in crate::scan::entries(&folders.incomplete)? {
        let (id, _) = entry?;
        signs += u64::from(entry::claim(folders, &id)? == Claim::Ours && !entry::fill_is_active(folders, &id)?);
    }
    if signs > 0 {
        let message = format!("{signs} claims belong to nobody; a Glance beside us takes them for fills under way");
        findings.push(Finding::new(Severity::Info, folders.incomplete.path().into(), message, "icewell clean"));
    }
    Ok(())
}
