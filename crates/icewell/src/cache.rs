//! [`Cache`]: every operation, each a few lines; how it is done stands in the module that does it. What is about room is in
//! [`limits`].

mod limits;

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::attrs::{self, Metadata, Tagged};
use crate::binding::Adoption;
use crate::clean::Cleaned;
use crate::copy::Copied;
use crate::entry::{Image, Incomplete, Invalid, Stamp, Summary};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::{Folders, InUse};
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::lru::Lru;
use crate::observer::Observer;
use crate::queue::Queued;
use crate::reader::Reader;
use crate::room::Enforcement;
use crate::space::Usage;
use crate::sys::{self, Step, step};
use crate::time::{Clock, SystemClock};
use crate::verify::{Reading, Verdict};
use crate::writer::Writer;
use crate::{binding, clean, copy, entry, queue, scan, verify};

/// A cache directory, open for use by any number of threads; other processes, and a Glance with its `xattr` driver,
/// may use it at the same time. Clones share what is open.
///
/// Every method may block on the disk. Nothing is kept in memory: what another process did is seen at once.
#[derive(Clone, Debug)]
pub struct Cache {
    /// As they were opened first: DIR, and for what needs nothing else.
    folders: Arc<Folders>,
    /// For everything else.
    in_use: Arc<InUse>,
    clock: Arc<dyn Clock>,
    enforcement: Enforcement,
}

/// An image and the bytes it takes, as far as one look at its file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeastRecent {
    /// Its ID.
    pub id: ImageId,
    /// Its size in bytes.
    pub size: u64,
}

/// The file system under the cache, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystem {
    /// Its name, as `ext4`.
    pub name: String,
    /// Its size.
    pub total: u64,
    /// What an ordinary user may still write.
    pub available: u64,
}

impl Cache {
    /// Opens the cache at `dir`, and makes the directory and its folders where they are missing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoXattrSupport`] where the file system keeps no user extended attributes;
    /// [`ErrorKind::UnknownFormat`] for the cache of a newer Icewell; [`ErrorKind::ReadOnly`] and
    /// [`ErrorKind::PermissionDenied`] as the system says. A directory that was missing is not left behind then.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Cache::open_with_clock(dir, Arc::new(SystemClock))
    }

    /// As [`open`](Cache::open), with a clock other than the machine's.
    pub fn open_with_clock(dir: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self> {
        let folders = Arc::new(Folders::open(dir.as_ref())?);
        let in_use = Arc::new(InUse::new(folders.clone()));
        Ok(Cache { folders, in_use, clock, enforcement: Enforcement::Hard })
    }

    /// The folders as they are now: somebody may have removed one.
    fn all_folders(&self) -> Result<Arc<Folders>> {
        self.in_use.all()
    }

    /// The same cache for somebody who keeps a limit of his own, by pruning from time to time: fills made through it ask
    /// for no room under the limit and remove nothing for it. They still count for everybody else.
    ///
    /// This is for the driver inside Glance, whose limit is a soft one. A file system that is full is dealt with all
    /// the same.
    #[must_use]
    pub fn with_soft_limit(mut self) -> Self {
        self.enforcement = Enforcement::Soft;
        self
    }

    /// The path it was opened by.
    pub fn dir(&self) -> &Path {
        self.folders.root.path()
    }

    // What is cached.

    /// The cached images, by ID, in one pass. Files that vanish meanwhile are skipped.
    pub fn images(&self) -> Result<Vec<Image>> {
        let mut images = Vec::new();
        for image in entry::cached(&self.folders)? {
            let (id, stat) = image?;
            let name = id.clone();
            images.push(Image::read(id, &stat, &Tagged::Name(&self.folders.root, OsStr::new(name.as_str()))));
        }
        images.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(images)
    }

    /// As [`images`](Cache::images), but only what a Glance lists of each: a few calls to the system for each image
    /// instead of a dozen.
    pub fn summaries(&self) -> Result<Vec<Summary>> {
        let mut summaries = entry::cached_at_once(&self.folders, |id, stat| Summary::read(&self.folders, id, stat))?;
        summaries.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(summaries)
    }

    /// The cached image `id`; none if it is not cached.
    pub fn image(&self, id: &ImageId) -> Result<Option<Image>> {
        match self.read(id) {
            Ok(reader) => Ok(Some(reader.image().clone())),
            Err(error) if error.kind() == ErrorKind::NotCached => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What people call the image, where its origin told; nothing else of it is looked at, for who has many to ask about.
    pub fn name(&self, id: &ImageId) -> Option<String> {
        Tagged::Name(&self.folders.root, OsStr::new(id.as_str())).text(tag::NAME)
    }

    /// The number of cached images, the sum of their sizes, and the bytes they really take on disk, in one pass.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for image in entry::cached(&self.folders)? {
            let (_, stat) = image?;
            usage.add(stat.size, stat.allocated);
        }
        Ok(usage)
    }

    /// As [`usage`](Cache::usage), but by name alone, with no look at the tags: half the work, and a file that only bears
    /// the name of an image counts, too.
    pub fn disk_usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        for (size, allocated) in scan::at_once(&self.folders.root, |_, stat| Ok(Some((stat.size, stat.allocated))))? {
            usage.add(size, allocated);
        }
        Ok(usage)
    }

    /// How often `id` was read; 0 if it is not cached, or its tag is missing or garbage.
    pub fn hits(&self, id: &ImageId) -> Result<u64> {
        if !self.is_cached(id)? {
            return Ok(0);
        }
        Ok(Tagged::Name(&self.folders.root, OsStr::new(id.as_str())).hits())
    }

    /// Whether `id` is cached.
    pub fn is_cached(&self, id: &ImageId) -> Result<bool> {
        entry::is_cached(&self.folders, id)
    }

    /// Whether `id` is being filled: by an Icewell that is alive, or by whoever put a file without Icewell's mark into
    /// `incomplete/`.
    pub fn is_being_cached(&self, id: &ImageId) -> Result<bool> {
        entry::is_being_cached(&*self.all_folders()?, id)
    }

    /// Whether `id` is neither cached nor being filled.
    pub fn is_cacheable(&self, id: &ImageId) -> Result<bool> {
        Ok(!self.is_cached(id)? && !self.is_being_cached(id)?)
    }

    /// The least recently used image; none if the cache is empty.
    pub fn least_recently_used(&self) -> Result<Option<LeastRecent>> {
        let mut least: Option<(std::time::SystemTime, LeastRecent)> = None;
        for image in entry::cached(&self.folders)? {
            let (id, stat) = image?;
            let used = Tagged::Name(&self.folders.root, OsStr::new(id.as_str())).last_accessed(&stat);
            if least.as_ref().is_none_or(|(first, least)| (used, &id) < (*first, &least.id)) {
                least = Some((used, LeastRecent { id, size: stat.size }));
            }
        }
        Ok(least.map(|(_, least)| least))
    }

    /// The order in which images would be pruned, for whoever removes them one by one.
    pub fn lru(&self) -> Lru {
        Lru::new(self.folders.clone())
    }

    // Images in and out.

    /// Opens a cached image for reading.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCached`].
    pub fn read(&self, id: &ImageId) -> Result<Reader> {
        Reader::open(self.folders.clone(), self.clock.clone(), id)
    }

    /// A look at the name `id`, for who keeps a [`Reader`] of it open: while this is the [`Reader::stamp`], the reader's
    /// image is still the cached one. One call to the system. None where there is no such file.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn stamp(&self, id: &ImageId) -> Result<Option<Stamp>> {
        entry::stamp(&self.folders, id)
    }

    /// Claims `id`, to fill it: nobody else can until the [`Writer`] is gone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyCached`]; [`ErrorKind::InProgress`] where somebody else fills it, here, in another process, or
    /// in a Glance.
    pub fn write(&self, id: &ImageId) -> Result<Writer> {
        Writer::claim(self.in_use.clone(), self.clock.clone(), self.enforcement, id)
    }

    /// Watches a fill that another process, or another thread, has begun; none where no Icewell that is alive has.
    pub fn observe(&self, id: &ImageId) -> Result<Option<Observer>> {
        Observer::open(self.all_folders()?, id)
    }

    /// Copies a cached image to the file `to`, over what it holds: sharing blocks where the file system can, else with
    /// its holes. Tells `progress` the bytes of each step. Counts as a hit, if this user may count it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCached`]; half a copy, shorter than the image, may be left where writing fails or the process is killed.
    pub fn copy_out(&self, id: &ImageId, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Copied> {
        let reader = self.read(id)?;
        let copied = copy::copy_out(&reader, to, progress)?;
        step(Step::CopyCopied);
        // The copy is whole, and whoever may read an image need not be somebody who may tag it.
        if let Err(error) = reader.count_hit() {
            warn!(image_id = %id, %error, "the hit is not counted");
        }
        Ok(copied)
    }

    /// Reads a cached image and compares it with its digest; a bad one goes to `invalid/`. Tells `progress` the bytes of
    /// each step. Counts as no use of the image.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCached`].
    pub fn verify(&self, id: &ImageId, progress: &mut dyn FnMut(u64)) -> Result<Verdict> {
        let mut step = |bytes| {
            progress(bytes);
            ControlFlow::Continue(())
        };
        let verdict =
            verify::verify(&*self.all_folders()?, &self.read(id)?, self.clock.now(), Reading::Plain, &mut step)?;
        // It was not broken off.
        Ok(verdict.unwrap_or(Verdict::Unverifiable { unchanged: false }))
    }

    /// The cached images that are to be read again: they have a digest and were last compared with it longer than `every`
    /// ago, the longest ago first. What an image is compared with at its commit counts, and so does a
    /// [`verify`](Cache::verify) by anybody; both are kept on the image, so that this goes on where a process ended.
    pub fn scrub_due(&self, every: Duration) -> Result<Vec<ImageId>> {
        verify::due(&self.folders, every, self.clock.now())
    }

    /// As [`verify`](Cache::verify), but so that nothing is driven out of the page cache for it: what was not in there is
    /// read from the disk and not kept. Tells `step` the bytes of each step, about a megabyte; there the caller may take
    /// its time, or break it off: none then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotCached`].
    pub fn scrub(&self, id: &ImageId, step: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Option<Verdict>> {
        verify::verify(&*self.all_folders()?, &self.read(id)?, self.clock.now(), Reading::Gently, step)
    }

    /// Takes the image that `reader` has open out of service: to `invalid/`, with the reason, unless another file has its
    /// name by now. Whether it was taken. Who has it open reads on.
    pub fn set_aside(&self, reader: &Reader, why: &str) -> Result<bool> {
        verify::set_aside(&*self.all_folders()?, reader, why, self.clock.now())
    }

    /// Keeps `metadata` with a cached image in the place of what was kept. Whether it is cached.
    pub fn set_metadata(&self, id: &ImageId, metadata: &Metadata) -> Result<bool> {
        let Some(fd) = self.open_cached(id)? else { return Ok(false) };
        attrs::set_metadata(&fd, metadata).context("tag", || self.folders.root.path_of(id.as_str()))?;
        Ok(true)
    }

    /// Pins a cached image, so that it is never pruned, or unpins it. Whether it is cached.
    pub fn set_pinned(&self, id: &ImageId, pinned: bool) -> Result<bool> {
        let Some(fd) = self.open_cached(id)? else { return Ok(false) };
        let set = if pinned { sys::set_tag(&fd, tag::PINNED, b"1") } else { sys::remove_tag(&fd, tag::PINNED) };
        set.context("tag", || self.folders.root.path_of(id.as_str()))?;
        step(Step::PinTagged);
        Ok(true)
    }

    /// The file of a cached image. Decided by what was opened: the name may have been given to another file since a look.
    fn open_cached(&self, id: &ImageId) -> Result<Option<std::os::fd::OwnedFd>> {
        let path = || self.folders.root.path_of(id.as_str());
        let Some((fd, _)) = self.folders.root.open_file(id.as_str()).context("open", path)? else { return Ok(None) };
        let named = sys::stat_named(&self.folders.root, OsStr::new(id.as_str()), &fd).context("look at", path)?;
        let Some(stat) = named else { return Ok(None) };
        let cached = entry::bears_its_name(&self.folders, id, &stat, &Tagged::File(&fd))?;
        Ok(cached.then_some(fd))
    }

    /// Removes a cached image; whether it was cached. Who has it open reads on undisturbed.
    pub fn remove(&self, id: &ImageId) -> Result<bool> {
        let name = OsStr::new(id.as_str());
        // Not "is cached": a file that only bears the name of an image is in the way and may go, a folder may not.
        let path = || self.folders.root.path_of(id.as_str());
        let stat = self.folders.root.stat(name).context("look at", path)?;
        let Some(stat) = stat.filter(|stat| stat.kind == sys::Kind::File) else { return Ok(false) };
        let cached = self.is_cached(id)?;
        if !cached && entry::is_no_image(&self.folders, id, &stat, &Tagged::Name(&self.folders.root, name))? {
            return Ok(false);
        }
        let removed = self.folders.root.unlink(name).context("remove", path)?;
        step(Step::RemoveRemoved);
        Ok(removed && cached)
    }

    /// Removes the cached images, those that are pinned only if `pinned_too`; how many.
    pub fn remove_all(&self, pinned_too: bool) -> Result<u64> {
        let mut removed = 0;
        for image in entry::cached(&self.folders)? {
            let (id, _) = image?;
            let keep = !pinned_too && Tagged::Name(&self.folders.root, OsStr::new(id.as_str())).are_of_pinned();
            removed += u64::from(!keep && self.remove(&id)?);
        }
        Ok(removed)
    }

    // What is wanted.

    /// Queues an image; false if it is cached, being filled or queued already. Of callers that race, one gets true.
    pub fn queue(&self, id: &ImageId) -> Result<bool> {
        queue::add(&*self.all_folders()?, id, self.clock.now())
    }

    /// The queue, first come first; the order holds within one tick of the clock, too.
    pub fn queued(&self) -> Result<Vec<Queued>> {
        queue::list(&*self.all_folders()?)
    }

    /// Whether `id` is queued.
    pub fn is_queued(&self, id: &ImageId) -> Result<bool> {
        queue::contains(&*self.all_folders()?, id)
    }

    /// Takes `id` off the queue; whether it was on it.
    pub fn unqueue(&self, id: &ImageId) -> Result<bool> {
        queue::remove(&*self.all_folders()?, id)
    }

    /// Empties the queue; how many were on it.
    pub fn unqueue_all(&self) -> Result<u64> {
        let queued = self.queued()?;
        queued.iter().try_fold(0, |count, queued| Ok(count + u64::from(self.unqueue(&queued.id)?)))
    }

    // Fills, failed ones, and tidying.

    /// The fills under way, Icewell's and others', and those that were broken off, by ID.
    pub fn incomplete(&self) -> Result<Vec<Incomplete>> {
        clean::incomplete(&*self.all_folders()?)
    }

    /// The failed fills, by ID.
    pub fn invalid(&self) -> Result<Vec<Invalid>> {
        clean::invalid(&*self.all_folders()?)
    }

    /// Removes failed fills older than `grace`, or all of them for no grace; how many.
    pub fn reap_invalid(&self, grace: Duration) -> Result<u64> {
        clean::reap_invalid(&*self.all_folders()?, grace, self.clock.now())
    }

    /// Removes fills that stood still for longer than `stall_time`, or any for none; how many images. A fill that is
    /// alive stays, whatever its age.
    pub fn reap_stalled(&self, stall_time: Duration) -> Result<u64> {
        clean::reap_stalled(&*self.all_folders()?, stall_time, self.clock.now())
    }

    /// Removes all failed fills and those that stalled.
    pub fn clean(&self, stall_time: Duration) -> Result<Cleaned> {
        Ok(Cleaned { invalid: self.reap_invalid(Duration::ZERO)?, stalled: self.reap_stalled(stall_time)? })
    }

    // The origin, kept on the directory.

    /// The origin that the cache is bound to, if it is bound.
    pub fn origin(&self) -> Result<Option<String>> {
        self.folders.root_tag(tag::ORIGIN)
    }

    /// Binds the cache to `origin`, once and for all: names mean nothing without it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OtherOrigin`] where it is bound to another one, or holds images that nobody vouches for.
    pub fn bind_origin(&self, origin: &str, adoption: Adoption) -> Result<()> {
        binding::bind(&*self.all_folders()?, origin, adoption)
    }
}

impl Error {
    /// Whether somebody else's work explains the error, so that looking again later is the thing to do.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::InProgress | ErrorKind::AlreadyCached)
    }
}
