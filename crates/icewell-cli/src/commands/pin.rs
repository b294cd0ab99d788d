//! `icewell pin`: images that are never to be pruned.

use icewell::ImageId;

use super::batch::Batch;
use crate::context::Context;
use crate::failure::{Failure, Result};

/// Pin cached images: they are never pruned, and rm --all spares them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ImageId>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    set_pinned(&args.ids, true, "pinned", context)
}

/// Pins or unpins, and tells it as `result`.
pub(super) fn set_pinned(ids: &[ImageId], pinned: bool, result: &'static str, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let mut batch = Batch::new(context.output);
    for id in ids {
        match cache.set_pinned(id, pinned) {
            Ok(true) => batch.done(id, result),
            Ok(false) => batch.failed(id, "not_cached", "it is not cached"),
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    batch.finish()
}
