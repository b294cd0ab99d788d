//! How a fill ends: verified and committed, rolled back, suspended, released, or dropped.

use std::io;
use std::sync::Arc;

use tracing::{debug, warn};

use super::{Announced, Stage, Writer};
use crate::attrs::{self, Metadata};
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::folders::Folders;
use crate::layout::tag;
use crate::publish::{self, Commit};
use crate::sys::{Step, step};
use crate::{lock, queue, sys};

impl Writer {
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
        step(Step::VerifyCompared);
        // On a full file system there may be no block left for the tags.
        self.relieved(|| self.tag_image(key, &computed).context("tag", || self.path()))
    }

    pub(super) fn required_tags(&self) -> [(&'static str, &str); 2] {
        [(tag::IMAGE_ID, self.id.as_str()), (tag::HITS, "0")]
    }

    fn tag_image(&self, digest_key: &str, digest: &Digest) -> io::Result<()> {
        let bytes = &self.claimed.bytes;
        sys::truncate(bytes, self.mark.written)?;
        sys::remove_tag(bytes, tag::FILL)?;
        step(Step::TagUnmarked);
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
        attrs::set_if_it_fits(bytes, digest_key, &digest.to_string())?;
        step(Step::TagTagged);
        Ok(())
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
        let folders = self.folders_now();
        let committed = publish::commit(&folders, &self.id, &self.claimed, &self.holes, now)?;
        // The image is there. What follows tidies up; the next claim, clean or fetch would do it as well.
        let tidied = self.claimed.fulfil(&self.folders, &self.id, self.clock.now());
        step(Step::CommitUnsigned);
        if let Err(error) = tidied.and_then(|()| queue::remove(&folders, &self.id).map(drop)) {
            warn!(image_id = %self.id, %error, "the image is committed, but not all of its claim is gone");
        }
        step(Step::CommitUnqueued);
        debug!(image_id = %self.id, size = self.mark.written, ?committed, "committed");
        Ok(committed)
    }

    /// Gives the fill up: its bytes go to `invalid/` with `why` in their `user.error` tag.
    pub fn roll_back(mut self, why: &str) {
        self.fail(why);
    }

    /// The folders at the end of the fill: `invalid/` may have been removed since it began. The caller holds no lock.
    fn folders_now(&self) -> Arc<Folders> {
        // What is wrong with them shows in what is done next.
        self.in_use.all().unwrap_or_else(|_| self.folders.clone())
    }

    fn fail(&mut self, why: &str) {
        self.stage = Stage::Done;
        let folders = self.folders_now();
        let _held = lock::space(&folders);
        let gone = |error: Error| warn!(image_id = %self.id, %error, "the failed fill cannot be set aside");
        // The reservation goes; only what was written is kept for a look.
        sys::truncate(&self.claimed.bytes, self.mark.written).ok();
        sys::remove_tag(&self.claimed.bytes, tag::FILL).ok();
        step(Step::FailCut);
        self.claimed
            .check_named(&folders, &self.id)
            .and_then(|()| publish::invalidate(&folders, &folders.fills, &self.id, why, self.clock.now()))
            .unwrap_or_else(gone);
        step(Step::FailAside);
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
        step(Step::SuspendSynced);
        if kept.is_ok() {
            self.mark.synced = self.mark.written;
        }
        self.mark.reserved = self.mark.written;
        let marked = self.store_mark();
        step(Step::SuspendMarked);
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
            step(Step::ReleaseRemoved);
        }
        self.claimed.withdraw(&self.folders, &self.id)
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
