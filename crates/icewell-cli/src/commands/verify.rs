//! `icewell verify`: whether images still are what they were.

use icewell::{ErrorKind, ImageId, Verdict};

use super::batch::Batch;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::size;

/// Read images and compare them with the origin's digests; bad ones go to invalid/
///
/// An image is good if it has the digest that its origin vouched for. Without such a digest it is unverifiable; where
/// Icewell computed one itself when it stored the image, it is told whether the bytes have changed since.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images; without any, all that are cached
    #[arg(value_name = "ID")]
    ids: Vec<ImageId>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let output = context.output;
    let cache = context.cache()?;
    let all = args.ids.is_empty();
    let mut sized = Vec::new();
    if all {
        sized.extend(cache.images()?.into_iter().map(|image| (image.id, image.size)));
    } else {
        for id in &args.ids {
            sized.push((id.clone(), cache.image(id)?.map_or(0, |image| image.size)));
        }
    }
    let bar = output.bar("", Some(sized.iter().map(|(_, size)| size).sum()));
    let mut batch = Batch::new(output);
    let mut before = 0;
    for (id, bytes) in &sized {
        bar.rename(&super::plain(id));
        let verdict = cache.verify(id, &mut |step| bar.advance(step));
        // An image without a digest is not read.
        before += bytes;
        bar.set(before, None);
        match verdict {
            Ok(Verdict::Good(digest)) => {
                output.say(&format!("{id}: good, {}, {digest}", size(*bytes)))?;
                batch.done_with_digest(id, "good", &digest);
            }
            Ok(Verdict::Unverifiable { unchanged: true }) => {
                output.say(&format!(
                    "{id}: unverifiable, its origin vouched for no digest; unchanged since it was stored"
                ))?;
                batch.done(id, "unverifiable");
            }
            Ok(Verdict::Unverifiable { unchanged: false }) => {
                output.say(&format!("{id}: unverifiable, it has no digest"))?;
                batch.done(id, "unverifiable");
            }
            Ok(Verdict::Corrupt(why)) => batch.failed(id, "corrupt", format_args!("corrupt, moved to invalid/: {why}")),
            // Removed since it was listed.
            Err(error) if all && error.kind() == ErrorKind::NotCached => {}
            Err(error) if error.kind() == ErrorKind::NotCached => batch.failed(id, "not_cached", "it is not cached"),
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    drop(bar);
    batch.finish()
}
