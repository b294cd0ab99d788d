//! A file's pages, mapped, so that a socket is written to right from the page cache: one copy in the kernel, none here.
//!
//! Nothing in this process ever looks at the bytes; only system calls that write them to a socket do. Where somebody
//! cuts the file off meanwhile, such a call fails with `EFAULT`, and the response breaks off; reading them ourselves
//! would be a `SIGBUS`. So a connection on which we encrypt does not use this.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::param::page_size;

/// The smallest page of any machine.
const SMALLEST_PAGE: usize = 4096;
/// How many bytes are looked at, and given to a socket, at a time: as much as a page of the largest usual kind.
pub(crate) const PIECE: u64 = 2 << 20;

/// The pages of one file.
#[derive(Debug)]
pub(crate) struct Pages {
    mapped: Arc<Mapped>,
    bytes: Bytes,
    /// How many bytes were given out since the last look.
    given: AtomicU64,
}

/// The memory; unmapped when the last response that refers to it is gone.
#[derive(Debug)]
struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is memory for reading only, which does not care which thread refers to it.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: `map` has mapped just this, and whoever refers to it holds this value.
        if let Err(error) = unsafe { munmap(self.start.as_ptr().cast(), self.length) } {
            tracing::warn!(%error, "memory cannot be unmapped");
        }
    }
}

/// What [`Bytes`] holds.
struct Owner(Arc<Mapped>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory is mapped, and stays so as long as this owner lives. That the file may change under the
        // slice, or end before it, is harmless only because nobody in this process reads through it.
        unsafe { std::slice::from_raw_parts(self.0.start.as_ptr(), self.0.length) }
    }
}

impl Pages {
    /// Maps the first `size` bytes of a file, which may have fewer as yet; none where that cannot be done.
    pub(crate) fn map(file: &File, size: u64) -> Option<Self> {
        let length = usize::try_from(size).ok().filter(|length| *length > 0)?;
        let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: a new mapping where the kernel chooses takes nobody's memory.
        let start = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, file, 0) }.ok()?;
        let mapped = Arc::new(Mapped { start: NonNull::new(start.cast())?, length });
        let bytes = Bytes::from_owner(Owner(mapped.clone()));
        Some(Pages { mapped, bytes, given: AtomicU64::new(0) })
    }

    /// These bytes of the file, to be written to a socket and not to be looked at.
    pub(crate) fn slice(&self, range: Range<u64>) -> Bytes {
        self.given.fetch_add(range.end - range.start, Ordering::Relaxed);
        self.bytes.slice(self.within(range))
    }

    /// Whether all of these bytes are in memory, so that nobody has to wait for a disk.
    pub(crate) fn are_resident(&self, range: Range<u64>) -> bool {
        const MOST: usize = PIECE as usize / SMALLEST_PAGE + 2;
        let (start, length) = self.whole_pages(range);
        let mut resident = [0u8; MOST];
        let pages = length.div_ceil(page_size());
        if pages > MOST {
            return false;
        }
        // SAFETY: the range lies within the mapping, and there is a byte for each of its pages.
        let result = unsafe { libc::mincore(start.cast(), length, resident.as_mut_ptr()) };
        result == 0 && resident[..pages].iter().all(|page| page & 1 == 1)
    }

    /// Brings these bytes into memory. Blocks.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are not there any more.
    pub(crate) fn bring_in(&self, range: Range<u64>) -> io::Result<()> {
        let (start, length) = self.whole_pages(range);
        // SAFETY: the range lies within the mapping, and reading pages in changes none of them.
        match unsafe { madvise(start.cast(), length, Advice::LinuxPopulateRead) } {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::FAULT) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the image's file cannot be read to its end"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes were given out since the last time this was asked.
    pub(crate) fn take_given(&self) -> u64 {
        self.given.swap(0, Ordering::Relaxed)
    }

    /// Takes the pages out of this process' tables; they stay in the page cache, and come back when they are needed.
    pub(crate) fn let_go(&self) {
        // SAFETY: the range is the mapping, and of a file's shared pages nothing is lost.
        unsafe { madvise(self.mapped.start.as_ptr().cast(), self.mapped.length, Advice::LinuxDontNeed) }.ok();
    }

    fn within(&self, range: Range<u64>) -> Range<usize> {
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.mapped.length);
        bound(range.start)..bound(range.end).max(bound(range.start))
    }

    /// Where the pages of this range begin in memory, and how long they are.
    fn whole_pages(&self, range: Range<u64>) -> (*mut u8, usize) {
        let Range { start, end } = self.within(range);
        let start = start / page_size() * page_size();
        // SAFETY: `start` is no more than the mapping's length.
        (unsafe { self.mapped.start.as_ptr().add(start) }, end - start)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;

    use super::*;

    const PAGE: usize = 1 << 16;

    fn written(pages: &Pages, range: Range<u64>) -> io::Result<Vec<u8>> {
        // To be looked at in a test, bytes go through a file, as they go to a socket otherwise.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&pages.slice(range))?;
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0)?;
        Ok(bytes)
    }

    #[test]
    fn bytes_of_any_range_even_of_a_file_that_grows() {
        let mut file = tempfile::tempfile().unwrap();
        let pages = Pages::map(&file, 3 * PIECE).unwrap();
        let content: Vec<u8> = (0..3 * PIECE).map(|at| (at % 251) as u8).collect();
        file.write_all(&content[..PAGE + 1]).unwrap();
        assert_eq!(written(&pages, 10..PAGE as u64 + 1).unwrap(), content[10..PAGE + 1]);
        file.write_all(&content[PAGE + 1..]).unwrap();
        pages.bring_in(PIECE..3 * PIECE).unwrap();
        assert!(pages.are_resident(PIECE + 1..2 * PIECE));
        pages.let_go();
        assert_eq!(
            written(&pages, PIECE - 1..2 * PIECE + 1).unwrap(),
            content[PIECE as usize - 1..2 * PIECE as usize + 1]
        );
        assert_eq!(pages.take_given(), PAGE as u64 - 9 + PIECE + 2);
        assert_eq!(pages.take_given(), 0);
    }

    #[test]
    fn a_file_cut_off_is_an_error_and_no_signal() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 4 * PAGE]).unwrap();
        let pages = Pages::map(&file, 4 * PAGE as u64).unwrap();
        file.set_len(PAGE as u64).unwrap();
        assert!(file.as_raw_fd() >= 0 && written(&pages, 2 * PAGE as u64..3 * PAGE as u64).is_err());
        assert!(pages.bring_in(0..4 * PAGE as u64).is_err());
    }
}
