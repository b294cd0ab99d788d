//! A fill of another process, watched: its bytes can be read while they come.

use std::fs::File;
use std::sync::Arc;

use crate::attrs::{Metadata, Tagged};
use crate::entry;
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::mark::Mark;
use crate::sys;

/// Somebody else's fill. Nothing is locked and nobody is held up by it.
///
/// The bytes up to what [`look`](Observer::look) tells may be read from [`file`](Observer::file). They are verified only
/// once the fill is committed; who gives them out before holds the last ones back.
#[derive(Debug)]
pub struct Observer {
    folders: Arc<Folders>,
    id: ImageId,
    file: Arc<File>,
    size: Option<u64>,
    metadata: Metadata,
}

/// How far a watched fill has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It goes on; this many bytes may be read. The figure follows the fill at some distance.
    Filling {
        /// The bytes that are surely written.
        written: u64,
    },
    /// The image is cached, and this is its file.
    Committed,
    /// The filler is gone, or the fill failed.
    Ended,
}

impl Observer {
    /// Watches the fill of `id`, if an Icewell that is alive fills it and has begun to.
    pub(crate) fn open(folders: Arc<Folders>, id: &ImageId) -> Result<Option<Self>> {
        let path = || folders.fills.path_of(id.as_str());
        let Some((fd, _)) = folders.fills.open_file(id.as_str()).context("open", path)? else { return Ok(None) };
        let tags = Tagged::File(&fd);
        // Claimed, and not begun: the mark is an earlier fill's.
        if tags.tell(tag::CLAIM).context("read a tag of", path)? {
            return Ok(None);
        }
        let Some(mark) = Mark::load(&tags).context("read a tag of", path)? else { return Ok(None) };
        let metadata = tags.metadata();
        if !sys::fill_is_locked(&fd).context("ask for the lock of", path)? {
            return Ok(None);
        }
        Ok(Some(Observer { id: id.clone(), file: Arc::new(File::from(fd)), size: mark.size, metadata, folders }))
    }

    /// The image's size, where the filler knows it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// What the filler knows of the image.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The file that grows. It is the image's, once that is committed.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Looks how far it has come.
    pub fn look(&self) -> Result<Observed> {
        let path = || self.folders.fills.path_of(self.id.as_str());
        // The mark before the lock: what it says was written while the filler lived. A filler takes it off when it has
        // verified the image and is about to commit; then nothing new is said.
        let mark = Mark::load(&Tagged::File(&self.file)).context("read a tag of", path)?;
        let written = mark.map_or(0, |mark| mark.written);
        if sys::fill_is_locked(&self.file).context("ask for the lock of", path)? && !self.is_committed()? {
            return Ok(Observed::Filling { written });
        }
        Ok(if self.is_committed()? { Observed::Committed } else { Observed::Ended })
    }

    /// Why a fill that [`Ended`](Observed::Ended) failed: its bytes were wrong, or whoever brought them rolled it back.
    /// None where it was broken off, or was given up for want of room.
    ///
    /// It is noted on the file that was watched, and stays there when the failed fill is removed meanwhile. Where no reason
    /// could be noted (see [`Cache::invalid`](crate::Cache::invalid)), that it lies in `invalid/` tells.
    pub fn failure(&self) -> Option<String> {
        let noted = Tagged::File(&self.file).text(tag::ERROR);
        noted.or_else(|| self.is_set_aside().then(|| "the fill failed".to_owned()))
    }

    /// Whether the file that was watched lies in `invalid/` now.
    fn is_set_aside(&self) -> bool {
        let named = sys::stat_named(&self.folders.invalid, self.id.as_str().as_ref(), &self.file);
        named.is_ok_and(|named| named.is_some())
    }

    /// Whether the file that was watched has the image's name now.
    fn is_committed(&self) -> Result<bool> {
        let path = || self.folders.root.path_of(self.id.as_str());
        let named = self.folders.root.stat(self.id.as_str().as_ref()).context("look at", path)?;
        let watched = sys::stat(&self.file).context("look at", path)?;
        Ok(named.is_some_and(|named| named.inode == watched.inode) && entry::is_cached(&self.folders, &self.id)?)
    }
}
