//! The daemon's life: check, listen, serve, drain.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulShutdown;
use icewell::{Adoption, Cache, DEFAULT_MIN_FREE};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use crate::config::{Config, Ready};
use crate::confine::{self, Needs};
use crate::connection::{self, Serving, Wire};
use crate::daemon::{Daemon, blocking};
use crate::error::Error;
use crate::keystone::Session;
use crate::libraries::Libraries;
use crate::manage::{AdminRole, AdminToken, Management};
use crate::origin::{Origin, Reach};
use crate::permits::Permits;
use crate::route::Client;
use crate::scrub::Scrub;
use crate::service::Service;
use crate::threads::Threads;
use crate::tls::Tls;
use crate::traces::{Exporter, Tracer};
use crate::via::Pseudonym;
use crate::{admin, descriptors, history, janitor, memory, open_images, prefetch, scrub, socket};

/// How long the end of a fill that is broken off is waited for.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last traces are waited for at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the daemon until SIGTERM or SIGINT, then drains: running responses are finished, up to
/// [`drain_timeout`](Config::drain_timeout), fills are broken off so that the next start resumes them.
///
/// # Errors
///
/// What keeps it from starting; once it serves, nothing ends it but a signal.
pub fn serve(mut config: Config) -> Result<(), Error> {
    memory::keep_some();
    let prepared = Prepared::of(&mut config)?;
    if config.confine {
        // While this is the only thread: each has to do it, or inherit it.
        confine::confine(&prepared.needs);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new("cannot start the runtime").with_source(error))?;
    let served = runtime.block_on(run(config, prepared));
    // Threads that wait for a disk or a connection that is gone need not be waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

/// What is read, opened and checked before anything is served.
struct Prepared {
    origin: Origin,
    management: Management,
    session: Option<Session>,
    tls: Option<Arc<Tls>>,
    /// What tells apart this process from others, in `Via` and in traces.
    pseudonym: Pseudonym,
    /// Who exports traces, and how many.
    traces: Option<(Exporter, f64)>,
    cache: Cache,
    needs: Needs,
}

impl Prepared {
    fn of(config: &mut Config) -> Result<Self, Error> {
        let token = config.admin_token_file.as_deref().map(AdminToken::read).transpose()?;
        let ca = config.origin_ca.clone().or_else(|| config.credentials.as_ref()?.ca().map(Into::into));
        let traces_ca = config.traces.as_ref().and_then(|to| to.ca.clone());
        let files =
            [&config.tls_cert, &config.tls_key, &config.admin_token_file, &ca, &traces_ca].into_iter().flatten();
        let files = files.chain(&config.sources).cloned().collect();
        let reach = Reach { timeout: config.origin_timeout, min_rate: config.origin_min_rate, ca };
        let origin = Origin::parse(&config.origin, &reach)?;
        let credentials = config.credentials.take().filter(|_| origin.glance().is_some());
        let role =
            config.admin_role.as_deref().map(|name| AdminRole::new(name, &origin, credentials.as_ref())).transpose()?;
        let management = Management { token, role, stall_time: config.stall_time };
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

async fn run(mut config: Config, prepared: Prepared) -> Result<(), Error> {
    let Prepared { origin, management, session, tls, pseudonym, traces, cache, needs } = prepared;
    let on_ready = config.on_ready.take();
    let listener = bind(config.listen).await?;
    let listen = listener.local_addr().map_err(|error| Error::new("cannot listen").with_source(error))?;
    refuse_own_listener(&origin, listen)?;
    // The IDs of a Glance's images are the same in every cache of it.
    let adoption = if origin.glance().is_some() { Adoption::Allowed } else { Adoption::Refused };
    cache.bind_origin(origin.identity(), adoption)?;
    let service = session.map(Service::new);
    let daemon = Daemon::new(cache, origin, Handle::current());
    let tracer = traces
        .map(|(exporter, sample)| Tracer::start(exporter, sample, daemon.counters.spans.clone(), &daemon.runtime));
    let daemon = Arc::new(Daemon {
        service,
        tracer,
        pseudonym,
        serve_stale: config.serve_stale,
        permits: Permits::new(config.auth_ttl),
        management,
        ..daemon
    });

    open_images::let_go_before_removal(&daemon);

    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let (stop_fills, fills_stop) = watch::channel(false);
    let (draining, drain) = watch::channel(false);
    let admin = match config.admin {
        Some(address) => Some(admin::start(bind(address).await?, &daemon, config.send_timeout, &drain, &fills_stop)?),
        None => None,
    };
    janitor::start(&daemon, config.stall_time, &fills_stop);
    prefetch::start(&daemon, &fills_stop);
    scrub::start(&daemon, Scrub { every: config.scrub_every, rate: config.scrub_rate }, &fills_stop);
    tokio::spawn(open_images::keep(daemon.clone(), fills_stop.clone()));
    if admin.is_some() {
        tokio::spawn(history::keep(daemon.clone(), fills_stop.clone()));
    }

    let scheme = if tls.is_some() { "https" } else { "http" };
    let ready = Ready { listen, scheme, admin, origin: daemon.origin.identity().to_owned(), folder: needs.folder };
    info!(%listen, scheme, ?admin, origin = ready.origin, dir = %daemon.cache.dir().display(), "listening");
    if let Some(on_ready) = on_ready {
        on_ready.0(&ready);
    }

    let counted = daemon.cache.clone();
    tokio::task::spawn_blocking(move || compare_limit(&counted));
    let connections = Connections::new(&config, tls, daemon.clone(), fills_stop, drain)?;
    tokio::select! {
        () = connections.accept(&listener) => {}
        _ = terminate.recv() => info!("SIGTERM: draining"),
        _ = interrupt.recv() => info!("SIGINT: draining"),
    }
    draining.send_replace(true);
    drop(listener);
    tokio::select! {
        () = connections.drain(config.drain_timeout) => {}
        _ = terminate.recv() => warn!("a second SIGTERM: not waiting for running responses"),
        _ = interrupt.recv() => warn!("a second SIGINT: not waiting for running responses"),
    }
    stop_fills.send_replace(true);
    end_of_fills(&daemon).await;
    if let Some(tracer) = &daemon.tracer {
        tracer.flush(FLUSH_TIMEOUT).await;
    }
    info!("stopped");
    Ok(())
}

fn open(config: &Config, origin: &Origin) -> Result<Cache, Error> {
    if let Origin::Folder(folder) = origin {
        refuse_nesting(&config.dir, folder.path())?;
    }
    let cache = Cache::open(&config.dir)?;
    let mut limit = cache.limit()?;
    limit.max_size = config.max_size.unwrap_or(limit.max_size);
    limit.count = config.count.unwrap_or(limit.count);
    limit.min_free = config.min_free.or(limit.min_free).or(Some(DEFAULT_MIN_FREE));
    // Kept for every other process that adds to the directory.
    cache.set_limit(limit)?;
    Ok(cache)
}

/// Warns of a limit that the file system has no room for: what is to stay free is the limit then. It counts the whole directory, so nobody waits for it.
fn compare_limit(cache: &Cache) -> Result<(), icewell::Error> {
    let limit = cache.limit()?;
    let could = cache.largest_limit()?;
    if limit.max_size > could {
        let min_free = limit.min_free.map(tracing::field::display);
        warn!(
            max_size = limit.max_size,
            would_fit = could,
            min_free,
            "the limit is more than the file system has room for; what is to stay free holds in its place"
        );
    }
    Ok(())
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
fn refuse_own_listener(origin: &Origin, listen: SocketAddr) -> Result<(), Error> {
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

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Error::new(format!("cannot listen on {address}")).with_source(error))
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Error> {
    signal(kind).map_err(|error| Error::new("cannot wait for signals").with_source(error))
}

/// Gives fills that were told to stop the time to make durable what they have, and the last hits that to be counted.
async fn end_of_fills(daemon: &Arc<Daemon>) {
    let started = Instant::now();
    let busy = || daemon.fills.len() > 0 || daemon.counters.uncounted.load(Ordering::Acquire) > 0;
    while busy() && started.elapsed() < SUSPEND_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let daemon = daemon.clone();
    blocking(move || daemon.open_images.write_down()).await;
}

/// The connections of clients.
struct Connections {
    serving: Serving,
    send_timeout: Duration,
    /// None for plain HTTP.
    tls: Option<Arc<Tls>>,
    /// One permit for each connection.
    room: Arc<Semaphore>,
    permits: u32,
    threads: Threads,
    graceful: GracefulShutdown,
    libraries: Libraries,
}

impl Connections {
    fn new(
        config: &Config,
        tls: Option<Arc<Tls>>,
        daemon: Arc<Daemon>,
        fills_stop: watch::Receiver<bool>,
        draining: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        let permits = descriptors::make_room(config.max_connections).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Ok(Connections {
            send_timeout: config.send_timeout,
            serving: Serving { daemon, idle_timeout: config.idle_timeout, fills_stop, draining },
            tls,
            room: Arc::new(Semaphore::new(permits)),
            permits: permits as u32,
            threads: Threads::start()?,
            graceful: GracefulShutdown::new(),
            libraries: Libraries::new(config.idle_timeout, config.send_timeout),
        })
    }

    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(permit) = self.room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, client)) => self.serve(stream, client, permit),
                // Out of descriptors, most likely; some will be given back.
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        socket::set_up(&stream, address, self.send_timeout);
        let (serving, libraries, watcher) = (self.serving.clone(), self.libraries.clone(), self.graceful.watcher());
        let tls = self.tls.clone();
        self.threads.spawn(stream, move |stream| async move {
            let _permit = permit;
            let (wire, client) = match tls {
                None => (Wire::Plain(stream), Client { address, scheme: "http" }),
                Some(tls) => {
                    let Some(stream) = shaken(tls, stream, address, &serving).await else { return };
                    let client = Client { address, scheme: "https" };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        return libraries.http2(Wire::Tls(Box::new(stream)), client, serving, watcher).await;
                    }
                    (Wire::Tls(Box::new(stream)), client)
                }
            };
            if let Some(rest) = connection::serve(wire, client, &serving).await {
                libraries.http1(rest, client, serving, watcher).await;
            }
        });
    }

    async fn drain(self, timeout: Duration) {
        let Connections { graceful, threads: _threads, room, permits, .. } = self;
        let all = async {
            graceful.shutdown().await;
            room.acquire_many(permits).await.ok();
        };
        if tokio::time::timeout(timeout, all).await.is_err() {
            warn!(?timeout, "some responses are still running and are cut off");
        }
    }
}

/// The handshake, if it comes to a good end in time.
async fn shaken(
    tls: Arc<Tls>,
    stream: TcpStream,
    client: SocketAddr,
    serving: &Serving,
) -> Option<TlsStream<TcpStream>> {
    let mut draining = serving.draining.clone();
    tokio::select! {
        shaken = tokio::time::timeout(serving.idle_timeout, tls.accept(stream)) => match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => debug!(%client, %error, "no TLS handshake"),
            Err(_) => debug!(%client, "the TLS handshake takes too long"),
        },
        // Who has asked for nothing yet is not waited for.
        _ = draining.wait_for(|draining| *draining) => {}
    }
    None
}
