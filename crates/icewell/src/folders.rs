//! DIR and its folders, opened once, and those that somebody has removed once more; what is kept on DIR itself.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::layout::{self, tag};
use crate::lock;
use crate::open_files::OpenFiles;
use crate::removals::Removals;
use crate::sys::{self, Dir};

/// The cache's folders.
#[derive(Debug)]
pub(crate) struct Folders {
    /// DIR: the cached images. It is the same for as long as the cache is open.
    pub(crate) root: Arc<Dir>,
    /// Claims, and Glance's fills.
    pub(crate) incomplete: Arc<Dir>,
    /// The bytes of Icewell's fills.
    pub(crate) fills: Arc<Dir>,
    /// Fills that failed.
    pub(crate) invalid: Arc<Dir>,
    /// Images that are wanted.
    pub(crate) queue: Arc<Dir>,
    /// What of it is open here.
    pub(crate) open_files: Arc<OpenFiles>,
    /// What was removed of it through these.
    pub(crate) removals: Arc<Removals>,
}

impl Folders {
    /// Opens DIR, and makes what is missing of it.
    ///
    /// That the file system keeps user tags is tried by writing the format's version on DIR, which has to be done
    /// anyway: so there is no probe that could be left behind.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut made = Vec::new();
        let root = Arc::new(open_root(path, &mut made).inspect_err(|_| sys::remove_made(&made))?);
        let incomplete = folder(&root, layout::INCOMPLETE)?;
        let fills = folder(&incomplete, layout::FILLS)?;
        let invalid = folder(&root, layout::INVALID)?;
        let queue = folder(&root, layout::QUEUE)?;
        Ok(Folders { root, incomplete, fills, invalid, queue, open_files: Arc::default(), removals: Arc::default() })
    }

    /// The same with those folders made and opened anew that somebody has removed; none where all of them are there.
    ///
    /// What decides is whether the open folder is still anywhere, not what has its name: a folder that was moved away is
    /// used on, and a link in its place leads nowhere. A fill whose bytes lay in a removed folder keeps that one, and so
    /// never meets a later fill of the same image.
    ///
    /// # Errors
    ///
    /// DIR itself was removed: what has its name now may be anybody's, and another file system where one was unmounted.
    pub(crate) fn mended(&self) -> Result<Option<Self>> {
        if is_removed(&self.root)? {
            let error = Error::new(ErrorKind::Io, "use the cache directory", self.root.path());
            return Err(error.with_detail("somebody has removed it while it was in use; start anew, which makes it"));
        }
        let mut all_there = true;
        for dir in [&self.incomplete, &self.fills, &self.invalid, &self.queue] {
            all_there &= !is_removed(dir)?;
        }
        if all_there {
            return Ok(None);
        }
        // Who else mends finds the folder as it is to be, not as it is between mkdir and chown.
        let _held = lock::space(self)?;
        let incomplete = made_anew(&self.incomplete, &self.root, layout::INCOMPLETE)?;
        let fills = match Arc::ptr_eq(&incomplete, &self.incomplete) {
            true => made_anew(&self.fills, &incomplete, layout::FILLS)?,
            false => folder(&incomplete, layout::FILLS)?,
        };
        Ok(Some(Folders {
            root: self.root.clone(),
            invalid: made_anew(&self.invalid, &self.root, layout::INVALID)?,
            queue: made_anew(&self.queue, &self.root, layout::QUEUE)?,
            incomplete,
            fills,
            open_files: self.open_files.clone(),
            removals: self.removals.clone(),
        }))
    }

    /// The value of a tag on DIR; none if it is missing.
    pub(crate) fn root_tag(&self, key: &str) -> Result<Option<String>> {
        let value = sys::get_tag(&self.root, key).context("read a tag of", || self.root.path().into())?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// Sets a tag on DIR.
    pub(crate) fn set_root_tag(&self, key: &str, value: &str) -> Result<()> {
        sys::set_tag(&self.root, key, value.as_bytes()).context("set a tag of", || self.root.path().into())
    }

    /// Removes a tag from DIR.
    pub(crate) fn remove_root_tag(&self, key: &str) -> Result<()> {
        sys::remove_tag(&self.root, key).context("remove a tag of", || self.root.path().into())
    }
}

/// The folders that a cache and its clones use by now.
#[derive(Debug)]
pub(crate) struct InUse(Mutex<Arc<Folders>>);

impl InUse {
    pub(crate) fn new(folders: Arc<Folders>) -> Self {
        InUse(Mutex::new(folders))
    }

    /// All of them, those made anew that somebody has removed since the last time.
    ///
    /// # Errors
    ///
    /// As [`Folders::mended`]. The caller holds no lock.
    pub(crate) fn all(&self) -> Result<Arc<Folders>> {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mended) = folders.mended()? {
            *folders = Arc::new(mended);
        }
        Ok(folders.clone())
    }
}

fn folder(parent: &Dir, name: &str) -> Result<Arc<Dir>> {
    parent.open_or_make_dir(name).map(Arc::new).context("open the cache's folder", || parent.path_of(name))
}

/// The folder itself, or if it was removed, another one in its place.
fn made_anew(dir: &Arc<Dir>, parent: &Dir, name: &str) -> Result<Arc<Dir>> {
    if !is_removed(dir)? {
        return Ok(dir.clone());
    }
    let made = folder(parent, name)?;
    warn!(folder = %made.path().display(), "a folder of the cache was removed while it was in use, and is made anew");
    Ok(made)
}

/// Whether the folder has no name any more, nowhere.
fn is_removed(dir: &Dir) -> Result<bool> {
    Ok(sys::stat(dir).context("look at", || dir.path().into())?.links == 0)
}

fn open_root(path: &Path, made: &mut Vec<PathBuf>) -> Result<Dir> {
    sys::create_dir_all(path, made).context("make the cache directory", || path.into())?;
    let root = Dir::open(path).context("open the cache directory", || path.into())?;
    check_version(&root)?;
    Ok(root)
}

fn check_version(root: &Dir) -> Result<()> {
    let version = match sys::get_tag(root, tag::VERSION) {
        Ok(Some(version)) => version,
        Ok(None) => {
            let version = layout::FORMAT_VERSION.to_string();
            return sys::set_tag(root, tag::VERSION, version.as_bytes()).map_err(|error| tags_refused(root, error));
        }
        Err(error) => return Err(tags_refused(root, error)),
    };
    let refuse = |detail: String| {
        Err(Error::new(ErrorKind::UnknownFormat, "open the cache directory", root.path()).with_detail(detail))
    };
    match str::from_utf8(&version).ok().and_then(|text| text.trim().parse::<u32>().ok()) {
        Some(version) if version <= layout::FORMAT_VERSION => Ok(()),
        Some(version) => refuse(format!(
            "its format is {version} and this Icewell reads up to {}; use the newer Icewell, or another directory",
            layout::FORMAT_VERSION
        )),
        None => refuse(format!(
            "its tag {} is no number: {:?}; if you know the directory to be a cache, remove the tag",
            tag::VERSION,
            String::from_utf8_lossy(&version)
        )),
    }
}

fn tags_refused(root: &Dir, error: io::Error) -> Error {
    if error.raw_os_error() != Some(libc::EOPNOTSUPP) {
        return Error::io("write a tag on the cache directory", root.path(), error);
    }
    let file_system = sys::volume(root.as_fd()).map_or_else(|_| "unknown".into(), |volume| volume.file_system);
    Error::new(ErrorKind::NoXattrSupport, "use the cache directory", root.path()).with_detail(format!(
        "it lies on {file_system}; mount it with the option user_xattr, or choose a directory on ext4, XFS, btrfs, or \
         tmpfs since Linux 6.6"
    ))
}
