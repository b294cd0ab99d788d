//! `icewell queue`: images wanted for later.

use icewell::{Cache, ImageId};

use super::batch::Batch;
use crate::context::Context;
use crate::failure::{Failure, Result};

/// Queue images, to be fetched by the daemon or by fetch
///
/// One that is cached, being filled or queued already is left as it is, which is said and is no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images, by their names as in the cache directory
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ImageId>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let mut batch = Batch::new(context.output);
    for id in &args.ids {
        match queue(&cache, id) {
            Ok(None) => {
                context.output.say(&format!("{id}: queued"))?;
                batch.done(id, "queued");
            }
            Ok(Some((result, why))) => {
                context.output.say(&format!("{id}: not queued, {why}"))?;
                batch.done(id, result);
            }
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    batch.finish()
}

/// None if it was queued, else why not.
fn queue(cache: &Cache, id: &ImageId) -> icewell::Result<Option<(&'static str, &'static str)>> {
    Ok(match () {
        () if cache.queue(id)? => None,
        () if cache.is_cached(id)? => Some(("already_cached", "for it is cached already")),
        () if cache.is_queued(id)? => Some(("already_queued", "for it is queued already")),
        () => Some(("in_progress", "for it is being filled")),
    })
}
