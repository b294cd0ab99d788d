//! `glance-cache-cleaner`: away with failed fills and those that stopped.

use icewell::{Cache, DEFAULT_STALL_TIME};

use crate::exit::Exit;
use crate::failure::Result;
use crate::glance_conf::GlanceConf;

/// Removes what Glance's cleaner removes; a fill that is alive stays, whatever its age.
pub(super) fn run(cache: &Cache, glance: &GlanceConf) -> Result {
    let cleaned = cache.clean(glance.image_cache_stall_time.unwrap_or(DEFAULT_STALL_TIME))?;
    tracing::info!(invalid = cleaned.invalid, stalled = cleaned.stalled, "cleaned the image cache");
    Ok(Exit::Done)
}
