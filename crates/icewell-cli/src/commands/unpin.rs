//! `icewell unpin`: images that may be pruned again.

use icewell::ImageId;

use super::pin::set_pinned;
use crate::context::Context;
use crate::failure::Result;

/// Unpin cached images: they may be pruned again
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(value_name = "ID", required = true)]
    ids: Vec<ImageId>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    set_pinned(&args.ids, false, "unpinned", context)
}
