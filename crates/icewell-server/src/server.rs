//! The daemon's life: check, listen, serve, reload, drain.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use icewell::{Adoption, Cache};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::config::{Config, Ready};
use crate::confine;
use crate::connections::Connections;
use crate::daemon::{Daemon, blocking};
use crate::error::Error;
use crate::live::{Live, Reloader};
use crate::notify::Notify;
use crate::permits::Permits;
use crate::prepared::{Prepared, refuse_own_listener};
use crate::service::Service;
use crate::sockets::HandedOver;
use crate::traces::Tracer;
use crate::{admin, history, janitor, memory, open_images, prefetch, scrub, watchdog};

/// How long the end of a fill that is broken off is waited for.
const SUSPEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last traces are waited for at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long requests of admins that run are waited for at the end, meanwhile.
const ADMINS_TIMEOUT: Duration = FLUSH_TIMEOUT;
/// What an end may take besides fills, the last traces too.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the daemon until SIGTERM or SIGINT, then drains: running responses are finished, up to
/// [`drain_timeout`](Config::drain_timeout), fills are broken off so that the next start resumes them. SIGHUP has the
/// settings read again, by [`on_reload`](Config::on_reload).
///
/// Sockets that systemd hands over (`LISTEN_FDS`) are served in the place of new ones; where it wants to know
/// (`NOTIFY_SOCKET`, `WATCHDOG_USEC`), it is told how the daemon does.
///
/// # Errors
///
/// What keeps it from starting; once it serves, nothing ends it but a signal.
pub fn serve(mut config: Config) -> Result<(), Error> {
    memory::keep_little();
    let notify = Notify::from_environment();
    let handed_over = HandedOver::take()?;
    let prepared = Prepared::of(&mut config)?;
    if config.confine {
        // While this is the only thread: each has to do it, or inherit it.
        confine::confine(&prepared.needs);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new("cannot start the runtime").with_source(error))?;
    let served = runtime.block_on(run(config, prepared, handed_over, Arc::new(notify)));
    // Threads that wait for a disk or a connection that is gone need not be waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn run(
    mut config: Config,
    prepared: Prepared,
    mut handed_over: HandedOver,
    notify: Arc<Notify>,
) -> Result<(), Error> {
    let Prepared { origin, management, session, tls, pseudonym, traces, cache, needs } = prepared;
    let on_ready = config.on_ready.take();
    let (listeners, outlive_us) = handed_over.clients(config.listen).await?;
    let mut listen = config.listen;
    for listener in listeners.iter().rev() {
        listen = listener.local_addr().map_err(|error| Error::new("cannot listen").with_source(error))?;
        refuse_own_listener(&origin, listen)?;
    }
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
        origin_timeout: config.origin_timeout,
        live: watch::Sender::new(Live::of(&config)),
        permits: Permits::new(config.auth_ttl),
        management,
        ..daemon
    });

    open_images::let_go_before_removal(&daemon);

    let mut signals = Signals::wait_for()?;
    let (stop_fills, fills_stop) = watch::channel(false);
    let (draining, drain) = watch::channel(false);
    let mut admins = Vec::new();
    for listener in handed_over.admin(config.admin).await? {
        admins.push(admin::start(listener, &daemon, config.send_timeout, &drain, &fills_stop)?);
    }
    let admin = admins.first().map(|admins| admins.address);
    janitor::start(&daemon, &fills_stop);
    prefetch::start(&daemon, &fills_stop);
    scrub::start(&daemon, &fills_stop);
    tokio::spawn(open_images::keep(daemon.clone(), fills_stop.clone()));
    if admin.is_some() {
        tokio::spawn(history::keep(daemon.clone(), fills_stop.clone()));
    }

    let reloader = Reloader { on_reload: config.on_reload, token_file: config.admin_token_file, tls: tls.clone() };
    let scheme = if tls.is_some() { "https" } else { "http" };
    // Says what there is no room for, before it is said that all is ready.
    let mut connections = Connections::new(daemon.clone(), tls, fills_stop.clone(), drain)?;
    let ready = Ready { listen, scheme, admin, origin: daemon.origin.identity().to_owned(), folder: needs.folder };
    info!(%listen, scheme, ?admin, origin = ready.origin, dir = %daemon.cache.dir().display(), "listening");
    if let Some(on_ready) = on_ready {
        on_ready.0(&ready);
    }

    let counted = daemon.cache.clone();
    tokio::task::spawn_blocking(move || compare_limit(&counted));
    watchdog::start(&daemon, &notify, connections.threads(), &fills_stop);
    let reloading = tokio::spawn(reload_always(signals.hangup, reloader, daemon.clone(), notify.clone()));
    notify.ready();
    tokio::select! {
        () = connections.accept(&listeners) => {}
        signal = signals.end.next() => info!("{signal}: draining"),
    }
    reloading.abort();
    let drain_timeout = daemon.live.borrow().drain_timeout;
    notify.stopping(drain_timeout.saturating_add(SUSPEND_TIMEOUT + END_TIMEOUT));
    draining.send_replace(true);
    stop_listening(&connections, listeners, outlive_us);
    tokio::select! {
        () = connections.drain(drain_timeout) => {}
        signal = signals.end.next() => warn!("a second {signal}: not waiting for running responses"),
    }
    stop_fills.send_replace(true);
    end_of_fills(&daemon).await;
    let flushed = async {
        if let Some(tracer) = &daemon.tracer {
            tracer.flush(FLUSH_TIMEOUT).await;
        }
    };
    // Admins see all of the end but this.
    let mut closed = JoinSet::new();
    admins.into_iter().for_each(|admins| drop(closed.spawn(admins.close(ADMINS_TIMEOUT))));
    tokio::join!(flushed, closed.join_all());
    info!("stopped");
    Ok(())
}

/// The signals that the daemon heeds.
struct Signals {
    end: Ends,
    hangup: Signal,
}

/// Those that end it.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn wait_for() -> Result<Self, Error> {
        let wait = |kind| signal(kind).map_err(|error| Error::new("cannot wait for signals").with_source(error));
        let end = Ends { terminate: wait(SignalKind::terminate())?, interrupt: wait(SignalKind::interrupt())? };
        Ok(Signals { end, hangup: wait(SignalKind::hangup())? })
    }
}

impl Ends {
    /// The name of the next one that comes.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Reloads at each SIGHUP, one after the other.
async fn reload_always(mut hangup: Signal, mut reloader: Reloader, daemon: Arc<Daemon>, notify: Arc<Notify>) {
    while hangup.recv().await.is_some() {
        notify.reloading();
        let daemon = daemon.clone();
        reloader = blocking(move || {
            reloader.reload(&daemon);
            reloader
        })
        .await;
        notify.ready();
    }
}

/// Nobody new is served. Who waits to be accepted is left to the next daemon, if it gets the same sockets.
fn stop_listening(connections: &Connections, listeners: Vec<TcpListener>, outlive_us: bool) {
    if !outlive_us {
        connections.accept_waiting(&listeners);
    }
    drop(listeners);
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

/// Gives fills that were told to stop the time to make durable what they have, and the last hits that to be counted.
async fn end_of_fills(daemon: &Arc<Daemon>) {
    let started = Instant::now();
    let busy = || daemon.fills.len() > 0 || daemon.counters.uncounted.load(Ordering::Acquire) > 0;
    while busy() && started.elapsed() < SUSPEND_TIMEOUT {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let daemon = daemon.clone();
    blocking(move || daemon.open_images.write_down_the_last()).await;
}
