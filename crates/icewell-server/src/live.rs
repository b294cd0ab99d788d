//! What may change while the daemon runs, and how it changes (SIGHUP).
//!
//! 1. The settings are read again, by whoever started the daemon. If they are wrong, nothing changes.
//! 2. So are the files that they name: the admin token, certificate and key. If one of them cannot be used, nothing changes.
//! 3. The limit is kept on the directory. If that fails, nothing changes.
//! 4. The rest is taken up, which cannot fail: each part of the daemon looks at [`Live`] when it needs it, or waits for a
//!    change of it.
//! 5. Whoever read the settings is told that they are in force, and logs what has changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use icewell::{Cache, DEFAULT_MIN_FREE};
use tracing::{error, info};

use crate::config::{Config, OnReload, Reloaded};
use crate::daemon::Daemon;
use crate::error::{Error, chain};
use crate::manage::AdminToken;
use crate::scrub::Scrub;
use crate::tls::Tls;

/// The settings that a running daemon takes up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub(crate) serve_stale: bool,
    pub(crate) auth_ttl: Duration,
    pub(crate) stall_time: Duration,
    pub(crate) scrub: Scrub,
    pub(crate) max_connections: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) drain_timeout: Duration,
}

impl Live {
    pub(crate) fn of(config: &Config) -> Self {
        Live {
            serve_stale: config.serve_stale,
            auth_ttl: config.auth_ttl,
            stall_time: config.stall_time,
            scrub: Scrub { every: config.scrub_every, rate: config.scrub_rate },
            max_connections: config.max_connections,
            idle_timeout: config.idle_timeout,
            send_timeout: config.send_timeout,
            drain_timeout: config.drain_timeout,
        }
    }
}

/// Keeps the limit that the settings name on the directory, for every other process that adds to it. What they do not name
/// stays as it is kept there.
pub(crate) fn keep_limit(cache: &Cache, config: &Config) -> Result<(), icewell::Error> {
    let mut limit = cache.limit()?;
    limit.max_size = config.max_size.unwrap_or(limit.max_size);
    limit.count = config.count.unwrap_or(limit.count);
    limit.min_free = config.min_free.or(limit.min_free).or(Some(DEFAULT_MIN_FREE));
    cache.set_limit(limit)
}

/// What it takes to reload.
#[derive(Debug)]
pub(crate) struct Reloader {
    pub(crate) on_reload: Option<OnReload>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Reloader {
    /// Does the steps. Whatever comes of it stands in the log. Blocks.
    pub(crate) fn reload(&mut self, daemon: &Daemon) {
        info!("SIGHUP: reading the settings again");
        // 1.
        let Some(OnReload(read)) = &mut self.on_reload else {
            return info!("these settings come from nowhere that could be read again");
        };
        let Some(Reloaded { config, in_force }) = read() else { return };
        match self.take_up(&config, daemon) {
            // 5.
            Ok(()) => in_force(),
            Err(why) => error!(error = chain(&why), "not reloaded; all stays as it was"),
        }
    }

    fn take_up(&self, config: &Config, daemon: &Daemon) -> Result<(), Error> {
        // 2.
        let token = self.token_file.as_deref().map(AdminToken::read).transpose()?;
        let renewed = self.tls.as_ref().map(|tls| tls.read_again()).transpose()?;
        // 3.
        keep_limit(&daemon.cache, config)?;
        // 4.
        if let (Some(tls), Some(renewed)) = (&self.tls, renewed) {
            tls.renew(renewed);
        }
        let live = Live::of(config);
        daemon.management.set_token(token);
        daemon.permits.set_ttl(live.auth_ttl);
        daemon.live.send_replace(live);
        Ok(())
    }
}
