//! What a fill that was broken off leaves for the next one.

use std::fs::File;
use std::io;

use crate::attrs::{Metadata, Tagged};
use crate::digest::{Digest, Hasher};
use crate::layout::tag;
use crate::mark::Mark;
use crate::sys;

/// What an earlier fill of the same image left behind, good to go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumable {
    /// How many bytes are surely there.
    pub length: u64,
    /// The image's size as it was announced then.
    pub size: Option<u64>,
    /// The digest that the origin vouched for then.
    pub digest: Option<Digest>,
    /// What was known of the image then; its validators say whether the origin still has the same bytes.
    pub metadata: Metadata,
}

/// What an earlier fill left in its file.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    pub(crate) resumable: Resumable,
    /// How many of the bytes are durable.
    pub(crate) synced: u64,
}

impl Leftover {
    /// What can be gone on from, if anything can.
    pub(crate) fn find(bytes: &File) -> Option<Self> {
        let tags = Tagged::File(bytes);
        let mark = Mark::load(&tags).ok()??;
        let length = mark.trusted(&sys::boot_id()).min(sys::stat(bytes).ok()?.size);
        let (size, digest, metadata) = (mark.size, tags.digest(tag::DIGEST), tags.metadata());
        let resumable = Resumable { length, size, digest, metadata };
        (length > 0).then(|| Leftover { resumable, synced: mark.synced.min(length) })
    }
}

/// Reads the first `length` bytes again, for a digest that covers them.
pub(crate) fn hash_prefix(bytes: &File, length: u64, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < length {
        let wanted = buffer.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
        sys::read_exact_at(bytes, &mut buffer[..wanted], offset)?;
        hasher.update(&buffer[..wanted]);
        offset += wanted as u64;
    }
    Ok(())
}
