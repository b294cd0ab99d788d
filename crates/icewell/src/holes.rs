//! Blocks of zeros, which are not written: they read as zeros all the same, and take no room. And what a file system has
//! lost of the rest, which reads as zeros, too.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys;

/// Zeros are looked for in blocks of this many bytes: what file systems allocate at least.
const BLOCK: usize = 4096;
/// So many holes are remembered one by one; 1 MiB of memory.
const MOST: usize = 1 << 16;

/// The holes that a fill has left in its file: what tells bytes that are zeros from bytes that the file system has lost.
///
/// A file system whose disk fails may drop what was written and is not stored yet; who reads it gets zeros and no error, until
/// the writer's next sync tells (`fsync(2)`). What is lost stays lost, so one look at the end is enough for all that was read
/// before.
#[derive(Debug, Default)]
pub struct Holes {
    /// In order, apart from each other.
    left: Mutex<Vec<Range<u64>>>,
}

impl Holes {
    /// Nothing is known of the bytes before `end`: all of them may be zeros.
    pub(crate) fn unknown_before(&self, end: u64) {
        *self.lock() = std::iter::once(0..end).filter(|range| !range.is_empty()).collect();
    }

    /// The writer leaves these bytes out. They come after all that it has left out so far.
    pub(crate) fn leave(&self, range: Range<u64>) {
        let mut left = self.lock();
        match left.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => left.push(range),
        }
        if left.len() > MOST {
            let all = left[0].start..left[MOST].end;
            *left = vec![all];
        }
    }

    /// Whether bytes of this part of the fill's file were written and are lost. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be looked at; then nobody knows.
    pub fn bytes_are_lost(&self, file: &File, part: Range<u64>) -> io::Result<bool> {
        let mut at = part.start;
        while at < part.end {
            let (data, data_end) = sys::next_data(file, at)?.unwrap_or((u64::MAX, u64::MAX));
            if self.is_zeros_and_was_not_left(file, at..data.min(part.end))? {
                return Ok(true);
            }
            at = data_end;
        }
        Ok(false)
    }

    /// Whether a part that the file system calls a hole is one that nobody has left.
    fn is_zeros_and_was_not_left(&self, file: &File, hole: Range<u64>) -> io::Result<bool> {
        let mut at = hole.start;
        while at < hole.end {
            let next = self.first_after(at);
            if next.start > at {
                // What is being stored right now may be called a hole by mistake; that is told by its bytes. None of our
                // blocks is written as zeros.
                let mut block = [0; BLOCK];
                let length = usize::try_from(hole.end.min(next.start) - at).unwrap_or(BLOCK).min(BLOCK);
                sys::read_exact_at(file, &mut block[..length], at)?;
                if block == [0; BLOCK] {
                    return Ok(true);
                }
                at += length as u64;
            } else {
                at = next.end;
            }
        }
        Ok(false)
    }

    fn first_after(&self, at: u64) -> Range<u64> {
        let left = self.lock();
        let first = left.partition_point(|left| left.end <= at);
        left.get(first).cloned().unwrap_or(u64::MAX..u64::MAX)
    }

    /// No code that holds it can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of `bytes`, which lie at `offset` of the image, that have to be written: all but the zeros of each block.
pub(crate) fn data_runs(bytes: &[u8], offset: u64) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let in_block = usize::try_from((offset + start as u64) % BLOCK as u64).unwrap_or(0);
        let end = bytes.len().min(start + BLOCK - in_block);
        if bytes[start..end].iter().any(|byte| *byte != 0) {
            match runs.last_mut() {
                Some(run) if run.1 == start => run.1 = end,
                _ => runs.push((start, end)),
            }
        }
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A file as a fill leaves it of these bytes.
    fn filled(bytes: &[u8]) -> (File, Holes) {
        let (file, holes) = (tempfile::tempfile().unwrap(), Holes::default());
        file.set_len(bytes.len() as u64).unwrap();
        let mut last = 0;
        for (start, end) in data_runs(bytes, 0) {
            holes.leave(last as u64..start as u64);
            file.write_all_at(&bytes[start..end], start as u64).unwrap();
            last = end;
        }
        holes.leave(last as u64..bytes.len() as u64);
        (file, holes)
    }

    fn lose(file: &File, part: Range<u64>) {
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file, flags, part.start, part.end - part.start).unwrap();
    }

    #[test]
    fn what_is_lost_is_told_from_what_was_left_out() {
        let block = BLOCK as u64;
        let mut bytes = vec![7; 64 * BLOCK];
        bytes[8 * BLOCK..16 * BLOCK].fill(0);
        bytes[60 * BLOCK..].fill(0);
        let (file, holes) = filled(&bytes);
        let whole = 0..64 * block;
        assert!(!holes.bytes_are_lost(&file, whole.clone()).unwrap());
        lose(&file, 16 * block..17 * block);
        assert!(holes.bytes_are_lost(&file, whole).unwrap());
        assert!(holes.bytes_are_lost(&file, 0..17 * block).unwrap());
        assert!(!holes.bytes_are_lost(&file, 0..16 * block).unwrap(), "only the part that was asked for");
        assert!(!holes.bytes_are_lost(&file, 17 * block..64 * block).unwrap());
        let (file, holes) = filled(&bytes[..20 * BLOCK - 5]);
        lose(&file, 19 * block..20 * block);
        assert!(holes.bytes_are_lost(&file, 0..20 * block - 5).unwrap(), "the end of the image");
    }

    #[test]
    fn of_what_an_earlier_fill_has_left_nothing_is_known() {
        let (file, _) = filled(&[7; 8 * BLOCK]);
        let holes = Holes::default();
        holes.unknown_before(4 * BLOCK as u64);
        lose(&file, 0..BLOCK as u64);
        assert!(!holes.bytes_are_lost(&file, 0..8 * BLOCK as u64).unwrap());
        lose(&file, 4 * BLOCK as u64..5 * BLOCK as u64);
        assert!(holes.bytes_are_lost(&file, 0..8 * BLOCK as u64).unwrap());
    }

    #[test]
    fn of_too_many_holes_only_the_whole_is_remembered() {
        let holes = Holes::default();
        for at in 0..=MOST as u64 {
            holes.leave(2 * at * BLOCK as u64..(2 * at + 1) * BLOCK as u64);
        }
        let left = holes.lock().clone();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0], 0..(2 * MOST as u64 + 1) * BLOCK as u64);
    }

    #[test]
    fn runs_leave_out_the_zeros_of_each_block() {
        let mut bytes = vec![0; 5 * BLOCK];
        assert_eq!(data_runs(&bytes, 0), []);
        bytes[BLOCK] = 1;
        assert_eq!(data_runs(&bytes, 0), [(BLOCK, 2 * BLOCK)]);
        bytes[2 * BLOCK + 7] = 1;
        bytes[4 * BLOCK] = 1;
        assert_eq!(data_runs(&bytes, 0), [(BLOCK, 3 * BLOCK), (4 * BLOCK, 5 * BLOCK)]);
        assert_eq!(data_runs(&[1, 0], 4095), [(0, 1)]);
        assert_eq!(data_runs(&[0, 1], 4095), [(1, 2)]);
        assert_eq!(data_runs(&[], 1), []);
    }
}
