//! One image out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crate::attrs::{Identity, Tagged};
use crate::entry::{self, Image, Stamp};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::sys::{self, SetTime, Stat, Step, step};
use crate::time::{self, Clock};

/// How long somebody else may have an image's file locked: Icewell itself has it for two calls to the system.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A cached image, open for reading.
///
/// It stays readable, the same bytes, whatever happens to its name. Reading moves nothing: tell the cache that the read
/// came to a good end with [`count_hit`](Reader::count_hit), or that bytes were read with [`touch`](Reader::touch).
#[derive(Debug)]
pub struct Reader {
    folders: Arc<Folders>,
    clock: Arc<dyn Clock>,
    id: ImageId,
    /// As it was when it was opened.
    stat: Stat,
    /// Read when it is first asked for: its tags are a dozen calls to the system, and a plain hit needs none of them.
    image: OnceLock<Image>,
    file: Arc<File>,
    /// Held while a hit is counted: threads that share this reader share its open file description, and with it the
    /// lock that keeps others out.
    counting: Mutex<()>,
}

impl Reader {
    /// Opens the cached image `id`; none where there is none, or where a Glance is still writing it.
    pub(crate) fn open(folders: Arc<Folders>, clock: Arc<dyn Clock>, id: &ImageId) -> Result<Self> {
        let path = || folders.root.path_of(id.as_str());
        let not_cached = || Error::new(ErrorKind::NotCached, "read", path());
        let (fd, stat) = folders.root.open_file(id.as_str()).context("open", path)?.ok_or_else(not_cached)?;
        let file = Arc::new(File::from(fd));
        folders.open_files.note(&file);
        let tags = Tagged::File(&*file);
        match tags.identity(id).context("read the tags of", path)? {
            Identity::Itself => {}
            Identity::Untagged => {
                let named = sys::stat_named(&folders.root, id.as_str().as_ref(), &*file).context("look at", path)?;
                let named = named.ok_or_else(not_cached)?;
                let no_image = entry::is_no_image(&folders, id, &named, &tags)?;
                if no_image || entry::is_unsettled(&*file, &named, clock.now()) {
                    return Err(not_cached());
                }
            }
            Identity::Another | Identity::Claim => return Err(not_cached()),
        }
        let (id, image) = (id.clone(), OnceLock::new());
        Ok(Reader { folders, clock, id, stat, image, file, counting: Mutex::new(()) })
    }

    /// What is known of the image, as of the first time this is asked; size and times as of when it was opened.
    pub fn image(&self) -> &Image {
        self.image.get_or_init(|| Image::read(self.id.clone(), &self.stat, &Tagged::File(&*self.file)))
    }

    /// Its ID.
    pub fn id(&self) -> &ImageId {
        &self.id
    }

    /// The open file, for whoever reads by the system's own means. It is open for reading only.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads at `offset` and leaves the position alone; 0 bytes at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        sys::read_at(&self.file, buffer, offset)
    }

    /// Counts one successful read, and makes now the image's access time.
    pub fn count_hit(&self) -> Result<()> {
        self.count_hits(1)
    }

    /// Counts several at once. Exact under any number of Icewell's threads and processes; a removed image's are lost
    /// with it, which is no error.
    ///
    /// # Errors
    ///
    /// Another program has had a `flock(2)` on the image for ten seconds, or the tag cannot be written.
    pub fn count_hits(&self, hits: u64) -> Result<()> {
        if !self.add_hits(hits, LOCK_PATIENCE)? {
            return Err(locked()).context("count a hit of", || self.path());
        }
        step(Step::HitCounted);
        self.touch()
    }

    /// Whether it could be done while nobody else had the lock for that long.
    fn add_hits(&self, hits: u64, patience: Duration) -> Result<bool> {
        let counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = sys::hold_file(&*self.file, patience, || {
            step(Step::HitLocked);
            let before = Tagged::File(&*self.file).tell_hits()?;
            sys::set_tag(&*self.file, tag::HITS, before.saturating_add(hits).to_string().as_bytes())
        });
        drop(counting);
        Ok(counted.context("count a hit of", || self.path())?.is_some())
    }

    /// Counts as many hits as there were since the last time, which may be none, and makes `last` the access time, unless
    /// a later one is there already. For who reads often, and does not want to pay for each read by itself.
    ///
    /// False where nothing was counted because another program has had a `flock(2)` on the image for as long as `patience`
    /// says: the caller keeps the hits for a later time.
    pub fn count_reads(&self, hits: u64, last: SystemTime, patience: Duration) -> Result<bool> {
        if hits > 0 && !self.add_hits(hits, patience)? {
            return Ok(false);
        }
        let accessed = sys::stat(&*self.file).context("look at", || self.path())?;
        if Tagged::File(&*self.file).last_accessed(&accessed) < last {
            self.set_last_used(last).context("set the access time of", || self.path())?;
        }
        Ok(true)
    }

    /// What tells this file, as it was when it was opened, from a changed or another one.
    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.stat)
    }

    /// Whether hits of the image were ever counted, or its committer said that there are none.
    pub fn has_hits_tag(&self) -> bool {
        Tagged::File(&*self.file).has(tag::HITS)
    }

    /// Takes over the hits and the last use that somebody else noted, who kept them elsewhere; whether that was done: not
    /// where hits are noted here. Broken off, it can be done again.
    pub fn take_over(&self, hits: u64, last_used: SystemTime) -> Result<bool> {
        let taken = sys::hold_file(&*self.file, LOCK_PATIENCE, || {
            if Tagged::File(&*self.file).tell(tag::HITS)? {
                return Ok(false);
            }
            self.set_last_used(last_used)?;
            // Last: it says that all is done.
            sys::set_tag(&*self.file, tag::HITS, hits.to_string().as_bytes())?;
            Ok(true)
        });
        taken.and_then(|taken| taken.ok_or_else(locked)).context("take over the hits of", || self.path())
    }

    /// Makes now the image's access time. Only a file's owner may (`utimensat(2)`); anybody else leaves a tag.
    pub fn touch(&self) -> Result<()> {
        self.set_last_used(self.clock.now()).context("set the access time of", || self.path())
    }

    fn set_last_used(&self, time: SystemTime) -> io::Result<()> {
        match sys::set_times(&*self.file, SetTime::To(time), SetTime::Keep) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                sys::set_tag(&*self.file, tag::ACCESSED, time::to_tag(time).as_bytes())
            }
            other => other,
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folders.root.path_of(self.id.as_str())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::read(&self.file, buffer)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self.file).seek(to)
    }
}

/// What is said of an image that stays locked.
fn locked() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "another program has locked the file (flock)")
}
