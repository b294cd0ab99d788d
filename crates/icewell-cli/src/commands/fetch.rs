//! `icewell fetch`: images from the origin into the cache, now.

use icewell::ImageId;
use icewell_server::{Fetched, Fetcher, Patience};

use super::batch::Batch;
use crate::clouds;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::output::size;
use crate::units::{Size, Span};

/// Fetch images from the origin, or all that is queued
///
/// An image that somebody else is fetching is waited for. One that fails stops nobody; the exit status tells it.
///
/// A Glance has to know who asks: OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and the like say it, or clouds.yaml, as for
/// OpenStack's clients.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images, by their names as in the cache directory; without any, all that is queued, in order
    #[arg(value_name = "ID")]
    ids: Vec<ImageId>,

    /// Where from: a folder, http(s)://…, or a Glance: glance+http(s)://… [default: the origin that the cache directory is
    /// bound to]
    #[arg(long, value_name = "URL", env = "ICEWELL_ORIGIN", hide_env_values = true)]
    origin: Option<String>,

    /// From a Glance, log in as this cloud of clouds.yaml [default: as OpenStack's clients do]
    #[arg(long, value_name = "NAME", env = "ICEWELL_OS_CLOUD", hide_env_values = true)]
    os_cloud: Option<String>,

    /// Give the origin up if it sends nothing for this long [default: 30s]
    #[arg(long, value_name = "TIME", env = "ICEWELL_ORIGIN_TIMEOUT", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    origin_timeout: Option<Span>,

    /// Break a body off that comes with fewer bytes a second than this; 0 takes any [default: 1KiB]
    #[arg(long, value_name = "SIZE", env = "ICEWELL_ORIGIN_MIN_RATE", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    origin_min_rate: Option<Size>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let output = context.output;
    let cache = context.cache()?;
    let origin = match &args.origin {
        Some(origin) => origin.clone(),
        None => cache.origin()?.ok_or_else(|| {
            let dir = cache.dir().display();
            Failure::usage(format!("no origin is known: {dir} is bound to none yet; name one with --origin"))
        })?,
    };
    let ids = match &args.ids[..] {
        [] => cache.queued()?.into_iter().map(|queued| queued.id).collect(),
        ids => ids.to_vec(),
    };
    let credentials = match icewell_server::is_glance(&origin) {
        true => clouds::credentials(args.os_cloud.as_deref())?,
        false => None,
    };
    let usual = Patience::default();
    let patience = Patience {
        timeout: args.origin_timeout.map_or(usual.timeout, |Span(timeout)| timeout),
        min_rate: args.origin_min_rate.map_or(usual.min_rate, |Size(bytes)| bytes),
    };
    let fetcher = Fetcher::new(cache, &origin, credentials, patience)?;
    let mut batch = Batch::new(output);
    for id in &ids {
        let bar = output.bar(id.as_str(), None);
        let fetched = fetcher.fetch(id, &mut |done, total| bar.set(done, total));
        drop(bar);
        match fetched {
            Ok(Fetched::Stored { bytes }) => {
                output.say(&format!("{id}: fetched, {}", size(bytes)))?;
                batch.done_with_size(id, "stored", bytes);
            }
            Ok(Fetched::AlreadyCached) => {
                output.say(&format!("{id}: cached already"))?;
                batch.done(id, "already_cached");
            }
            Err(error) => batch.failed(id, "failed", Failure::from(error)),
        }
    }
    batch.finish()
}
