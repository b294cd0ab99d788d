//! Room: made before a fill grows, and where the file system is full; what goes is planned by [`evict`].

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use tracing::info;

use crate::attrs::Tagged;
use crate::entry::{self, Claim};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::evict::{self, Candidate, Class, Excess, Plan};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::limit::{Count, Limit, limit};
use crate::open_files::Open;
use crate::removals::Why;
use crate::scan::Found;
use crate::space::{self, Folder, Space, volume};
use crate::sys::{Step, step};
use crate::{lock, sys};

/// Whether fills keep within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// Room is made before a fill grows, or it fails.
    Hard,
    /// Somebody prunes from time to time.
    Soft,
}

/// On a full file system this much is removed at a time, so that not every write has to count the directory.
const RELIEF: u64 = 16 << 20;
/// How often that is done for one step of a fill. Where it does not help, others take what is freed, or what is freed is
/// not what is missing: more images must not go for nothing.
const MOST_RELIEFS: usize = 4;

/// A file under DIR: its folder and name. Ordered by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    name: OsString,
    folder: Folder,
    inode: (u32, u32, u64),
}

/// Makes room for the fill `id`, to which `reserved` bytes are promised, to grow to `size` in all, and has the promise
/// recorded, in one step for every process that counts.
///
/// # Errors
///
/// [`ErrorKind::NoRoom`] where even removing everything that may be removed is not enough; then nothing was.
pub(crate) fn reserve(
    folders: &Folders,
    enforcement: Enforcement,
    id: &ImageId,
    reserved: u64,
    size: u64,
    record: impl FnOnce() -> Result<()>,
) -> Result<()> {
    if enforcement == Enforcement::Soft {
        return record();
    }
    let _held = lock::space(folders)?;
    let limit = limit(folders)?;
    // Also where the fill does not grow: the limit may have been lowered since it began.
    if !make_room(folders, limit, size.saturating_sub(reserved), Some(id))? {
        let floor = limit.min_free.map(|min_free| format!(", with {min_free} of the file system to stay free"));
        return Err(Error::new(ErrorKind::NoRoom, "reserve room for", folders.fills.path_of(id.as_str()))
            .with_detail(format!("{size} bytes, and the limit is {}{}", limit.max_size, floor.unwrap_or_default())));
    }
    step(Step::ReserveRoomMade);
    record()?;
    step(Step::ReserveRecorded);
    Ok(())
}

/// Removes what is over the limit, as far as it can be removed; whether the cache is within it then.
pub(crate) fn enforce(folders: &Folders) -> Result<bool> {
    let _held = lock::space(folders)?;
    let Some(plan) = plan(folders, limit(folders)?, 0, None)? else { return Ok(true) };
    let enough = plan.enough;
    remove(folders, plan, Why::Limit)?;
    Ok(enough)
}

/// Does a step of the fill `id`; where the file system or a quota is full, makes room and does it again. The caller does
/// not hold the space lock.
pub(crate) fn relieved<T>(folders: &Folders, id: &ImageId, mut step: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..MOST_RELIEFS {
        match step() {
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                if !relieve(folders, id)? {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
    step()
}

/// Frees some disk although the limit has room. Whether there was something to remove.
fn relieve(folders: &Folders, filling: &ImageId) -> Result<bool> {
    let _held = lock::space(folders)?;
    folders.open_files.let_go();
    let open = folders.open_files.look();
    let mut found = Vec::new();
    space::count(folders, |folder, file| found.push((folder, file)))?;
    let candidates = candidates(folders, found, Count::Allocated, Some(filling))?;
    let plan =
        evict::plan(candidates, Excess { counted: 0, blocks: RELIEF }, |candidate| stays(folders, &open, candidate));
    // Less than was asked for may still be enough for the next write.
    let some = !plan.victims.is_empty();
    remove(folders, plan, Why::DiskFull)?;
    Ok(some)
}

/// Makes room for `more` bytes, or removes nothing at all where that cannot be; whether there is room.
fn make_room(folders: &Folders, limit: Limit, more: u64, filling: Option<&ImageId>) -> Result<bool> {
    if more > limit.max_size {
        return Ok(false);
    }
    let Some(plan) = plan(folders, limit, more, filling)? else { return Ok(true) };
    if plan.enough {
        remove(folders, plan, Why::Limit)?;
        return Ok(true);
    }
    Ok(false)
}

/// What to remove so that `more` bytes fit the limit; none where they do.
fn plan(folders: &Folders, limit: Limit, more: u64, filling: Option<&ImageId>) -> Result<Option<Plan<Item>>> {
    let mut found = Vec::new();
    let mut space = space::count(folders, |folder, file| found.push((folder, file)))?;
    if excess(folders, limit, &space, more)?.is_none() {
        return Ok(None);
    }
    // What is open only to be at hand is closed first, so that it may go in its turn.
    folders.open_files.let_go();
    let open = folders.open_files.look();
    space.deleted = open.deleted;
    let Some(excess) = excess(folders, limit, &space, more)? else { return Ok(None) };
    let candidates = candidates(folders, found, limit.count, filling)?;
    Ok(Some(evict::plan(candidates, excess, |candidate| stays(folders, &open, candidate))))
}

/// By how much `more` bytes would go over the limit, or under the floor; none if they would not.
fn excess(folders: &Folders, limit: Limit, space: &Space, more: u64) -> Result<Option<Excess>> {
    let counted = space.counted(limit.count).saturating_add(more).saturating_sub(limit.max_size);
    let blocks = match limit.min_free {
        Some(_) => shortfall(folders, limit, space.promised.saturating_add(more))?,
        None => 0,
    };
    Ok((counted > 0 || blocks > 0).then_some(Excess { counted, blocks }))
}

/// How many bytes of disk are missing for `more` to be written and the floor to hold.
pub(crate) fn shortfall(folders: &Folders, limit: Limit, more: u64) -> Result<u64> {
    let mut volume = volume(folders)?;
    if volume.file_system == "btrfs" {
        // It tells what is free as of its last transaction, up to half a minute ago.
        sync_file_system(folders)?;
        volume = space::volume(folders)?;
    }
    Ok(limit.floor(volume.total).saturating_add(more).saturating_sub(volume.available))
}

/// The largest limit that the file system has room for, with what is to stay free.
pub(crate) fn largest_limit(folders: &Folders, limit: Limit, space: &Space) -> Result<u64> {
    let volume = volume(folders)?;
    let could = space.counted(limit.count).saturating_sub(space.promised).saturating_add(volume.available);
    Ok(could.saturating_sub(limit.floor(volume.total)))
}

/// Pinned images stay; so does what is open, because its removal would give back nothing as yet.
fn stays(folders: &Folders, open: &Open, candidate: &Candidate<Item>) -> bool {
    let is_pinned = || Tagged::Name(&folders.root, &candidate.what.name).are_of_pinned();
    open.has(candidate.what.inode) || candidate.class == Class::Cached && is_pinned()
}

fn remove(folders: &Folders, plan: Plan<Item>, why: Why) -> Result<()> {
    let mut freed = 0;
    let before = volume(folders)?.available;
    for Candidate { what: Item { name, folder, .. }, class, bytes, blocks, last_used } in plan.victims {
        let folder = folder.of(folders);
        if folder.unlink(&name).context("remove", || folder.path().join(&name))? {
            step(Step::RoomRemoved);
            freed += blocks;
            info!(?name, ?class, bytes, %why, "removed to make room");
            folders.removals.note(&name.to_string_lossy(), class.into(), why, bytes, last_used);
        }
    }
    settle(folders, before, freed)
}

/// Waits a moment until the file system tells that the blocks are free, so that whoever counts next does not remove as
/// much again: XFS gives them back in the background, btrfs with its next transaction. Whether they ever come is not
/// for us to wait for: another process may have the file open.
fn settle(folders: &Folders, before: u64, freed: u64) -> Result<()> {
    // The blocks of tags and folders come and go besides, and others write.
    let told = || Ok::<_, Error>(volume(folders)?.available >= before.saturating_add(freed / 2));
    if limit(folders)?.min_free.is_none() || freed == 0 || told()? {
        return Ok(());
    }
    sync_file_system(folders)?;
    for _ in 0..10 {
        if told()? {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn sync_file_system(folders: &Folders) -> Result<()> {
    sys::sync_file_system(folders.root.as_fd()).context("make durable", || folders.root.path().into())
}

/// What may be removed. Fills that are alive are not among them; nor is the one that asks for room.
fn candidates(
    folders: &Folders,
    found: Vec<(Folder, Found)>,
    count: Count,
    filling: Option<&ImageId>,
) -> Result<Vec<Candidate<Item>>> {
    let mut candidates = Vec::with_capacity(found.len());
    for (folder, Found { name, id, stat }) in found {
        // A file whose name is no ID is none of ours to remove; `doctor` tells of it.
        let Some(id) = id else { continue };
        let class = match folder {
            Folder::Root if is_kept(folders, &id, &stat)? => continue,
            Folder::Root => Class::Cached,
            Folder::Invalid => Class::Invalid,
            Folder::Fills if Some(&id) != filling && !entry::fill_is_active(folders, &id)? => Class::Abandoned,
            Folder::Incomplete if stat.size > 0 && entry::claim(folders, &id)? == Claim::Left => Class::Abandoned,
            Folder::Fills | Folder::Incomplete => continue,
        };
        let tags = Tagged::Name(&folders.root, OsStr::new(id.as_str()));
        let last_used = if class == Class::Cached { tags.last_accessed(&stat) } else { stat.modified };
        let bytes = if folder == Folder::Fills { stat.size.max(count.of(&stat)) } else { count.of(&stat) };
        let what = Item { name, folder, inode: stat.inode };
        candidates.push(Candidate { what, class, bytes, blocks: stat.allocated, last_used });
    }
    Ok(candidates)
}

/// Whether the file is a Glance's own, or somebody's that is linked in. An image under such a name bears our tag.
fn is_kept(folders: &Folders, id: &ImageId, stat: &sys::Stat) -> Result<bool> {
    let tags = Tagged::Name(&folders.root, OsStr::new(id.as_str()));
    Ok(entry::is_no_image(folders, id, stat, &tags)? && !tags.has(tag::IMAGE_ID))
}
