//! Images that are wanted, in the order in which they were.

use std::ffi::OsStr;
use std::io;
use std::time::{Duration, SystemTime};

use crate::error::{Context, Error, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::sys::{self, SetTime, Step, step};
use crate::{entry, lock, scan, time};

/// An image that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// Its ID.
    pub id: ImageId,
    /// When it was queued.
    pub since: SystemTime,
}

/// Queues `id`; false if it is cached, being cached or queued already.
pub(crate) fn add(folders: &Folders, id: &ImageId, now: SystemTime) -> Result<bool> {
    let name = id.as_str();
    let path = || folders.queue.path_of(name);
    if entry::is_cached(folders, id)? || entry::is_being_cached(folders, id)? {
        return Ok(false);
    }
    let _held = lock::queue(folders)?;
    let file = match folders.queue.create_file(name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(Error::io("queue", path(), error)),
    };
    step(Step::QueueMade);
    let last = sys::get_tag(&folders.queue, tag::LAST_QUEUED).context("read a tag of", path)?;
    let last = last.and_then(|last| time::from_tag(str::from_utf8(&last).ok()?));
    let since = last.and_then(|last| last.checked_add(Duration::from_nanos(1))).map_or(now, |next| now.max(next));
    sys::set_times(&file, SetTime::To(since), SetTime::To(since)).context("date", path)?;
    step(Step::QueueDated);
    sys::set_tag(&folders.queue, tag::LAST_QUEUED, time::to_tag(since).as_bytes()).context("date", path)?;
    folders.queue.sync().context("make durable", path)?;
    step(Step::QueueDurable);
    // A fill may have been committed since the look; it took no entry off, for there was none.
    if entry::is_cached(folders, id)? {
        folders.queue.unlink(OsStr::new(name)).context("remove", path)?;
        return Ok(false);
    }
    Ok(true)
}

/// What is queued, first come first.
pub(crate) fn list(folders: &Folders) -> Result<Vec<Queued>> {
    let mut queued = Vec::new();
    for entry in scan::entries(&folders.queue)? {
        let (id, stat) = entry?;
        queued.push(Queued { id, since: stat.modified });
    }
    queued.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
    Ok(queued)
}

/// Takes `id` off the queue; whether it was on it.
pub(crate) fn remove(folders: &Folders, id: &ImageId) -> Result<bool> {
    let name = OsStr::new(id.as_str());
    let path = || folders.queue.path_of(id.as_str());
    // Looked at first: a folder or a link under the name is not an entry, and is left alone.
    if !contains(folders, id)? {
        return Ok(false);
    }
    step(Step::UnqueueFound);
    folders.queue.unlink(name).context("take off the queue", path)
}

/// Whether `id` is queued.
pub(crate) fn contains(folders: &Folders, id: &ImageId) -> Result<bool> {
    let stat = folders.queue.stat(OsStr::new(id.as_str())).context("look at", || folders.queue.path_of(id.as_str()))?;
    Ok(stat.is_some_and(|stat| stat.kind == sys::Kind::File))
}
