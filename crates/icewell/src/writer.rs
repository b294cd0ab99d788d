//! One image in: the claim and the bytes. How it ends is in [`ending`].

mod ending;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::attrs::{self, Metadata};
use crate::claim::{self, Claimed};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::{Folders, InUse};
use crate::holes::{Holes, data_runs};
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::leftover::{Leftover, Resumable, hash_prefix};
use crate::mark::Mark;
use crate::room::{self, Enforcement};
use crate::sys::{self, Step, step};
use crate::time::Clock;

/// The mark follows the bytes at this distance, and at least this often where they come slowly: how much a killed
/// process may have to fetch again, and how far an observer lags behind.
const MARK_EVERY: u64 = 4 << 20;
const MARK_INTERVAL: Duration = Duration::from_millis(200);
/// Bytes are made durable at this distance: how much a power cut may cost, and how short the wait at commit is.
const SYNC_EVERY: u64 = 256 << 20;
/// The disk begins with bytes at this distance, so that it works all the while, and a sync has little left to wait for.
const STORE_EVERY: u64 = 8 << 20;
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
    /// Those of the claim: the bytes lie in them, even where somebody has removed those folders since.
    folders: Arc<Folders>,
    in_use: Arc<InUse>,
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
    /// Bytes before this are on their way to the disk.
    begun: u64,
    holes: Arc<Holes>,
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
        in_use: Arc<InUse>,
        clock: Arc<dyn Clock>,
        enforcement: Enforcement,
        id: &ImageId,
    ) -> Result<Self> {
        let folders = in_use.all()?;
        let claimed = room::relieved(&folders, id, || claim::claim(&folders, id, clock.now()))?;
        let leftover = Leftover::find(&claimed.bytes);
        if leftover.is_some() {
            // What is there is not what this fill has written: observers have to wait until it has begun.
            sys::set_tag(&claimed.bytes, tag::CLAIM, b"1").ok();
        }
        Ok(Writer {
            folders,
            in_use,
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
            begun: 0,
            holes: Arc::default(),
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
            step(Step::StartReplaced);
        }
        self.leftover = None;
        self.stage = Stage::Filling;
        self.mark = Mark { size: announced.size, boot: sys::boot_id(), ..Mark::default() };
        // What every look at an image reads comes before all else: ext4 has room in the inode for these two tags of an
        // image whose ID is a UUID, and reads a block of its own for those that come later.
        for (key, value) in self.required_tags() {
            sys::set_tag(&self.claimed.bytes, key, value.as_bytes()).context("tag", || self.path())?;
        }
        step(Step::StartTagged);
        self.expect(strongest(&announced.digests))?;
        // Before the metadata: without the mark there is no fill, without those there is.
        self.store_mark()?;
        step(Step::StartMarked);
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
        step(Step::ResumeCut);
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
        self.begun = length;
        self.holes.unknown_before(length);
        self.store_mark()?;
        step(Step::ResumeMarked);
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
        step(Step::WriteWritten);
        if end - self.marked.0 >= MARK_EVERY || self.marked.1.elapsed() >= MARK_INTERVAL {
            self.store_mark()?;
            step(Step::WriteMarked);
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
        if end >= self.begun + STORE_EVERY {
            sys::begin_to_store(&self.claimed.bytes, self.begun, end - self.begun);
            self.begun = end;
        }
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
        let mut last = 0;
        for (start, end) in runs {
            let run = &bytes[start..end];
            let offset = self.mark.written + start as u64;
            self.leave_out(last, start);
            last = end;
            self.relieved(|| sys::write_at(&self.claimed.bytes, run, offset).context("write", || self.path()))?;
        }
        if ends_in_zeros {
            self.leave_out(last, bytes.len());
            // Who reads the growing file must not come upon its end before he has read what is written.
            let end = self.mark.written + bytes.len() as u64;
            self.relieved(|| sys::truncate(&self.claimed.bytes, end).context("write", || self.path()))?;
        }
        Ok(())
    }

    /// Of the bytes that come next, these are a hole.
    fn leave_out(&self, start: usize, end: usize) {
        if start < end {
            self.holes.leave(self.mark.written + start as u64..self.mark.written + end as u64);
        }
    }

    /// Does a step; on a full file system makes room and does it again.
    fn relieved<T>(&self, step: impl FnMut() -> Result<T>) -> Result<T> {
        room::relieved(&self.folders, &self.id, step)
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
        room::reserve(&folders, self.enforcement, &id, reserved, size, || {
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
    pub fn reader(&self) -> Result<Arc<File>> {
        let reopened = sys::reopen_for_reading(&self.folders.fills, self.id.as_str(), &self.claimed.bytes);
        let gone = || Error::new(ErrorKind::Io, "read", self.path()).with_detail("somebody removed it during the fill");
        let file = Arc::new(reopened.context("open", || self.path())?.ok_or_else(gone)?);
        self.folders.open_files.note(&file);
        Ok(file)
    }

    /// The holes that this fill leaves in that file: for who reads it and wants to know that nothing was lost meanwhile.
    pub fn holes(&self) -> Arc<Holes> {
        self.holes.clone()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folders.fills.path_of(self.id.as_str())
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
