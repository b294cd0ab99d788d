//! One pass over a folder.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use crate::error::{Context, Result};
use crate::image_id::ImageId;
use crate::sys::{self, Dir, Kind, Stat};

/// A regular file that a pass met.
pub(crate) struct Found {
    pub(crate) name: OsString,
    /// None where the name is no image ID.
    pub(crate) id: Option<ImageId>,
    pub(crate) stat: Stat,
}

/// Below this many names to each thread, starting one costs more than it saves.
const NAMES_PER_THREAD: usize = 500;
const MOST_THREADS: usize = 4;

/// The regular files of a folder. Files that vanish during the pass are skipped; nothing else is followed or opened.
pub(crate) fn files(dir: &Dir) -> Result<impl Iterator<Item = Result<Found>>> {
    let names = sys::names(dir).context("list", || dir.path().to_owned())?;
    Ok((0..names.len()).filter_map(move |place| {
        let name = names.get(place)?;
        let found = look_at(dir, name).transpose()?;
        Some(found.map(|stat| Found { name: name.to_owned(), id: ImageId::from_file_name(name), stat }))
    }))
}

fn look_at(dir: &Dir, name: &OsStr) -> Result<Option<Stat>> {
    let stat = dir.stat(name).context("look at", || dir.path().join(name))?;
    Ok(stat.filter(|stat| stat.kind == Kind::File))
}

/// What `tell` says of the regular files of a folder, in no order. Where there are many, several threads look at them:
/// nearly all of a pass is the system's work, and none of that needs to wait for the rest.
pub(crate) fn at_once<T: Send>(dir: &Dir, tell: impl Fn(&OsStr, &Stat) -> Result<Option<T>> + Sync) -> Result<Vec<T>> {
    let names = sys::names(dir).context("list", || dir.path().to_owned())?;
    let look = |share: Range<usize>| -> Result<Vec<T>> {
        let mut told = Vec::with_capacity(share.len());
        for name in share.filter_map(|place| names.get(place)) {
            if let Some(stat) = look_at(dir, name)? {
                told.extend(tell(name, &stat)?);
            }
        }
        Ok(told)
    };
    let threads = threads().min(names.len() / NAMES_PER_THREAD).max(1);
    let share = names.len().div_ceil(threads);
    thread::scope(|scope| {
        let look = &look;
        let shares = (1..threads).map(|thread| thread * share..names.len().min((thread + 1) * share));
        let others: Vec<_> = shares.map(|share| scope.spawn(move || look(share))).collect();
        let mut told = look(0..share);
        for other in others {
            let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            if let Ok(told) = &mut told {
                told.extend(other?);
            }
        }
        told
    })
}

/// How many threads a pass may take. Asked once: the answer costs as much as a look at a dozen files.
fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS))
}

/// The regular files of a folder whose names are image IDs.
pub(crate) fn entries(dir: &Dir) -> Result<impl Iterator<Item = Result<(ImageId, Stat)>>> {
    Ok(files(dir)?.filter_map(|found| match found {
        Ok(Found { id: Some(id), stat, .. }) => Some(Ok((id, stat))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }))
}
