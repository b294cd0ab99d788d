//! The account: how many bytes there are, how many there may be, and room for a fill.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;

use tracing::info;

use crate::attrs::Tagged;
use crate::entry::{self, Claim};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::evict::{self, Candidate, Class, Plan};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::lock;
use crate::scan::{self, Found};
use crate::sys::{self, Dir, Stat};

/// The limit where nobody set one: 10 GiB, as Glance's `image_cache_max_size`.
pub const DEFAULT_MAX_SIZE: u64 = 10 << 30;

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// The sizes of the files, as Glance does.
    #[default]
    Size,
    /// The bytes of the disk blocks behind them: less for images with holes.
    Allocated,
}

impl Count {
    /// `size` or `allocated`.
    pub fn name(self) -> &'static str {
        match self {
            Count::Size => "size",
            Count::Allocated => "allocated",
        }
    }

    pub(crate) fn of(self, stat: &Stat) -> u64 {
        match self {
            Count::Size => stat.size,
            Count::Allocated => stat.allocated,
        }
    }
}

/// How much the cache may hold. It covers everything under DIR: images, fills under way and failed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes at most.
    pub max_size: u64,
    /// What is counted.
    pub count: Count,
}

impl Default for Limit {
    fn default() -> Self {
        Limit { max_size: DEFAULT_MAX_SIZE, count: Count::Size }
    }
}

/// Whether fills keep within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    /// Room is made before a fill grows, or it fails.
    Hard,
    /// Somebody prunes from time to time.
    Soft,
}

/// The limit in force: the one kept on DIR, or else the default.
pub(crate) fn limit(folders: &Folders) -> Result<Limit> {
    let default = Limit::default();
    let max_size = folders.root_tag(tag::MAX_SIZE)?.and_then(|text| text.trim().parse().ok());
    let count = match folders.root_tag(tag::COUNT)?.as_deref() {
        Some("allocated") => Count::Allocated,
        _ => Count::Size,
    };
    Ok(Limit { max_size: max_size.unwrap_or(default.max_size), count })
}

pub(crate) fn set_limit(folders: &Folders, limit: Limit) -> Result<()> {
    folders.set_root_tag(tag::MAX_SIZE, &limit.max_size.to_string())?;
    folders.set_root_tag(tag::COUNT, limit.count.name())
}

/// Number and bytes of some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub files: u64,
    /// The sum of their sizes in bytes.
    pub size: u64,
    /// The bytes of disk blocks behind them.
    pub allocated: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, size: u64, allocated: u64) {
        self.files += 1;
        self.size = self.size.saturating_add(size);
        self.allocated = self.allocated.saturating_add(allocated);
    }
}

/// Everything that takes room under DIR, by folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Files in DIR itself.
    pub images: Usage,
    /// Fills under way and abandoned ones; the size of one of Icewell's is what it reserved.
    pub incomplete: Usage,
    /// Failed fills.
    pub invalid: Usage,
}

impl Space {
    /// The bytes that the limit is about.
    pub fn counted(&self, count: Count) -> u64 {
        let of = |usage: &Usage| match count {
            Count::Size => usage.size,
            Count::Allocated => usage.allocated,
        };
        // A fill under way will take what it reserved; until then blocks do not tell.
        let incomplete = self.incomplete.size.max(of(&self.incomplete));
        of(&self.images).saturating_add(incomplete).saturating_add(of(&self.invalid))
    }
}

/// A file under DIR: its folder and name. Ordered by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    name: OsString,
    folder: Folder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Folder {
    Root,
    Incomplete,
    Fills,
    Invalid,
}

impl Folder {
    const ALL: [Folder; 4] = [Folder::Root, Folder::Incomplete, Folder::Fills, Folder::Invalid];

    fn of(self, folders: &Folders) -> &Dir {
        match self {
            Folder::Root => &folders.root,
            Folder::Incomplete => &folders.incomplete,
            Folder::Fills => &folders.fills,
            Folder::Invalid => &folders.invalid,
        }
    }
}

/// Counts everything under DIR in one pass and hands each file to `visit`.
fn count(folders: &Folders, mut visit: impl FnMut(Folder, Found)) -> Result<Space> {
    let mut space = Space::default();
    for folder in Folder::ALL {
        for found in scan::files(folder.of(folders))? {
            let mut found = found?;
            if let (Folder::Fills, Some(id)) = (folder, &found.id) {
                found.stat.size = entry::reservation(folders, id, found.stat.size)?;
            }
            let usage = match folder {
                Folder::Root => &mut space.images,
                Folder::Incomplete | Folder::Fills => &mut space.incomplete,
                Folder::Invalid => &mut space.invalid,
            };
            usage.add(found.stat.size, found.stat.allocated);
            visit(folder, found);
        }
    }
    Ok(space)
}

/// Counts everything under DIR.
pub(crate) fn space(folders: &Folders) -> Result<Space> {
    count(folders, |_, _| {})
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
        return Err(Error::new(ErrorKind::NoRoom, "reserve room for", folders.fills.path_of(id.as_str()))
            .with_detail(format!("{size} bytes, and the limit is {}", limit.max_size)));
    }
    record()
}

/// Removes what is over the limit, as far as it can be removed; whether the cache is within it then.
pub(crate) fn enforce(folders: &Folders) -> Result<bool> {
    let _held = lock::space(folders)?;
    let Some(plan) = plan(folders, limit(folders)?, 0, None)? else { return Ok(true) };
    let enough = plan.enough;
    remove(folders, plan, "the limit is reached")?;
    Ok(enough)
}

/// Frees `bytes` of disk although the limit has room: the file system is full. Whether there was something to remove.
pub(crate) fn relieve(folders: &Folders, filling: &ImageId, bytes: u64) -> Result<bool> {
    let _held = lock::space(folders)?;
    let mut found = Vec::new();
    count(folders, |folder, file| found.push((folder, file)))?;
    let candidates = candidates(folders, found, Count::Allocated, Some(filling))?;
    let plan = evict::plan(candidates, bytes, |candidate| is_pinned(folders, candidate));
    // Less than was asked for may still be enough for the next write.
    let some = !plan.victims.is_empty();
    remove(folders, plan, "the file system is full")?;
    Ok(some)
}

/// Makes room for `more` bytes, or removes nothing at all where that cannot be; whether there is room.
fn make_room(folders: &Folders, limit: Limit, more: u64, filling: Option<&ImageId>) -> Result<bool> {
    if more > limit.max_size {
        return Ok(false);
    }
    let Some(plan) = plan(folders, limit, more, filling)? else { return Ok(true) };
    if plan.enough {
        remove(folders, plan, "the limit is reached")?;
        return Ok(true);
    }
    Ok(false)
}

/// What to remove so that `more` bytes fit the limit; none where they do.
fn plan(folders: &Folders, limit: Limit, more: u64, filling: Option<&ImageId>) -> Result<Option<Plan<Item>>> {
    let mut found = Vec::new();
    let used = count(folders, |folder, file| found.push((folder, file)))?.counted(limit.count);
    let excess = used.saturating_add(more).saturating_sub(limit.max_size);
    if excess == 0 {
        return Ok(None);
    }
    let candidates = candidates(folders, found, limit.count, filling)?;
    Ok(Some(evict::plan(candidates, excess, |candidate| is_pinned(folders, candidate))))
}

fn is_pinned(folders: &Folders, candidate: &Candidate<Item>) -> bool {
    candidate.class == Class::Cached && Tagged::Name(&folders.root, &candidate.what.name).has(tag::PINNED)
}

fn remove(folders: &Folders, plan: Plan<Item>, why: &str) -> Result<()> {
    for Candidate { what: Item { name, folder }, class, bytes, .. } in plan.victims {
        let folder = folder.of(folders);
        if folder.unlink(&name).context("remove", || folder.path().join(&name))? {
            info!(?name, ?class, bytes, why, "removed to make room");
        }
    }
    Ok(())
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
        candidates.push(Candidate { what: Item { name, folder }, class, bytes, last_used });
    }
    Ok(candidates)
}

/// Whether the file is a Glance's own, or somebody's that is linked in. An image under such a name bears our tag.
fn is_kept(folders: &Folders, id: &ImageId, stat: &sys::Stat) -> Result<bool> {
    let tags = Tagged::Name(&folders.root, OsStr::new(id.as_str()));
    Ok(entry::is_no_image(folders, id, stat, &tags)? && !tags.has(tag::IMAGE_ID))
}

/// The bytes that are free for an ordinary user on the file system that holds the cache, and its size.
pub(crate) fn volume(folders: &Folders) -> Result<sys::Volume> {
    sys::volume(folders.root.as_fd()).context("look at the file system of", || folders.root.path().into())
}
