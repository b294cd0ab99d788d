//! One image in: from claim to commit.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::attrs::{self, Metadata};
use crate::claim::{self, Claimed};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::holes::data_runs;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::leftover::{Leftover, Resumable, hash_prefix};
use crate::mark::Mark;
use crate::publish::{self, Commit};
use crate::space::Enforcement;
use crate::time::Clock;
use crate::{lock, queue, space, sys};

/// The mark follows the bytes at this distance, and at least this often where they come slowly: how much a killed
/// process may have to fetch again, and how far an observer lags behind.
const MARK_EVERY: u64 = 4 << 20;
const MARK_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes are made durable at this distance: how much a power cut may cost, and how short the wait at commit is.
const SYNC_EVERY: u64 = 64 << 20;
/// As many bytes as this take longer to hash than a thread takes to start.
const HASHED_APART: usize = 256 << 10;
/// The first reservation of an image whose size is not known; each further one is half of what is written.
const FIRST_STEP: u64 = 1 << 20;
const LARGEST_STEP: u64 = 256 << 20;

/// What the origin says of an image before its first byte.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Digests the origin vouches for; the strongest is checked before commit and kept.
    pub digests: Vec<Digest>,
    /// Whatever else is to be kept with it.
    pub metadata: Metadata,
}

/// A fill: the only one of its image, in any thread or process, for as long as it lives.
///
/// A claim first ([`Cache::write`](crate::Cache::write)), then [`start`](Writer::start) with what the origin announced,
/// which reserves room, then bytes, then [`commit`](Writer::commit). Dropped in between it rolls back: the bytes go to
/// `invalid/` with the reason "incomplete fetch", or vanish if the fill was never started. A process that dies
/// leaves its bytes for the next fill to [`resume`](Writer::resume).
#[derive(Debug)]
pub struct Writer {
    folders: Arc<Folders>,
    clock: Arc<dyn Clock>,
    enforcement: Enforcement,
    id: ImageId,
    claimed: Claimed,
    stage: Stage,
    leftover: Option<Leftover>,
    expected: Option<Digest>,
    hasher: Option<Hasher>,
    /// `written` bytes of the image are in the file, of which `synced` are durable. It has no more than `reserved`.
    mark: Mark,
    /// What `mark.written` was when the mark was last stored, and when that was.
    marked: (u64, Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The image is ours, and nothing of it is written.
    Claimed,
    Filling,
    /// Whole and right; only the name is missing.
    Verified,
    /// A write failed half-way, or the image is wrong: it may be kept, but never be committed.
    Failed,
    /// Committed, rolled back, suspended or released: nothing is left to do on drop.
    Done,
}

impl Writer {
    pub(crate) fn claim(
        folders: Arc<Folders>,
        clock: Arc<dyn Clock>,
        enforcement: Enforcement,
        id: &ImageId,
    ) -> Result<Self> {
        let claimed = claim::claim(&folders, id, clock.now())?;
        let leftover = Leftover::find(&claimed.bytes);
        if leftover.is_some() {
            // What is there is not what this fill has written: observers have to wait until it has begun.
            sys::set_tag(&claimed.bytes, tag::CLAIM, b"1").ok();
        }
        Ok(Writer {
            folders,
            clock,
            enforcement,
            id: id.clone(),
            claimed,
            stage: Stage::Claimed,
            leftover,
            expected: None,
            hasher: None,
            mark: Mark::default(),
            marked: (0, Instant::now()),
        })
    }

    /// The image that is being filled.
    pub fn id(&self) -> &ImageId {
        &self.id
    }

    /// What an earlier fill left, where there is something to go on from.
    pub fn resumable(&self) -> Option<&Resumable> {
        self.leftover.as_ref().map(|leftover| &leftover.resumable)
    }

    /// How many bytes of the image are written: where the next ones go.
    pub fn written(&self) -> u64 {
        self.mark.written
    }

    /// Begins the fill from the first byte and reserves room for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRoom`] where the image cannot fit the limit; then nothing else was removed for it.
    pub fn start(&mut self, announced: Announced) -> Result<()> {
        // Somebody may still be reading what was there: it is left to him, never written over.
        if sys::stat(&self.claimed.bytes).context("look at", || self.path())?.size > 0 {
            self.claimed.replace_bytes(&self.folders, &self.id)?;
        }
        self.leftover = None;
        self.stage = Stage::Filling;
        self.mark = Mark { size: announced.size, boot: sys::boot_id(), ..Mark::default() };
        // What every look at an image reads comes before all else: ext4 has room in the inode for these two tags of an
        // image whose ID is a UUID, and reads a block of its own for those that come later.
        for (key, value) in self.required_tags() {
            sys::set_tag(&self.claimed.bytes, key, value.as_bytes()).context("tag", || self.path())?;
        }
        self.expect(strongest(&announced.digests))?;
        // Before the metadata: without the mark there is no fill, without those there is.
        self.store_mark()?;
        attrs::set_metadata(&self.claimed.bytes, &announced.metadata).context("tag", || self.path())?;
        if let Some(size) = announced.size
            && let Err(error) = self.reserve(size)
        {
            // Nothing was written: there is nothing to keep for a look.
            self.stage = Stage::Claimed;
            return Err(error);
        }
        Ok(())
    }

    /// Goes on with what an earlier fill left ([`resumable`](Writer::resumable)): reads it again, for the digest must
    /// cover the whole image, and reserves room for the rest. The next byte to write is [`written`](Writer::written).
    ///
    /// # Errors
    ///
    /// As [`start`](Writer::start); and where the bytes cannot be read: then `start` again from the first byte.
    pub fn resume(&mut self, announced: Announced) -> Result<()> {
        let Some(leftover) = self.leftover.take() else { return self.start(announced) };
        let Resumable { length, ref digest, .. } = leftover.resumable;
        self.stage = Stage::Filling;
        // What lies beyond may be garbage; cut off it reads as zeros once the file has grown again, which the holes
        // rely on.
        sys::truncate(&self.claimed.bytes, length).context("resume", || self.path())?;
        // What was vouched for at first holds still: the rest of an image comes without a digest of the whole.
        let vouched: Vec<Digest> = announced.digests.iter().chain(digest).cloned().collect();
        self.expect(strongest(&vouched))?;
        sys::remove_tag(&self.claimed.bytes, tag::CLAIM).context("tag", || self.path())?;
        if let Some(hasher) = &mut self.hasher {
            hash_prefix(&self.claimed.bytes, length, hasher)
                .context("read again", || self.folders.fills.path_of(self.id.as_str()))?;
        }
        attrs::set_metadata(&self.claimed.bytes, &announced.metadata).context("tag", || self.path())?;
        self.mark = Mark {
            written: length,
            synced: leftover.synced,
            size: announced.size,
            reserved: length,
            boot: sys::boot_id(),
        };
        self.store_mark()?;
        if let Some(size) = announced.size
            && let Err(error) = self.reserve(size.max(length))
        {
            // Nothing was added: what was left stays as it was.
            self.stage = Stage::Claimed;
            self.leftover = Some(leftover);
            return Err(error);
        }
        Ok(())
    }

    /// Expects this digest, and keeps it with the bytes for a fill that goes on with them.
    fn expect(&mut self, digest: Option<Digest>) -> Result<()> {
        let algorithm = digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        self.hasher = Some(Hasher::new(algorithm));
        if let Some(digest) = &digest {
            attrs::set_if_it_fits(&self.claimed.bytes, tag::DIGEST, &digest.to_string())
                .context("tag", || self.path())?;
        }
        self.expected = digest;
        Ok(())
    }

    /// Appends `bytes` to the image. Blocks of zeros become holes. On a full file system room is made, if there is
    /// anything to remove, before the error is told.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SizeMismatch`] for more bytes than announced; [`ErrorKind::NoRoom`] where an image of unknown size
    /// grows out of the limit; [`ErrorKind::StorageFull`]. After an error the image can only be rolled back or
    /// suspended.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stage {
            Stage::Claimed => self.start(Announced::default())?,
            Stage::Verified => return Err(self.refuse("add to", "it is verified already")),
            _ => self.check_not_failed("add to")?,
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Failed);
        self.append(bytes)?;
        self.stage = stage;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.mark.written.saturating_add(bytes.len() as u64);
        match self.mark.size {
            Some(size) if end > size => {
                return Err(Error::new(ErrorKind::SizeMismatch, "fill", self.path())
                    .with_detail(format!("{size} bytes were announced and more came")));
            }
            None if end > self.mark.reserved => self.reserve_step(end)?,
            _ => {}
        }
        self.store_and_hash(bytes, end)?;
        if end - self.marked.0 >= MARK_EVERY || self.marked.1.elapsed() >= MARK_INTERVAL {
            self.store_mark()?;
        }
        Ok(())
    }

    /// Writes the bytes and adds them to the digest: many of them at the same time, on a thread that ends with this call.
    fn store_and_hash(&mut self, bytes: &[u8], end: u64) -> Result<()> {
        let Some(mut hasher) = self.hasher.take() else { return self.store(bytes, end) };
        let mut hashed = false;
        let stored = thread::scope(|scope| {
            if bytes.len() >= HASHED_APART {
                let thread = thread::Builder::new().name("digest".into());
                hashed = thread.spawn_scoped(scope, || hasher.update(bytes)).is_ok();
            }
            self.store(bytes, end)
        });
        if !hashed {
            hasher.update(bytes);
        }
        self.hasher = Some(hasher);
        stored
    }

    fn store(&mut self, bytes: &[u8], end: u64) -> Result<()> {
        self.write_data(bytes)?;
        self.mark.written = end;
        if end - self.mark.synced >= SYNC_EVERY {
            sys::sync_data(&self.claimed.bytes).context("make durable", || self.path())?;
            self.mark.synced = end;
        }
        Ok(())
    }

    /// Writes the runs between blocks of zeros; what is not written reads as zeros.
    fn write_data(&mut self, bytes: &[u8]) -> Result<()> {
        let runs = data_runs(bytes, self.mark.written);
        let ends_in_zeros = runs.last().is_none_or(|(_, end)| *end < bytes.len());
        for (start, end) in runs {
            let run = &bytes[start..end];
            let offset = self.mark.written + start as u64;
            while let Err(error) = sys::write_at(&self.claimed.bytes, run, offset) {
                let error = Error::io("write", self.path(), error);
                let wanted = (run.len() as u64).max(16 << 20);
                if error.kind() != ErrorKind::StorageFull || !space::relieve(&self.folders, &self.id, wanted)? {
                    return Err(error);
                }
            }
        }
        if ends_in_zeros {
            // Who reads the growing file must not come upon its end before he has read what is written.
            let end = self.mark.written + bytes.len() as u64;
            sys::truncate(&self.claimed.bytes, end).context("write", || self.path())?;
        }
        Ok(())
    }

    fn check_not_failed(&self, operation: &'static str) -> Result<()> {
        match self.stage {
            Stage::Failed => Err(self.refuse(operation, "it has failed already")),
            _ => Ok(()),
        }
    }

    fn refuse(&self, operation: &'static str, why: &str) -> Error {
        Error::new(ErrorKind::Io, operation, self.path()).with_detail(why)
    }

    fn reserve(&mut self, size: u64) -> Result<()> {
        let (folders, id, reserved) = (self.folders.clone(), self.id.clone(), self.mark.reserved);
        space::reserve(&folders, self.enforcement, &id, reserved, size, || {
            self.mark.reserved = size;
            self.store_mark()
        })
    }

    /// A body without a length reserves step by step; at the end of the room in the smallest steps.
    fn reserve_step(&mut self, needed: u64) -> Result<()> {
        let step = (self.mark.written / 2).clamp(FIRST_STEP, LARGEST_STEP);
        match self.reserve(needed.saturating_add(step)) {
            Err(error) if error.kind() == ErrorKind::NoRoom => self.reserve(needed),
            other => other,
        }
    }

    fn store_mark(&mut self) -> Result<()> {
        let bytes = &self.claimed.bytes;
        let stored = self.mark.store(bytes).or_else(|error| {
            if !attrs::does_not_fit(&error) {
                return Err(error);
            }
            // It has grown by a digit, and the metadata left no room for that.
            attrs::set_metadata(bytes, &Metadata::default())?;
            self.mark.store(bytes)
        });
        stored.context("mark", || self.path())?;
        self.marked = (self.mark.written, Instant::now());
        self.claimed.refresh_sign(&self.folders, &self.id, self.clock.now());
        Ok(())
    }

    /// A file to read what is written so far, and all of it after the commit, whatever becomes of the name.
    pub fn reader(&self) -> Result<File> {
        let reopened = sys::reopen_for_reading(&self.folders.fills, self.id.as_str(), &self.claimed.bytes);
        let gone = || Error::new(ErrorKind::Io, "read", self.path()).with_detail("somebody removed it during the fill");
        reopened.context("open", || self.path())?.ok_or_else(gone)
    }

    /// Checks size and digest of the whole image. After this only the name is missing: the bytes may be given out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SizeMismatch`], [`ErrorKind::DigestMismatch`]; roll back then, with the error as the reason.
    pub fn verify(&mut self) -> Result<()> {
        match self.stage {
            Stage::Claimed => self.start(Announced::default())?,
            Stage::Verified => return Ok(()),
            _ => self.check_not_failed("commit")?,
        }
        self.stage = Stage::Failed;
        self.check_and_tag()?;
        self.stage = Stage::Verified;
        Ok(())
    }

    fn check_and_tag(&mut self) -> Result<()> {
        let written = self.mark.written;
        if let Some(size) = self.mark.size.filter(|size| *size != written) {
            return Err(Error::new(ErrorKind::SizeMismatch, "commit", self.path())
                .with_detail(format!("{size} bytes were announced and {written} came")));
        }
        let Some(computed) = self.hasher.take().map(Hasher::finish) else { return Ok(()) };
        let key = match &self.expected {
            Some(expected) if *expected != computed => {
                return Err(Error::new(ErrorKind::DigestMismatch, "commit", self.path())
                    .with_detail(format!("{expected} was announced and {computed} came")));
            }
            Some(_) => tag::DIGEST,
            None => tag::COMPUTED_DIGEST,
        };
        match self.tag_image(key, &computed).context("tag", || self.path()) {
            // On a full file system there may be no block left for the tags: once more, with room made.
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                space::relieve(&self.folders, &self.id, 1 << 20)?;
                self.tag_image(key, &computed).context("tag", || self.path())
            }
            tagged => tagged,
        }
    }

    fn required_tags(&self) -> [(&'static str, &str); 2] {
        [(tag::IMAGE_ID, self.id.as_str()), (tag::HITS, "0")]
    }

    fn tag_image(&self, digest_key: &str, digest: &Digest) -> io::Result<()> {
        let bytes = &self.claimed.bytes;
        sys::truncate(bytes, self.mark.written)?;
        sys::remove_tag(bytes, tag::FILL)?;
        for key in [tag::DIGEST, tag::COMPUTED_DIGEST, tag::ERROR, tag::CLAIM] {
            sys::remove_tag(bytes, key)?;
        }
        // These two must be there. What may be missing makes room for them.
        let required = self.required_tags();
        if required.iter().any(|(key, value)| sys::set_tag(bytes, key, value.as_bytes()).is_err()) {
            warn!(image_id = %self.id, "its metadata leave no room for the required tags and are left out");
            attrs::set_metadata(bytes, &Metadata::default())?;
            for (key, value) in required {
                sys::set_tag(bytes, key, value.as_bytes())?;
            }
        }
        attrs::set_if_it_fits(bytes, digest_key, &digest.to_string())
    }

    /// Makes the fill the cached image: verified, durable, with 0 hits, off the queue.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](Writer::verify), and of the system; the fill is in `invalid/` then, with the reason. Only
    /// where the very last step fails, making the new name durable, the image is cached and whole all the same, but
    /// may be gone after a power cut.
    pub fn commit(mut self) -> Result<Commit> {
        let committed = self.try_commit();
        match &committed {
            Ok(_) => self.stage = Stage::Done,
            Err(error) => self.fail(&error.chain()),
        }
        committed
    }

    fn try_commit(&mut self) -> Result<Commit> {
        self.verify()?;
        let now = self.clock.now();
        sys::set_times(&self.claimed.bytes, sys::SetTime::To(now), sys::SetTime::Keep)
            .context("set the access time of", || self.path())?;
        self.claimed.check_named(&self.folders, &self.id)?;
        let committed = publish::commit(&self.folders, &self.id, &self.claimed.bytes, now)?;
        // The image is there. What follows tidies up; the next claim, clean or fetch would do it as well.
        let tidied = self.claimed.fulfil(&self.folders, &self.id, self.clock.now());
        if let Err(error) = tidied.and_then(|()| queue::remove(&self.folders, &self.id).map(drop)) {
            warn!(image_id = %self.id, %error, "the image is committed, but not all of its claim is gone");
        }
        debug!(image_id = %self.id, size = self.mark.written, ?committed, "committed");
        Ok(committed)
    }

    /// Gives the fill up: its bytes go to `invalid/` with `why` in their `user.error` tag.
    pub fn roll_back(mut self, why: &str) {
        self.fail(why);
    }

    fn fail(&mut self, why: &str) {
        self.stage = Stage::Done;
        let _held = lock::space(&self.folders);
        let gone = |error: Error| warn!(image_id = %self.id, %error, "the failed fill cannot be set aside");
        // The reservation goes; only what was written is kept for a look.
        sys::truncate(&self.claimed.bytes, self.mark.written).ok();
        sys::remove_tag(&self.claimed.bytes, tag::FILL).ok();
        self.claimed
            .check_named(&self.folders, &self.id)
            .and_then(|()| publish::invalidate(&self.folders, &self.folders.fills, &self.id, why, self.clock.now()))
            .unwrap_or_else(gone);
        self.claimed.withdraw(&self.folders, &self.id).unwrap_or_else(gone);
    }

    /// Breaks the fill off so that a later one can [`resume`](Writer::resume) it: the bytes stay, made durable, and
    /// the image is free to be claimed.
    pub fn suspend(mut self) -> Result<()> {
        if self.mark.written == 0 {
            return self.release();
        }
        self.stage = Stage::Done;
        let kept = sys::truncate(&self.claimed.bytes, self.mark.written)
            .and_then(|()| sys::sync_data(&self.claimed.bytes))
            .context("keep", || self.path());
        if kept.is_ok() {
            self.mark.synced = self.mark.written;
        }
        self.mark.reserved = self.mark.written;
        let marked = self.store_mark();
        self.claimed.withdraw(&self.folders, &self.id)?;
        kept.and(marked)
    }

    /// Gives the claim back as if it had never been: for a fill that was not started, or not worth keeping. What an
    /// earlier fill left stays as it is.
    pub fn release(mut self) -> Result<()> {
        self.give_back()
    }

    fn give_back(&mut self) -> Result<()> {
        self.stage = Stage::Done;
        if self.leftover.is_some() {
            sys::remove_tag(&self.claimed.bytes, tag::CLAIM).context("tag", || self.path())?;
        } else if self.claimed.check_named(&self.folders, &self.id).is_ok() {
            self.folders.fills.unlink(self.id.as_str().as_ref()).context("remove", || self.path())?;
        }
        self.claimed.withdraw(&self.folders, &self.id)
    }

    fn path(&self) -> std::path::PathBuf {
        self.folders.fills.path_of(self.id.as_str())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        match self.stage {
            Stage::Claimed => {
                if let Err(error) = self.give_back() {
                    warn!(image_id = %self.id, %error, "the claim cannot be given back");
                }
            }
            Stage::Filling | Stage::Verified | Stage::Failed => self.fail("incomplete fetch"),
            Stage::Done => {}
        }
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Writer::write(self, bytes)?;
        Ok(bytes.len())
    }

    /// Bytes are handed to the system as they come; durable they are at commit.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn strongest(digests: &[Digest]) -> Option<Digest> {
    digests.iter().max_by_key(|digest| digest.algorithm()).cloned()
}
