//! `icewell get`: an image out of the cache, which counts as a hit once it is whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use icewell::{Cache, Copied, ImageId, Reader};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::size;

/// Copy an image out of the cache; counts as a hit
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "ID")]
    id: ImageId,

    /// The file to write, over what it holds; a folder to put it into; or - for standard output
    ///
    /// A file shares the image's blocks where the file system can, and keeps its holes elsewhere.
    #[arg(value_name = "DEST")]
    dest: PathBuf,
}

/// The most bytes sent between two steps of the progress bar.
const STEP: u64 = 8 << 20;

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    if args.dest == Path::new("-") {
        return to_stdout(&args.id, context);
    }
    let cache = context.cache()?;
    let reader = cache.read(&args.id)?;
    let dest = if args.dest.is_dir() { args.dest.join(args.id.as_str()) } else { args.dest.clone() };
    refuse_the_cache_itself(&cache, &reader, &dest)?;
    let bytes = reader.image().size;
    let bar = context.output.bar(args.id.as_str(), Some(bytes));
    let copied = cache.copy_out(&args.id, &dest, &mut |bytes| bar.advance(bytes))?;
    drop(bar);
    if context.output.is_json() {
        let how = match copied {
            Copied::Reflink => "reflink",
            Copied::Sparse => "sparse",
            Copied::Plain => "plain",
        };
        let id = args.id.as_str();
        let dest = dest.to_string_lossy();
        context.output.json(&json!({ "image_id": id, "destination": dest, "size": bytes, "copied": how }))?;
    }
    Ok(Exit::Done)
}

/// A copy into the cache directory would overwrite an image, or become one that nobody verified.
fn refuse_the_cache_itself(cache: &Cache, reader: &Reader, dest: &Path) -> Result<()> {
    let refuse =
        || Err(Failure::usage(format!("{dest:?} is in the cache directory; images get there by add or fetch")));
    let look = |error| Failure::io("look at", dest, &error);
    let image = reader.file().metadata().map_err(look)?;
    if fs::metadata(dest).is_ok_and(|there| (there.dev(), there.ino()) == (image.dev(), image.ino())) {
        return refuse();
    }
    let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (fs::canonicalize(parent), fs::canonicalize(cache.dir())) {
        (Ok(parent), Ok(dir)) if parent.starts_with(&dir) => refuse(),
        _ => Ok(()),
    }
}

fn to_stdout(id: &ImageId, context: &Context<'_>) -> Result {
    if context.output.is_json() {
        return Err(Failure::usage("--json and - both want standard output"));
    }
    let reader = context.cache()?.read(id)?;
    let whole = reader.image().size;
    let bar = context.output.bar(id.as_str(), Some(whole));
    // Not through the buffer of std's stdout: from file to file the kernel copies by itself.
    let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(|error| Failure::stdout(&error))?;
    let mut stdout = File::from(stdout);
    let mut sent = 0;
    while sent < whole {
        let step = io::copy(&mut reader.file().take(STEP.min(whole - sent)), &mut stdout);
        match step.map_err(|error| Failure::stdout(&error))? {
            0 => {
                let message = format!("{id:?} ended after {}: somebody cut it off", size(sent));
                return Err(Failure::failed(message));
            }
            bytes => {
                sent += bytes;
                bar.advance(bytes);
            }
        }
    }
    // The copy is whole, and whoever may read an image need not be somebody who may tag it.
    if let Err(error) = reader.count_hit() {
        tracing::warn!(image_id = %id, %error, "the hit is not counted");
    }
    Ok(Exit::Done)
}
