//! `glance-cache-prefetcher`: all that is queued, from Glance into the cache.

use icewell::Cache;
use icewell_server::Fetcher;

use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_conf::GlanceConf;

pub(super) fn run(cache: &Cache, _: &GlanceConf) -> Result {
    let origin = cache.origin()?.ok_or_else(|| Failure::failed("no origin"))?;
    let fetcher = Fetcher::new(cache.clone(), &origin)?;
    for queued in cache.queued()? {
        fetcher.fetch(&queued.id, &mut |_, _| {})?;
    }
    Ok(Exit::Done)
}
