//! One pass over a folder.

use std::ffi::OsString;

use crate::error::{Context, Result};
use crate::image_id::ImageId;
use crate::sys::{self, Dir, Kind, Stat};

/// A regular file that a pass met.
pub(crate) struct Found {
    pub(crate) name: OsString,
    /// None where the name is no image ID.
    pub(crate) id: Option<ImageId>,
    pub(crate) stat: Stat,
}

/// The regular files of a folder. Files that vanish during the pass are skipped; nothing else is followed or opened.
pub(crate) fn files(dir: &Dir) -> Result<impl Iterator<Item = Result<Found>>> {
    let path = || dir.path().to_owned();
    let names = sys::names(dir).context("list", path)?;
    Ok(names.filter_map(move |name| {
        let found = name.context("list", path).and_then(|name| {
            let stat = dir.stat(&name).context("look at", || dir.path().join(&name))?;
            Ok(stat.filter(|stat| stat.kind == Kind::File).map(|stat| {
                let id = ImageId::from_file_name(&name);
                Found { name, id, stat }
            }))
        });
        found.transpose()
    }))
}

/// The regular files of a folder whose names are image IDs.
pub(crate) fn entries(dir: &Dir) -> Result<impl Iterator<Item = Result<(ImageId, Stat)>>> {
    Ok(files(dir)?.filter_map(|found| match found {
        Ok(Found { id: Some(id), stat, .. }) => Some(Ok((id, stat))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    }))
}
