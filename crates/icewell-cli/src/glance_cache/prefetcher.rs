//! `glance-cache-prefetcher`: all that is queued, from Glance into the cache, by the way that every client takes. Where
//! Glance keeps the bytes, and in which database it looks for them, is Glance's to know.

use std::time::Duration;

use icewell::Cache;
use icewell_server::{Credentials, FIELDS, Fetcher};
use tracing::{info, warn};

use crate::clouds;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_conf::{Conf, GlanceConf};

/// How long Keystone may take.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches what is queued. As with Glance's tool, an image that cannot be had is a warning, and no failure.
pub(super) fn run(cache: &Cache, glance: &GlanceConf) -> Result {
    let queued = cache.queued()?;
    if queued.is_empty() {
        info!("nothing to prefetch");
        return Ok(Exit::Done);
    }
    let origin = match cache.origin()? {
        Some(bound) => bound,
        None => glance_address(&glance.conf)?,
    };
    let credentials = credentials(&glance.conf)?;
    // Once, and before all else: what is wrong with the credentials is wrong for every image.
    credentials.token_blocking(LOGIN_TIMEOUT)?;
    let fetcher = Fetcher::beside_glance(cache.clone(), &origin, credentials)?;
    let mut failed = 0;
    for image in &queued {
        match fetcher.fetch(&image.id, &mut |_, _| {}) {
            Ok(fetched) => info!(image_id = %image.id, ?fetched, "prefetched"),
            Err(error) => {
                failed += 1;
                warn!("{}", Failure::from(error));
            }
        }
    }
    if failed > 0 {
        warn!(failed, queued = queued.len(), "Failed to successfully cache all images in queue.");
    }
    Ok(Exit::Done)
}

/// Where the Glance of this configuration answers: as it says itself, else where it listens.
fn glance_address(conf: &Conf) -> Result<String> {
    for key in ["worker_self_reference_url", "public_endpoint"] {
        if let Some(url) = conf.text("DEFAULT", key)? {
            return Ok(format!("glance+{}", url.trim_end_matches('/')));
        }
    }
    let host = conf.text("DEFAULT", "bind_host")?;
    let port = conf.whole_number("DEFAULT", "bind_port")?.unwrap_or(9292);
    let host = match host.as_deref() {
        None | Some("0.0.0.0") => "127.0.0.1".into(),
        Some("::") => "[::1]".into(),
        Some(address) if address.contains(':') => format!("[{address}]"),
        Some(host) => host.to_owned(),
    };
    Ok(format!("glance+http://{host}:{port}"))
}

/// Those of the environment (`OS_*`, `OS_CLOUD`), else those by which this Glance checks its callers' tokens.
fn credentials(conf: &Conf) -> Result<Credentials> {
    if let Some(given) = clouds::credentials(None)? {
        return Ok(given);
    }
    let section = conf.text("keystone_authtoken", "auth_section")?.unwrap_or_else(|| "keystone_authtoken".into());
    let mut given = Vec::new();
    for field in FIELDS {
        // The names of keystonemiddleware, where they are others.
        let key = match field {
            "cacert" => "cafile",
            field => field,
        };
        given.extend(conf.text(&section, key)?.map(|value| (field, value)));
    }
    if !given.iter().any(|(field, _)| *field == "auth_url") {
        return Err(Failure::failed(format!(
            "no credentials for Glance: set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and the like, or have [{section}] in the \
             configuration say auth_url, username and password"
        )));
    }
    Ok(Credentials::from_fields(given)?)
}
