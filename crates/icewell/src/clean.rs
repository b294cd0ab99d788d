//! Clean: failed fills, and those that stopped.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use tracing::info;

use crate::attrs::Tagged;
use crate::entry::{self, Claim, Filler, Incomplete, Invalid};
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::mark::Mark;
use crate::removals::{Removed, Why};
use crate::sys::{self, Dir, Stat, Step, step};
use crate::{lock, scan};

/// How long a fill may stand still before it counts as stalled, where nobody says: a day, as Glance's
/// `image_cache_stall_time`.
pub const DEFAULT_STALL_TIME: Duration = Duration::from_secs(86_400);

/// What a clean removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleaned {
    /// Failed fills.
    pub invalid: u64,
    /// Stalled fills: images, not files.
    pub stalled: u64,
}

/// Removes failed fills whose bytes are older than `grace`; how many. No grace, or none at all, removes all.
pub(crate) fn reap_invalid(folders: &Folders, grace: Duration, now: SystemTime) -> Result<u64> {
    let _held = lock::space(folders)?;
    let mut reaped = 0;
    for entry in scan::entries(&folders.invalid)? {
        let (id, stat) = entry?;
        reaped += u64::from(is_older(&stat, grace, now) && remove(folders, &folders.invalid, &id, &stat)?);
    }
    Ok(reaped)
}

/// Removes fills that nobody goes on with and that stood still for longer than `stall_time`; how many images. A fill
/// that is alive, Icewell's or a Glance's, stays, whatever its age.
pub(crate) fn reap_stalled(folders: &Folders, stall_time: Duration, now: SystemTime) -> Result<u64> {
    let _held = lock::space(folders)?;
    let mut reaped = BTreeSet::new();
    for entry in scan::entries(&folders.fills)? {
        let (id, stat) = entry?;
        if is_older(&stat, stall_time, now)
            && !entry::fill_is_active(folders, &id)?
            && remove(folders, &folders.fills, &id, &stat)?
        {
            reaped.insert(id);
        }
    }
    for entry in scan::entries(&folders.incomplete)? {
        let (id, stat) = entry?;
        // Our sign goes with its bytes, which may have been removed above or by an operator.
        let gone = match entry::claim(folders, &id)? {
            Claim::Absent | Claim::Written => false,
            Claim::Left => is_older(&stat, stall_time, now),
            Claim::Ours => {
                let bytes =
                    folders.fills.stat(id.as_str().as_ref()).context("look at", || folders.fills.path().into())?;
                bytes.is_none() && (reaped.contains(&id) || is_older(&stat, stall_time, now))
            }
        };
        if gone && remove(folders, &folders.incomplete, &id, &stat)? {
            reaped.insert(id);
        }
    }
    Ok(reaped.len() as u64)
}

fn is_older(stat: &Stat, grace: Duration, now: SystemTime) -> bool {
    grace.is_zero() || now.duration_since(stat.modified).is_ok_and(|age| age > grace)
}

fn remove(folders: &Folders, dir: &Dir, id: &ImageId, stat: &Stat) -> Result<bool> {
    let removed = dir.unlink(OsStr::new(id.as_str())).context("remove", || dir.path_of(id.as_str()))?;
    if removed {
        step(Step::CleanRemoved);
        info!(image_id = %id, folder = %dir.path().display(), "reaped");
        let what = if std::ptr::eq(dir, &*folders.invalid) { Removed::InvalidFill } else { Removed::AbandonedFill };
        // A sign has no bytes, and goes with those of its fill.
        if what == Removed::InvalidFill || stat.size > 0 {
            folders.removals.note(id.as_str(), what, Why::Old, stat.size, stat.modified);
        }
    }
    Ok(removed)
}

/// The failed fills, by ID.
pub(crate) fn invalid(folders: &Folders) -> Result<Vec<Invalid>> {
    let mut invalid = Vec::new();
    for entry in scan::entries(&folders.invalid)? {
        let (id, stat) = entry?;
        let error = Tagged::Name(&folders.invalid, id.as_str().as_ref()).text(tag::ERROR);
        invalid.push(Invalid { id, size: stat.size, last_modified: stat.modified, error });
    }
    invalid.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(invalid)
}

/// The fills under way and those broken off, by ID.
pub(crate) fn incomplete(folders: &Folders) -> Result<Vec<Incomplete>> {
    let mut incomplete = Vec::new();
    let boot = sys::boot_id();
    for entry in scan::entries(&folders.fills)? {
        let (id, stat) = entry?;
        let active = entry::fill_is_active(folders, &id)?;
        let mark = Mark::load(&Tagged::Name(&folders.fills, id.as_str().as_ref())).ok().flatten().unwrap_or_default();
        incomplete.push(Incomplete {
            filler: Filler::Icewell,
            active,
            written: mark.trusted(&boot),
            size: mark.size,
            last_modified: stat.modified,
            id,
        });
    }
    for entry in scan::entries(&folders.incomplete)? {
        let (id, stat) = entry?;
        let claim = entry::claim(folders, &id)?;
        if matches!(claim, Claim::Written | Claim::Left) {
            incomplete.push(Incomplete {
                id,
                filler: Filler::Other,
                active: claim == Claim::Written,
                written: stat.size,
                size: None,
                last_modified: stat.modified,
            });
        }
    }
    incomplete.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(incomplete)
}
