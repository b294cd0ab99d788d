//! Folders by descriptor.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use super::failpoints::{Call, call};
use super::stat::{Kind, Stat, stat, stat_at};

/// An open folder, with the path it was opened by for messages only.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    /// Owner, group and mode of the folder when it was opened: what is made in it gets the same.
    heir: Heir,
}

#[derive(Clone, Copy, Debug)]
struct Heir {
    uid: u32,
    gid: u32,
    mode: u32,
}

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the folder at `path`. Symbolic links on the way are followed: the operator may have put them there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        call(Call::Openat)?;
        Dir::from_fd(fs::openat(CWD, path, DIR_FLAGS, Mode::empty())?, path.to_owned())
    }

    /// Opens the folder `name` in this one; a symbolic link is refused.
    pub(crate) fn open_dir(&self, name: &str) -> io::Result<Self> {
        call(Call::Openat)?;
        let fd = fs::openat(&self.fd, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        Dir::from_fd(fd, self.path.join(name))
    }

    /// Opens the folder `name` in this one, and makes it, with this one's owner and mode, where it is missing.
    pub(crate) fn open_or_make_dir(&self, name: &str) -> io::Result<Self> {
        match self.open_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        match call(Call::Mkdirat).and_then(|()| fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o700))) {
            Ok(()) => {
                let made = self.open_dir(name)?;
                self.hand_down(&made.fd, self.heir.mode & 0o7777)?;
                // A crash may not bring back a cached image whose folder of claims is gone.
                self.sync()?;
                self.open_dir(name)
            }
            Err(Errno::EXIST) => self.open_dir(name),
            Err(error) => Err(error.into()),
        }
    }

    /// A new open file description of the same folder, for a lock of its own.
    pub(crate) fn reopen(&self) -> io::Result<OwnedFd> {
        call(Call::Openat)?;
        Ok(fs::openat(&self.fd, c".", DIR_FLAGS, Mode::empty())?)
    }

    fn from_fd(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let stat = stat(&fd)?;
        Ok(Dir { fd, path, heir: Heir { uid: stat.uid, gid: stat.gid, mode: stat.mode } })
    }

    /// The path this folder was opened by; for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in this folder; for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.heir.uid, self.heir.gid)
    }

    /// What `name` is, itself and not what it may link to; none if there is no such name.
    pub(crate) fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match stat_at(&self.fd, name) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens `name` for reading without touching its access time; none where it is not a regular file.
    ///
    /// `O_NONBLOCK` keeps a planted FIFO from stopping us. `O_NOATIME` is for the owner only (`open(2)`): elsewhere the
    /// file is opened without it, and a read may then move the access time.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<Option<(OwnedFd, Stat)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| call(Call::Openat).and_then(|()| fs::openat(&self.fd, name, flags, Mode::empty()));
        let opened = match open(flags | OFlags::NOATIME) {
            Err(Errno::PERM) => open(flags),
            other => other,
        };
        match opened {
            Ok(fd) => {
                let stat = stat(&fd)?;
                Ok((stat.kind == Kind::File).then_some((fd, stat)))
            }
            // No such name; a symbolic link; a socket or a device without a driver.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::NODEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens `name` for reading and writing, making it if it is missing; never truncates it.
    pub(crate) fn open_or_create_file(&self, name: &str) -> io::Result<OwnedFd> {
        loop {
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match call(Call::Openat).and_then(|()| fs::openat(&self.fd, name, flags, Mode::empty())) {
                Err(Errno::NOENT) => {}
                other => return Ok(other?),
            }
            match self.create_file(name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
    }

    /// Makes the new file `name` with this folder's owner and mode; fails with `AlreadyExists` if the name is taken.
    pub(crate) fn create_file(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        call(Call::Openat)?;
        let fd = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600))?;
        if let Err(error) = self.hand_down(&fd, self.heir.mode & 0o666) {
            self.unlink(OsStr::new(name)).ok();
            return Err(error);
        }
        Ok(fd)
    }

    /// Gives what was just made here this folder's owner and `mode`: a Glance beside us must be able to use it.
    fn hand_down(&self, fd: &OwnedFd, mode: u32) -> io::Result<()> {
        if rustix::process::geteuid().is_root() && (self.heir.uid, self.heir.gid) != (0, 0) {
            call(Call::Fchown)?;
            fs::fchown(fd, Some(Uid::from_raw(self.heir.uid)), Some(Gid::from_raw(self.heir.gid)))?;
        }
        call(Call::Fchmod)?;
        Ok(fs::fchmod(fd, Mode::from_raw_mode(mode))?)
    }

    /// Removes the file `name`; whether it was there.
    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<bool> {
        match call(Call::Unlinkat).and_then(|()| fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves `name` to the same name in `to`, over whatever is there.
    pub(crate) fn rename(&self, name: &str, to: &Dir) -> io::Result<()> {
        call(Call::Renameat)?;
        Ok(fs::renameat(&self.fd, name, &to.fd, name)?)
    }

    /// Moves `name` to the same name in `to`; fails with `AlreadyExists`, changing nothing, if the name is taken.
    pub(crate) fn rename_no_replace(&self, name: &str, to: &Dir) -> io::Result<()> {
        let renamed = call(Call::Renameat2)
            .and_then(|()| fs::renameat_with(&self.fd, name, &to.fd, name, RenameFlags::NOREPLACE));
        match renamed {
            // A file system without the flag (`rename(2)`): a hard link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                call(Call::Linkat)?;
                fs::linkat(&self.fd, name, &to.fd, name, AtFlags::empty())?;
                call(Call::Unlinkat)?;
                Ok(fs::unlinkat(&self.fd, name, AtFlags::empty())?)
            }
            other => Ok(other?),
        }
    }

    /// Makes what was renamed, made or removed in this folder durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        call(Call::Fsync)?;
        Ok(fs::fsync(&self.fd)?)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the folder `path` and those above it, like `mkdir -p`, but itself for nobody else than owner and group: what is
/// made in it inherits that. Adds those that were missing to `made`, also where it fails half-way.
pub(crate) fn create_dir_all(path: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    create_with_parents(path, Mode::from_raw_mode(0o750), made)
}

#[expect(clippy::disallowed_methods, reason = "this is the module for calls to the operating system")]
fn create_with_parents(path: &Path, mode: Mode, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_with_parents(parent, Mode::from_raw_mode(0o755), made)?;
    }
    match call(Call::Mkdirat).and_then(|()| fs::mkdirat(CWD, path, mode)) {
        Ok(()) => made.push(path.to_owned()),
        Err(Errno::EXIST) if path.is_dir() => {}
        // What is there is in the way: "File exists" would not say so.
        Err(Errno::EXIST) => return Err(Errno::NOTDIR.into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Removes the folders that [`create_dir_all`] made, where they are empty.
pub(crate) fn remove_made(made: &[PathBuf]) {
    for path in made.iter().rev() {
        call(Call::Unlinkat).and_then(|()| fs::unlinkat(CWD, path, AtFlags::REMOVEDIR)).ok();
    }
}
