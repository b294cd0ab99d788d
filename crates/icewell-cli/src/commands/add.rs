//! `icewell add`: a local file becomes a cached image.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use icewell::{Announced, Commit, Digest, ImageId, Metadata, Writer};

use super::ls::ImageRow;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::size;

/// Put a local file into the cache, verified and durable
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The ID it is to have
    #[arg(value_name = "ID")]
    id: ImageId,

    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The digest that the bytes must have, kept with the image; ALGORITHM is md5, sha1, sha224, sha256, sha384 or sha512
    #[arg(long, value_name = "ALGORITHM:HEX")]
    digest: Option<Digest>,

    /// A name for people, kept with the image
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// How much is read at a time.
const STEP: usize = 1 << 20;

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let output = context.output;
    let (source, size_ahead) = open(&args.file)?;
    let cache = context.cache()?;
    let mut writer = cache.write(&args.id)?;
    writer.start(Announced {
        size: size_ahead,
        digests: args.digest.iter().cloned().collect(),
        metadata: Metadata { name: args.name.clone(), ..Metadata::default() },
    })?;
    let bar = output.bar(args.id.as_str(), size_ahead);
    if let Err(failure) = fill(&mut writer, source, &args.file, &mut |bytes| bar.advance(bytes)) {
        writer.roll_back(&format!("add: {failure}"));
        return Err(failure);
    }
    let committed = writer.commit()?;
    drop(bar);
    if committed == Commit::AlreadyThere {
        let message = format!("cannot add {:?}: another process cached it meanwhile; that copy stays", args.id);
        return Err(Failure::failed(message));
    }
    // Somebody may have removed it again by now.
    let Some(image) = cache.image(&args.id)? else { return Ok(Exit::Done) };
    if output.is_json() {
        output.json(&ImageRow::from(&image))?;
    } else if let Some(digest) = image.digest.as_ref().or(image.computed_digest.as_ref()) {
        output.say(&format!("added {}: {}, {digest}", args.id, size(image.size)))?;
    }
    Ok(Exit::Done)
}

/// The file and its size, where that is known ahead.
fn open(path: &Path) -> Result<(File, Option<u64>)> {
    let cannot = |tried, error: io::Error| Failure::io(tried, path, &error);
    let mut file = if path == Path::new("-") {
        io::stdin().as_fd().try_clone_to_owned().map_err(|error| cannot("open", error))?.into()
    } else {
        File::open(path).map_err(|error| cannot("open", error))?
    };
    let metadata = file.metadata().map_err(|error| cannot("look at", error))?;
    if metadata.is_dir() {
        return Err(Failure::failed(format!("cannot add {path:?}: it is a folder")));
    }
    if !metadata.is_file() {
        return Ok((file, None));
    }
    // Standard input may have been read from before; the kernel's own files say 0 and hold more.
    let read = file.stream_position().map_err(|error| cannot("look at", error))?;
    let size = metadata.len().saturating_sub(read);
    Ok((file, Some(size).filter(|size| *size > 0)))
}

fn fill(writer: &mut Writer, mut source: File, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<()> {
    let mut buffer = vec![0; STEP];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                writer.write(&buffer[..length])?;
                progress(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io("read", path, &error)),
        }
    }
}
