//! What is read, opened and checked before anything is served; and the same checks without a start.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use icewell::Cache;

use crate::config::Config;
use crate::confine::Needs;
use crate::error::Error;
use crate::keystone::Session;
use crate::live::keep_limit;
use crate::manage::{AdminRole, AdminToken, Management};
use crate::origin::{Origin, Reach};
use crate::tls::Tls;
use crate::traces::Exporter;
use crate::via::Pseudonym;

/// What is read, opened and checked before anything is served.
pub(crate) struct Prepared {
    pub(crate) origin: Origin,
    pub(crate) management: Management,
    pub(crate) session: Option<Session>,
    pub(crate) tls: Option<Arc<Tls>>,
    /// What tells apart this process from others, in `Via` and in traces.
    pub(crate) pseudonym: Pseudonym,
    /// Who exports traces, and how many.
    pub(crate) traces: Option<(Exporter, f64)>,
    pub(crate) cache: Cache,
    pub(crate) needs: Needs,
}

impl Prepared {
    /// Reads, opens and checks.
    ///
    /// # Errors
    ///
    /// The first thing that keeps the daemon from starting.
    pub(crate) fn of(config: &mut Config) -> Result<Self, Error> {
        let token = config.admin_token_file.as_deref().map(AdminToken::read).transpose()?;
        let reach = reach(config);
        let traces_ca = config.traces.as_ref().and_then(|to| to.ca.clone());
        let files = [&config.tls_cert, &config.tls_key, &config.admin_token_file, &reach.ca, &traces_ca];
        let files = files.into_iter().flatten();
        let files = files.chain(&config.sources).cloned().collect();
        let origin = Origin::parse(&config.origin, &reach)?;
        let credentials = config.credentials.take().filter(|_| origin.glance().is_some());
        let role =
            config.admin_role.as_deref().map(|name| AdminRole::new(name, &origin, credentials.as_ref())).transpose()?;
        let management = Management::new(token, role);
        let session = credentials.map(|credentials| Session::new(credentials, config.origin_timeout)).transpose()?;
        let tls = Tls::of(config)?;
        let cache = open(config, &origin)?;
        let folder = if let Origin::Folder(folder) = &origin { Some(folder.path().to_owned()) } else { None };
        let pseudonym = Pseudonym::new();
        let traces =
            config.traces.take().map(|to| Ok::<_, Error>((Exporter::new(&to, pseudonym.as_str())?, to.sample)));
        let traces = traces.transpose()?;
        let hosts = folder.is_none() || traces.is_some();
        let needs = Needs { dir: config.dir.clone(), folder, hosts, files };
        Ok(Prepared { origin, management, session, tls, pseudonym, traces, cache, needs })
    }
}

/// All that would keep a daemon with these settings from starting, as far as it can be told without starting it: without
/// listening, making or changing anything. An empty origin is not looked at.
pub fn check(config: &Config) -> Vec<Error> {
    let mut wrong = Vec::new();
    let mut note = |found: Result<(), Error>| wrong.extend(found.err());
    note(config.admin_token_file.as_deref().map_or(Ok(()), |file| AdminToken::read(file).map(drop)));
    note(Tls::of(config).map(drop));
    if config.origin.is_empty() {
        return wrong;
    }
    let origin = match Origin::parse(&config.origin, &reach(config)) {
        Ok(origin) => origin,
        Err(error) => {
            note(Err(error));
            return wrong;
        }
    };
    if let Some(role) = &config.admin_role {
        note(AdminRole::new(role, &origin, config.credentials.as_ref()).map(drop));
    }
    if let Origin::Folder(folder) = &origin {
        note(refuse_nesting(&config.dir, folder.path()));
    }
    note(refuse_own_listener(&origin, config.listen));
    wrong
}

pub(crate) fn reach(config: &Config) -> Reach {
    let ca = config.origin_ca.clone().or_else(|| config.credentials.as_ref()?.ca().map(Into::into));
    Reach { timeout: config.origin_timeout, min_rate: config.origin_min_rate, ca }
}

fn open(config: &Config, origin: &Origin) -> Result<Cache, Error> {
    if let Origin::Folder(folder) = origin {
        refuse_nesting(&config.dir, folder.path())?;
    }
    let cache = Cache::open(&config.dir)?;
    keep_limit(&cache, config)?;
    Ok(cache)
}

/// A cache in its own origin would fetch itself; an origin in the cache would be pruned.
fn refuse_nesting(dir: &Path, folder: &Path) -> Result<(), Error> {
    // The directory may not exist yet: what does of it decides.
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let existing = absolute.ancestors().find_map(|ancestor| {
        let real = std::fs::canonicalize(ancestor).ok()?;
        Some(real.join(absolute.strip_prefix(ancestor).ok()?))
    });
    let dir = existing.unwrap_or(absolute);
    let nested =
        |what: &str| Err(Error::usage(format!("the cache directory {dir:?} and the origin {folder:?}: {what}")));
    if dir == folder {
        return nested("they are the same folder; choose another --dir");
    }
    if dir.starts_with(folder) {
        return nested("the cache directory lies inside the origin; choose another --dir");
    }
    if folder.starts_with(&dir) {
        return nested("the origin lies inside the cache directory; choose another --dir");
    }
    Ok(())
}

/// Finds an origin that is this daemon itself before the first request does. Longer loops are found by `Via`.
pub(crate) fn refuse_own_listener(origin: &Origin, listen: SocketAddr) -> Result<(), Error> {
    let http = match origin {
        Origin::Folder(_) => return Ok(()),
        Origin::Http(http) => http,
        Origin::Glance(glance) => glance.http(),
    };
    let addresses = http.url().socket_addrs(|| None).unwrap_or_default();
    let own = |address: &SocketAddr| {
        let same_host = address.ip() == listen.ip() || (listen.ip().is_unspecified() && address.ip().is_loopback());
        same_host && address.port() == listen.port()
    };
    if addresses.iter().any(own) {
        return Err(Error::usage(format!(
            "the origin {} is where this cache itself listens; set --origin to where the images are, or another --listen",
            origin.identity()
        )));
    }
    Ok(())
}
