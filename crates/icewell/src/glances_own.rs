//! What a Glance keeps in DIR that is no image: the database of its `sqlite` driver, and its locks.
//!
//! Any of their names could be an image's, so a name alone decides nothing: the database begins as SQLite's do, locks are
//! empty, and neither has a tag of ours. Only files of these few names are looked into.

use std::fs::File;
use std::io;

use crate::layout::glance;
use crate::sys::{self, Dir};

/// What every SQLite database begins with (<https://sqlite.org/fileformat.html#magic_header_string>).
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// What an untagged file of DIR is to a Glance, if it is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GlancesOwn {
    /// The `sqlite` driver's database, or what SQLite keeps beside it.
    Database,
    /// A lock of `oslo.concurrency`.
    Lock,
    /// The file by which the `xattr` driver tries tags; left where it could not.
    Probe,
}

/// What the untagged file `name` of `size` bytes in DIR is to a Glance; none where it may be an image.
pub(crate) fn glances_own(root: &Dir, name: &str, size: u64) -> io::Result<Option<GlancesOwn>> {
    if size == 0 && name == glance::PROBE {
        return Ok(Some(GlancesOwn::Probe));
    }
    if size == 0 && glance::LOCKS.contains(&name) {
        return Ok(Some(GlancesOwn::Lock));
    }
    let Some(beside) = name.strip_prefix(glance::DATABASE) else { return Ok(None) };
    let of_database = matches!(beside, "" | "-journal" | "-wal" | "-shm") && is_database(root)?;
    Ok(of_database.then_some(GlancesOwn::Database))
}

fn is_database(root: &Dir) -> io::Result<bool> {
    let Some((fd, _)) = root.open_file(glance::DATABASE)? else { return Ok(false) };
    let mut begin = [0; SQLITE.len()];
    match sys::read_exact_at(&File::from(fd), &mut begin, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| begin == *SQLITE),
    }
}
