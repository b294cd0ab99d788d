//! An image copied out to a file of the caller's: sharing its blocks where the file system can, else with its holes.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::reader::Reader;
use crate::sys::{self, Access};

/// How an image was copied out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The copy shares the image's blocks (`FICLONE`): it took no room and no time.
    Reflink,
    /// The bytes were copied and the holes kept.
    Sparse,
    /// The target is no regular file, so every byte was written to it.
    Plain,
}

/// The most bytes copied between two calls of `progress`.
const STEP: usize = 8 << 20;

/// Copies the image to the file `to`, over what it holds; makes it if it is missing.
///
/// If it fails half-way, or the process is killed, half a copy is left, as `cp` does: one that is shorter than the image.
pub(crate) fn copy_out(reader: &Reader, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Copied> {
    let path = || to.to_owned();
    let target = sys::open_outside(to, Access::Write).context("open", path)?;
    let there = sys::stat(&target).context("look at", path)?;
    if there.inode == sys::stat(reader.file()).context("look at", path)?.inode {
        return Err(Error::new(ErrorKind::Io, "write", to).with_detail("it is the cached image itself"));
    }
    if there.kind != sys::Kind::File {
        return copy_plain(reader, &target, progress).context("write", path).map(|()| Copied::Plain);
    }
    sys::truncate(&target, 0).context("empty", path)?;
    let size = reader.image().size;
    if sys::clone_range(reader.file(), &target).context("clone to", path)? {
        progress(size);
        return Ok(Copied::Reflink);
    }
    copy_sparse(reader, &target, size, progress).context("write", path)?;
    // Last: a copy that is broken off before is shorter than the image, and so looks like none.
    sys::truncate(&target, size).context("write", path)?;
    Ok(Copied::Sparse)
}

fn copy_sparse(reader: &Reader, target: &File, size: u64, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut offset = 0;
    while let Some((start, end)) = sys::next_data(reader.file(), offset)? {
        progress(start - offset);
        copy_data(reader, target, start, end.min(size), progress)?;
        offset = end;
    }
    progress(size.saturating_sub(offset));
    Ok(())
}

fn copy_data(reader: &Reader, target: &File, start: u64, end: u64, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut offset = start;
    while offset < end {
        let wanted = STEP.min(usize::try_from(end - offset).unwrap_or(STEP));
        let copied = match sys::copy_range(reader.file(), target, offset, wanted)? {
            Some(copied) => copied,
            None => {
                buffer.resize(wanted, 0);
                let length = reader.read_at(&mut buffer, offset)?;
                sys::write_at(target, &buffer[..length], offset)?;
                length
            }
        };
        if copied == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += copied as u64;
        progress(copied as u64);
    }
    Ok(())
}

fn copy_plain(reader: &Reader, mut target: &File, progress: &mut dyn FnMut(u64)) -> io::Result<()> {
    use std::io::Write;
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    loop {
        let length = reader.read_at(&mut buffer, offset)?;
        if length == 0 {
            return Ok(());
        }
        target.write_all(&buffer[..length])?;
        offset += length as u64;
        progress(length as u64);
    }
}
