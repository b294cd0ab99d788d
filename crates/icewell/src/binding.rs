//! A cache belongs to one origin.

use crate::error::{Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::layout::tag;
use crate::{entry, lock, scan};

/// Whether a cache that has images, but is bound to no origin, may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Yes: its images are that origin's. Only right for a Glance, whose image IDs are the same in every cache.
    Allowed,
    /// No: nobody knows where its images came from.
    Refused,
}

/// Binds the cache to `origin`, once and for all.
///
/// Names mean something only with their origin: bytes of one served as another's would be wrong bytes.
pub(crate) fn bind(folders: &Folders, origin: &str, adoption: Adoption) -> Result<()> {
    // It is never bound otherwise again, so a start need not wait for somebody who prunes.
    if folders.root_tag(tag::ORIGIN)?.is_some_and(|bound| bound == origin) {
        return Ok(());
    }
    let _held = lock::space(folders)?;
    let refuse = |detail: String| {
        Err(Error::new(ErrorKind::OtherOrigin, "use the cache directory", folders.root.path()).with_detail(detail))
    };
    match folders.root_tag(tag::ORIGIN)? {
        Some(bound) if bound == origin => Ok(()),
        Some(bound) => refuse(format!(
            "it is bound to {bound:?}, not to {origin:?}; choose another directory, or, if the old images may go, remove \
             them and the tag {}",
            tag::ORIGIN
        )),
        None if adoption == Adoption::Refused && !is_empty(folders)? => refuse(format!(
            "it has images but does not say from which origin; choose another directory, or, if you know that they are \
             from {origin:?}, set the tag {} to that",
            tag::ORIGIN
        )),
        None => folders.set_root_tag(tag::ORIGIN, origin),
    }
}

fn is_empty(folders: &Folders) -> Result<bool> {
    let cached = entry::cached(folders)?.next().transpose()?.is_some();
    Ok(!cached && scan::entries(&folders.fills)?.next().transpose()?.is_none())
}
