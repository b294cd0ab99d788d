//! What one file tells us: a cached image, a fill under way, a failed one.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::attrs::{Identity, Metadata, Tagged};
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::glances_own::glances_own;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::mark::Mark;
use crate::scan;
use crate::sys::{self, Kind, Stat};

/// A cached image, as its file and its tags describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// Its ID, the file's name.
    pub id: ImageId,
    /// Its size in bytes.
    pub size: u64,
    /// The bytes of disk blocks behind it: fewer than `size` where it has holes.
    pub allocated: u64,
    /// How often it was read.
    pub hits: u64,
    /// When its bytes were last written.
    pub last_modified: SystemTime,
    /// When it was last read, or else committed.
    pub last_accessed: SystemTime,
    /// Whether it is never to be pruned.
    pub pinned: bool,
    /// The digest the origin vouched for; checked before the image was committed.
    pub digest: Option<Digest>,
    /// The digest Icewell computed itself: good for finding bit rot, no proof of anything else.
    pub computed_digest: Option<Digest>,
    /// Whatever else is known of it.
    pub metadata: Metadata,
}

impl Image {
    pub(crate) fn read(id: ImageId, stat: &Stat, tags: &Tagged<'_>) -> Self {
        Image {
            size: stat.size,
            allocated: stat.allocated,
            hits: tags.hits(),
            last_modified: stat.modified,
            last_accessed: tags.last_accessed(stat),
            pinned: tags.are_of_pinned(),
            digest: tags.digest(tag::DIGEST),
            computed_digest: tags.digest(tag::COMPUTED_DIGEST),
            metadata: tags.metadata(),
            id,
        }
    }
}

/// What tells one state of a file from another: as long as a name has the same stamp, it is the same file with the same
/// bytes and the same tags.
///
/// Two changes within one tick of the file system's clock may leave one stamp (`inode(7)`): whoever keeps what it read of
/// a file by its stamp may miss the second for as long as nothing else changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: (u32, u32, u64),
    size: u64,
    modified: SystemTime,
    changed: SystemTime,
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        Stamp { inode: stat.inode, size: stat.size, modified: stat.modified, changed: stat.changed }
    }

    /// Whether both are of one file with the same bytes, whatever its tags say.
    pub fn has_bytes_of(&self, other: &Stamp) -> bool {
        Stamp { changed: other.changed, ..*self } == *other
    }
}

/// The stamp of the file that has this name; none where there is none, or no regular one.
pub(crate) fn stamp(folders: &Folders, id: &ImageId) -> Result<Option<Stamp>> {
    let path = || folders.root.path_of(id.as_str());
    let stat = folders.root.stat(OsStr::new(id.as_str())).context("look at", path)?;
    Ok(stat.filter(|stat| stat.kind == Kind::File).map(|stat| Stamp::of(&stat)))
}

/// A cached image, as a Glance lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Its ID, the file's name.
    pub id: ImageId,
    /// Its size in bytes.
    pub size: u64,
    /// How often it was read.
    pub hits: u64,
    /// When its bytes were last written.
    pub last_modified: SystemTime,
    /// When it was last read, or else committed.
    pub last_accessed: SystemTime,
}

impl Summary {
    pub(crate) fn read(folders: &Folders, id: ImageId, stat: &Stat) -> Self {
        let tags = Tagged::Name(&folders.root, OsStr::new(id.as_str()));
        let (hits, last_accessed) = (tags.hits(), tags.last_accessed(stat));
        Summary { size: stat.size, hits, last_modified: stat.modified, last_accessed, id }
    }
}

/// The tags of the file that has an image's name.
fn named<'a>(folders: &'a Folders, id: &'a ImageId) -> Tagged<'a> {
    Tagged::Name(&folders.root, OsStr::new(id.as_str()))
}

/// Whether a file in DIR is the cached image its name says. Glance's own files have no tags of ours and are.
pub(crate) fn bears_its_name(folders: &Folders, id: &ImageId, stat: &Stat, tags: &Tagged<'_>) -> Result<bool> {
    let identity = match tags.identity(id) {
        // One file that we may not read must not cost the sight of all others; nobody can be served it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            warn!(image_id = %id, %error, "the file may not be read and is passed over");
            return Ok(false);
        }
        other => other.context("read the tags of", || folders.root.path_of(id.as_str()))?,
    };
    Ok(match identity {
        Identity::Itself => true,
        Identity::Untagged => !is_no_image(folders, id, stat, tags)?,
        Identity::Another | Identity::Claim => false,
    })
}

/// Whether an untagged file is no image: a Glance's database or lock, or somebody's file that is linked in.
pub(crate) fn is_no_image(folders: &Folders, id: &ImageId, stat: &Stat, tags: &Tagged<'_>) -> Result<bool> {
    if is_linked_in(stat, tags) {
        return Ok(true);
    }
    let own = glances_own(&folders.root, id.as_str(), stat.size);
    Ok(own.context("look into", || folders.root.path_of(id.as_str()))?.is_some())
}

/// Whether a file that Icewell has not made has another name, which may be anywhere on the file system: whoever may write
/// into DIR can so give somebody else's file the name of an image or of a fill. It is neither served nor written to. A
/// copy of DIR made of hard links, as backups are, changes nothing for what bears a tag of ours.
pub(crate) fn is_linked_in(stat: &Stat, tags: &Tagged<'_>) -> bool {
    stat.links > 1 && !tags.are_ours()
}

/// Whether there is a cached image `id`.
pub(crate) fn is_cached(folders: &Folders, id: &ImageId) -> Result<bool> {
    let path = || folders.root.path_of(id.as_str());
    let stat = folders.root.stat(OsStr::new(id.as_str())).context("look at", path)?;
    match stat.filter(|stat| stat.kind == Kind::File) {
        Some(stat) => bears_its_name(folders, id, &stat, &named(folders, id)),
        None => Ok(false),
    }
}

/// How long nobody may have written to a file of a Glance's before it is taken for whole where the system does not tell.
const QUIET: Duration = Duration::from_secs(60);

/// Whether a file with an image's name, committed by a Glance, may still be written to: two Glances that fill one image
/// write into one inode, which can have its final name while the second still writes it anew.
pub(crate) fn is_unsettled<Fd: AsFd>(fd: Fd, stat: &Stat, now: SystemTime) -> bool {
    sys::being_written(fd).unwrap_or_else(|| now.duration_since(stat.modified).is_ok_and(|age| age < QUIET))
}

/// The cached images in one pass, in no order, as far as `stat` tells; the tags of each are one call away.
pub(crate) fn cached(folders: &Folders) -> Result<impl Iterator<Item = Result<(ImageId, Stat)>>> {
    let entries = scan::entries(&folders.root)?;
    Ok(entries.filter_map(move |entry| match entry {
        Ok((id, stat)) => match bears_its_name(folders, &id, &stat, &named(folders, &id)) {
            Ok(cached) => cached.then_some(Ok((id, stat))),
            Err(error) => Some(Err(error)),
        },
        Err(error) => Some(Err(error)),
    }))
}

/// What `tell` says of each cached image, in one pass on several threads, in no order.
pub(crate) fn cached_at_once<T: Send>(folders: &Folders, tell: impl Fn(ImageId, &Stat) -> T + Sync) -> Result<Vec<T>> {
    scan::at_once(&folders.root, |name, stat| {
        let Some(id) = ImageId::from_file_name(name) else { return Ok(None) };
        Ok(bears_its_name(folders, &id, stat, &named(folders, &id))?.then(|| tell(id, stat)))
    })
}

/// Who fills, or filled, an incomplete image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// An Icewell.
    Icewell,
    /// A Glance that uses the same directory, or anybody else who put a file into `incomplete/`.
    Other,
}

/// An image that is being filled, or whose fill was broken off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incomplete {
    /// Its ID.
    pub id: ImageId,
    /// Who fills it.
    pub filler: Filler,
    /// Whether the filler is alive.
    pub active: bool,
    /// The bytes written so far.
    pub written: u64,
    /// The image's whole size, where it is known.
    pub size: Option<u64>,
    /// When something was last written.
    pub last_modified: SystemTime,
}

/// A fill that failed, kept for a look.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalid {
    /// Its ID.
    pub id: ImageId,
    /// The bytes of it that are kept.
    pub size: u64,
    /// When something was last written.
    pub last_modified: SystemTime,
    /// Why the fill failed, where that is known.
    pub error: Option<String>,
}

/// Whether anybody has a write lock on the bytes of this fill.
pub(crate) fn fill_is_active(folders: &Folders, id: &ImageId) -> Result<bool> {
    let path = || folders.fills.path_of(id.as_str());
    match folders.fills.open_file(id.as_str()).context("open", path)? {
        Some((fd, _)) => sys::fill_is_locked(&fd).context("ask for the lock of", path),
        None => Ok(false),
    }
}

/// The bytes that the limit counts for the fill `id`, whose file has `size` bytes: what was promised to it while it is
/// alive, and what is there of one that nobody goes on with.
pub(crate) fn reservation(folders: &Folders, id: &ImageId, size: u64) -> Result<u64> {
    let path = || folders.fills.path_of(id.as_str());
    let Some((fd, _)) = folders.fills.open_file(id.as_str()).context("open", path)? else { return Ok(size) };
    let tags = Tagged::File(&fd);
    // Claimed, and not begun: the mark is an earlier fill's.
    let is_only_claimed = tags.tell(tag::CLAIM).context("read a tag of", path)?;
    if is_only_claimed || !sys::fill_is_locked(&fd).context("ask for the lock of", path)? {
        return Ok(size);
    }
    // Not as if nothing were promised, where that cannot be told: another fill would be promised the same room.
    let mark = Mark::load(&tags).context("read a tag of", path)?;
    Ok(mark.map_or(size, |mark| mark.reserved.max(size)))
}

/// A file in `incomplete/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// There is none.
    Absent,
    /// Icewell's sign; whether the fill is alive is told by the lock of its bytes.
    Ours,
    /// Somebody else's, who has it open for writing.
    Written,
    /// Somebody else's, who has gone.
    Left,
}

/// Whose the file `incomplete/ID` is.
pub(crate) fn claim(folders: &Folders, id: &ImageId) -> Result<Claim> {
    let path = || folders.incomplete.path_of(id.as_str());
    let Some((fd, _)) = folders.incomplete.open_file(id.as_str()).context("open", path)? else {
        return Ok(Claim::Absent);
    };
    // A Glance that came upon our sign in the moment before it looked may be writing into it.
    // Where nobody can tell, better a fill too few than a Glance's fill disturbed.
    if sys::being_written(&fd) != Some(false) {
        return Ok(Claim::Written);
    }
    let ours = Tagged::File(&fd).tell(tag::CLAIM).context("read a tag of", path)?;
    Ok(if ours { Claim::Ours } else { Claim::Left })
}

/// Whether the image is being filled, as the folders say: a fill whose holder is alive, or any file in `incomplete/`
/// that does not carry our mark.
pub(crate) fn is_being_cached(folders: &Folders, id: &ImageId) -> Result<bool> {
    Ok(fill_is_active(folders, id)? || matches!(claim(folders, id)?, Claim::Written | Claim::Left))
}
