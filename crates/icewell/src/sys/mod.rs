//! The only calls to the operating system.
//!
//! Everything goes by a directory's descriptor and one file name, never by a joined path, so that nobody who renames a
//! folder or plants a symbolic link can lead a call elsewhere. Functions return the system's own error; the callers
//! add operation and path. The few calls that have no safe wrapper are in [`raw`], the crate's only `unsafe`.

#![allow(clippy::disallowed_methods, reason = "here is where the operating system is called")]

mod dir;
pub(crate) mod failpoints;
mod file;
mod lock;
mod names;
mod raw;
mod stat;
mod tags;

pub(crate) use dir::{Dir, create_dir_all, remove_made};
pub(crate) use failpoints::{Step, step};
pub(crate) use file::{
    Access, SetTime, clone_range, copy_range, next_data, open_outside, read, read_at, read_exact_at, read_gently,
    read_nothing_ahead, reopen_for_reading, set_times, stat_named, sync, sync_data, sync_file_system, truncate,
    write_at,
};
pub(crate) use lock::{Held, hold, hold_file, try_lock_fill, unlock_fill};
pub(crate) use names::names;
pub(crate) use raw::{begin_to_store, being_written, fill_is_locked};
pub(crate) use stat::{Kind, Stat, Volume, boot_id, stat, volume, whoami};
pub(crate) use tags::{get_tag, read_tag, read_tag_at, remove_tag, set_tag};
