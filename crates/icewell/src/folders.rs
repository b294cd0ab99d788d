//! DIR and its folders, opened once; what is kept on DIR itself.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, ErrorKind, Result};
use crate::layout::{self, tag};
use crate::open_files::OpenFiles;
use crate::removals::Removals;
use crate::sys::{self, Dir};

/// The cache's folders.
#[derive(Debug)]
pub(crate) struct Folders {
    /// DIR: the cached images.
    pub(crate) root: Dir,
    /// Claims, and Glance's fills.
    pub(crate) incomplete: Dir,
    /// The bytes of Icewell's fills.
    pub(crate) fills: Dir,
    /// Fills that failed.
    pub(crate) invalid: Dir,
    /// Images that are wanted.
    pub(crate) queue: Dir,
    /// What of it is open here.
    pub(crate) open_files: OpenFiles,
    /// What was removed of it through these.
    pub(crate) removals: Removals,
}

impl Folders {
    /// Opens DIR, and makes what is missing of it.
    ///
    /// That the file system keeps user tags is tried by writing the format's version on DIR, which has to be done
    /// anyway: so there is no probe that could be left behind.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut made = Vec::new();
        let root = open_root(path, &mut made).inspect_err(|_| sys::remove_made(&made))?;
        let folder = |parent: &Dir, name| {
            parent.open_or_make_dir(name).context("open the cache's folder", || parent.path_of(name))
        };
        let incomplete = folder(&root, layout::INCOMPLETE)?;
        let fills = folder(&incomplete, layout::FILLS)?;
        let invalid = folder(&root, layout::INVALID)?;
        let queue = folder(&root, layout::QUEUE)?;
        Ok(Folders {
            root,
            incomplete,
            fills,
            invalid,
            queue,
            open_files: OpenFiles::default(),
            removals: Removals::default(),
        })
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
