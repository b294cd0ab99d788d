//! `glance-cache-pruner`: down to the limit.

use icewell::{Cache, Limit, Mode};

use crate::exit::Exit;
use crate::failure::Result;
use crate::glance_conf::GlanceConf;

/// Prunes to the configured limit, else to the one in force: Glance's 10 GiB unless an Icewell was told another.
pub(super) fn run(cache: &Cache, glance: &GlanceConf) -> Result {
    let in_force = cache.limit()?;
    let max_size = glance.image_cache_max_size.unwrap_or(in_force.max_size);
    let pruned = cache.prune(Limit { max_size, ..in_force }, Mode::Act)?;
    tracing::info!(files = pruned.files(), bytes = pruned.bytes(), max_size, "pruned the image cache");
    Ok(Exit::Done)
}
