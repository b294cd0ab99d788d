//! Verify: whether a cached image still is what it was.

use std::io;
use std::time::SystemTime;

use crate::digest::{Digest, Hasher};
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::reader::Reader;
use crate::{lock, publish, sys};

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes have the digest that the origin vouched for.
    Good(Digest),
    /// The origin vouched for no digest, so nobody can say that the bytes are right. Where Icewell had computed one
    /// itself when it stored them, they have not changed since.
    Unverifiable {
        /// Whether they are known not to have changed since they were stored.
        unchanged: bool,
    },
    /// The bytes are wrong or cannot be read. The image is in `invalid/` now, with the reason.
    Corrupt(String),
}

/// Reads the whole image and compares; tells `progress` the bytes of each step. The read counts as no use.
pub(crate) fn verify(
    folders: &Folders,
    reader: &Reader,
    now: SystemTime,
    progress: &mut dyn FnMut(u64),
) -> Result<Verdict> {
    let image = reader.image();
    let (expected, vouched) = match (&image.digest, &image.computed_digest) {
        (Some(digest), _) => (digest, true),
        (None, Some(digest)) => (digest, false),
        (None, None) => return Ok(Verdict::Unverifiable { unchanged: false }),
    };
    let why = match compute(reader, expected, progress) {
        Ok(actual) if actual == *expected && vouched => return Ok(Verdict::Good(actual)),
        Ok(actual) if actual == *expected => return Ok(Verdict::Unverifiable { unchanged: true }),
        Ok(actual) => format!("verify: the digest was {expected} and is {actual}"),
        Err(error) => format!("verify: cannot be read: {error}"),
    };
    set_aside(folders, reader, &why, now)?;
    Ok(Verdict::Corrupt(why))
}

fn compute(reader: &Reader, expected: &Digest, progress: &mut dyn FnMut(u64)) -> io::Result<Digest> {
    let mut hasher = Hasher::new(expected.algorithm());
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let length = reader.read_at(&mut buffer, offset)?;
        if length == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..length]);
        offset += length as u64;
        progress(length as u64);
    }
}

/// Moves the image to `invalid/`, unless another file has its name by now.
fn set_aside(folders: &Folders, reader: &Reader, why: &str, now: SystemTime) -> Result<()> {
    let id = &reader.image().id;
    let path = || folders.root.path_of(id.as_str());
    let _held = lock::space(folders)?;
    let read = sys::stat(reader.file()).context("look at", path)?;
    let named = folders.root.stat(id.as_str().as_ref()).context("look at", path)?;
    if named.is_some_and(|named| named.inode == read.inode) {
        publish::invalidate(folders, &folders.root, id, why, now)?;
        // A power cut may not bring a bad image back.
        folders.root.sync().context("make durable", || folders.root.path().into())?;
    }
    Ok(())
}
