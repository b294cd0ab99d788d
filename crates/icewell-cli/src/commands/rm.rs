//! `icewell rm`: drops cached copies, and nothing else.

use icewell::{Cache, ImageId};

use super::batch::Batch;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::{count, size};

/// Drop cached copies, and nothing else
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<ImageId>,

    /// All of them but those that are pinned
    #[arg(long, conflicts_with = "ids")]
    all: bool,

    /// Absent images are no failure; with --all, pinned ones go too
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let mut batch = Batch::new(context.output);
    if args.all {
        all(&cache, args.force, context, &mut batch)?;
    }
    for id in &args.ids {
        // With force also a file that only bears the name of an image, which `doctor` may have told of.
        let removed = if args.force { cache.remove(id) } else { remove_cached(&cache, id) };
        match removed {
            Ok(true) => batch.done(id, "removed"),
            Ok(false) if args.force => batch.done(id, "not_cached"),
            Ok(false) => batch.failed(id, "not_cached", "it is not cached"),
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    batch.finish()
}

fn remove_cached(cache: &Cache, id: &ImageId) -> icewell::Result<bool> {
    Ok(cache.is_cached(id)? && cache.remove(id)?)
}

fn all(cache: &Cache, pinned_too: bool, context: &Context<'_>, batch: &mut Batch<'_>) -> Result<()> {
    let (mut images, mut bytes, mut pinned) = (0, 0, 0);
    for image in cache.images()? {
        if image.pinned && !pinned_too {
            pinned += 1;
            batch.done(&image.id, "pinned");
            continue;
        }
        match cache.remove(&image.id) {
            Ok(true) => {
                images += 1;
                bytes += image.size;
                batch.done_with_size(&image.id, "removed", image.size);
            }
            // Somebody was faster.
            Ok(false) => {}
            Err(error) => batch.failed(&image.id, "failed", Failure::from(error)),
        }
    }
    let kept = if pinned > 0 { format!("; {pinned} pinned stay, but for --force") } else { String::new() };
    context.output.say(&format!("removed {}, {}{kept}", count(images, "image", "images"), size(bytes)))
}
