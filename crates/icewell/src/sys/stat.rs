//! What a file and its file system are.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, FileType, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use super::failpoints;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// What `statx(2)` tells of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// Device and inode: the same for two names exactly when they are one file.
    pub(crate) inode: (u32, u32, u64),
    pub(crate) size: u64,
    /// How many names the file has.
    pub(crate) links: u32,
    /// Bytes of disk blocks behind it.
    pub(crate) allocated: u64,
    pub(crate) accessed: SystemTime,
    pub(crate) modified: SystemTime,
    /// When anything of the file was last changed, its tags too.
    pub(crate) changed: SystemTime,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

/// What an open file is.
pub(crate) fn stat<Fd: AsFd>(fd: Fd) -> io::Result<Stat> {
    Ok(call(fd, OsStr::new(""), AtFlags::EMPTY_PATH)?)
}

/// What the name in the folder is, itself and not what it may link to.
pub(super) fn stat_at<Fd: AsFd>(dir: Fd, name: &OsStr) -> Result<Stat, Errno> {
    call(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn call<Fd: AsFd>(dir: Fd, name: &OsStr, flags: AtFlags) -> Result<Stat, Errno> {
    failpoints::call(failpoints::Call::Statx)?;
    let stat = fs::statx(dir, name, flags, StatxFlags::BASIC_STATS)?;
    Ok(Stat {
        kind: match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        },
        inode: (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino),
        size: stat.stx_size,
        links: stat.stx_nlink,
        allocated: stat.stx_blocks.saturating_mul(512),
        accessed: time(stat.stx_atime),
        modified: time(stat.stx_mtime),
        changed: time(stat.stx_ctime),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        mode: u32::from(stat.stx_mode) & 0o7777,
    })
}

fn time(stamp: StatxTimestamp) -> SystemTime {
    let fraction = Duration::from_nanos(stamp.tv_nsec.into());
    let whole = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    let base = if stamp.tv_sec >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
    base.and_then(|base| base.checked_add(fraction)).unwrap_or(UNIX_EPOCH)
}

/// A file system's name, size and room, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) file_system: String,
    pub(crate) total: u64,
    /// What an ordinary user may still write.
    pub(crate) available: u64,
    pub(crate) read_only: bool,
    pub(crate) no_access_times: bool,
}

/// The file system that holds an open file.
pub(crate) fn volume<Fd: AsFd>(fd: Fd) -> io::Result<Volume> {
    failpoints::call(failpoints::Call::Fstatfs)?;
    let room = fs::fstatvfs(&fd)?;
    // Magic numbers from `statfs(2)`.
    let file_system = match fs::fstatfs(&fd)?.f_type as u64 & 0xffff_ffff {
        0xef53 => "ext4".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x0102_1994 => "tmpfs".into(),
        0x8584_58f6 => "ramfs".into(),
        0x794c_7630 => "overlayfs".into(),
        0x6969 => "nfs".into(),
        0x4d44 => "vfat".into(),
        0x2fc1_2fc1 => "zfs".into(),
        0xf2f5_2010 => "f2fs".into(),
        other => format!("file system {other:#x}"),
    };
    Ok(Volume {
        file_system,
        total: room.f_blocks.saturating_mul(room.f_frsize),
        available: room.f_bavail.saturating_mul(room.f_frsize),
        read_only: room.f_flag.contains(fs::StatVfsMountFlags::RDONLY),
        no_access_times: room.f_flag.contains(fs::StatVfsMountFlags::NOATIME),
    })
}

/// What tells this boot of the machine from every other one (`proc_sys_kernel(5)`); empty where `/proc` is missing.
pub(crate) fn boot_id() -> String {
    let text = super::file::read_outside("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// The user and group this process acts as.
pub(crate) fn whoami() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}
