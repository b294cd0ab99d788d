//! Verify: whether a cached image still is what it was. Scrub: the same from time to time, so gently that nobody notices.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use tracing::warn;

use crate::attrs::Tagged;
use crate::digest::{Digest, Hasher};
use crate::entry;
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::reader::Reader;
use crate::{lock, publish, sys, time};

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

/// How an image is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As anybody reads.
    Plain,
    /// So that nothing is driven out of the page cache for it, and nothing more is in it afterwards.
    Gently,
}

/// Tells of each step, and hears whether to go on.
pub(crate) type Step<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// Reads the whole image and compares; tells `step` the bytes of each step. The read counts as no use. None where it was
/// broken off.
pub(crate) fn verify(
    folders: &Folders,
    reader: &Reader,
    now: SystemTime,
    reading: Reading,
    step: Step<'_>,
) -> Result<Option<Verdict>> {
    let tags = Tagged::File(reader.file());
    let digest = |key| tags.tell_digest(key).context("read a tag of", || folders.root.path_of(reader.id().as_str()));
    let (expected, vouched) = match digest(tag::DIGEST)? {
        Some(digest) => (digest, true),
        None => match digest(tag::COMPUTED_DIGEST)? {
            Some(digest) => (digest, false),
            None => return Ok(Some(Verdict::Unverifiable { unchanged: false })),
        },
    };
    let expected = &expected;
    let (what, verdict) = match compute(reader, expected, reading, step) {
        Ok(None) => return Ok(None),
        Ok(Some(actual)) if actual == *expected => {
            note(reader, now);
            let verdict = if vouched { Verdict::Good(actual) } else { Verdict::Unverifiable { unchanged: true } };
            return Ok(Some(verdict));
        }
        Ok(Some(actual)) => (Wrong { expected, actual, vouched }.to_string(), Verdict::Corrupt),
        Err(error) => (format!("verify: cannot be read: {error}"), Verdict::Corrupt),
    };
    sys::step(sys::Step::CompareCompared);
    set_aside(folders, reader, &what, now)?;
    Ok(Some(verdict(what)))
}

/// Why an image is corrupt: told apart is whose digest it has not.
struct Wrong<'a> {
    expected: &'a Digest,
    actual: Digest,
    vouched: bool,
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { expected, actual, vouched } = self;
        let whose = if *vouched { "" } else { ", as Icewell computed it when it was stored," };
        write!(f, "verify: the digest was {expected}{whose} and is {actual}")
    }
}

fn compute(reader: &Reader, expected: &Digest, reading: Reading, step: Step<'_>) -> io::Result<Option<Digest>> {
    let mut hasher = Hasher::new(expected.algorithm());
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    if reading == Reading::Gently {
        sys::read_nothing_ahead(reader.file())?;
    }
    loop {
        let length = match reading {
            Reading::Plain => reader.read_at(&mut buffer, offset)?,
            Reading::Gently => sys::read_gently(reader.file(), &mut buffer, offset)?,
        };
        if length == 0 {
            return Ok(Some(hasher.finish()));
        }
        hasher.update(&buffer[..length]);
        offset += length as u64;
        if step(length as u64).is_break() {
            return Ok(None);
        }
    }
}

/// Notes on the image that it was right just now. That this cannot be done costs another look before its time.
fn note(reader: &Reader, now: SystemTime) {
    if let Err(error) = sys::set_tag(reader.file(), tag::VERIFIED, time::to_tag(now).as_bytes()) {
        warn!(image_id = %reader.id(), %error, "that the image was verified cannot be noted");
    }
}

/// The cached images that have a digest and were last compared with it more than `every` ago, the longest ago first. Of
/// one that was never read again, the time at which it was written counts: it was compared then.
pub(crate) fn due(folders: &Folders, every: Duration, now: SystemTime) -> Result<Vec<ImageId>> {
    let mut due = Vec::new();
    for image in entry::cached(folders)? {
        let (id, stat) = image?;
        let tags = Tagged::Name(&folders.root, id.as_str().as_ref());
        let verified = tags.time(tag::VERIFIED).map_or(stat.modified, |verified| verified.max(stat.modified));
        // A time to come is a clock that was set back.
        let is_due = now.duration_since(verified).map_or(true, |since| since >= every);
        if is_due && (tags.has(tag::DIGEST) || tags.has(tag::COMPUTED_DIGEST)) {
            due.push((verified, id));
        }
    }
    due.sort_unstable();
    Ok(due.into_iter().map(|(_, id)| id).collect())
}

/// Moves the image to `invalid/`, unless another file has its name by now; whether it was moved.
pub(crate) fn set_aside(folders: &Folders, reader: &Reader, why: &str, now: SystemTime) -> Result<bool> {
    let id = reader.id();
    let path = || folders.root.path_of(id.as_str());
    let _held = lock::space(folders)?;
    let read = sys::stat(reader.file()).context("look at", path)?;
    let named = folders.root.stat(id.as_str().as_ref()).context("look at", path)?;
    if named.is_none_or(|named| named.inode != read.inode) {
        return Ok(false);
    }
    publish::invalidate(folders, &folders.root, id, why, now)?;
    // A power cut may not bring a bad image back.
    folders.root.sync().context("make durable", || folders.root.path().into())?;
    Ok(true)
}
