//! `icewell unqueue`: images not wanted any more.

use icewell::ImageId;

use super::batch::Batch;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::count;

/// Take images off the queue
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<ImageId>,

    /// All of them
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let mut batch = Batch::new(context.output);
    if args.all {
        let mut images = 0;
        for queued in cache.queued()? {
            match cache.unqueue(&queued.id) {
                Ok(true) => {
                    images += 1;
                    batch.done(&queued.id, "unqueued");
                }
                // Somebody was faster.
                Ok(false) => {}
                Err(error) => batch.failed(&queued.id, "failed", Failure::from(error)),
            }
        }
        context.output.say(&format!("took {} off the queue", count(images, "image", "images")))?;
    }
    for id in &args.ids {
        match cache.unqueue(id) {
            Ok(true) => batch.done(id, "unqueued"),
            Ok(false) => batch.failed(id, "not_queued", "it is not queued"),
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    batch.finish()
}
