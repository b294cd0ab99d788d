//! The connections of clients: as many at a time as there is room for, each on a thread that has few of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::connection::{self, Serving, Wire};
use crate::daemon::Daemon;
use crate::error::Error;
use crate::libraries::Libraries;
use crate::live::Live;
use crate::route::Client;
use crate::threads::Threads;
use crate::tls::Tls;
use crate::{descriptors, socket};

/// The connections of clients.
pub(crate) struct Connections {
    serving: Serving,
    live: watch::Receiver<Live>,
    send_timeout: Duration,
    /// None for plain HTTP.
    tls: Option<Arc<Tls>>,
    /// One permit for each connection.
    room: Arc<Semaphore>,
    /// How many there are, given or not; fewer once those that are too many have come back.
    permits: usize,
    threads: Threads,
    libraries: Libraries,
}

impl Connections {
    /// Makes ready to serve.
    ///
    /// # Errors
    ///
    /// The system gives no threads.
    pub(crate) fn new(
        daemon: Arc<Daemon>,
        tls: Option<Arc<Tls>>,
        fills_stop: watch::Receiver<bool>,
        draining: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        let mut live = daemon.live.subscribe();
        let now = *live.borrow_and_update();
        let permits = permits(now.max_connections);
        Ok(Connections {
            live,
            send_timeout: now.send_timeout,
            serving: Serving { daemon, idle_timeout: now.idle_timeout, fills_stop, draining, senders: Arc::default() },
            tls,
            room: Arc::new(Semaphore::new(permits)),
            permits,
            threads: Threads::start()?,
            libraries: Libraries::new(now.idle_timeout, now.send_timeout),
        })
    }

    /// What connections live on.
    pub(crate) fn threads(&self) -> Vec<Handle> {
        self.threads.handles()
    }

    /// Serves whoever comes. It does not end, and may be dropped at any time.
    pub(crate) async fn accept(&mut self, listeners: &[TcpListener]) {
        let mut live = self.live.clone();
        loop {
            let room = self.room.clone();
            let next = async {
                let permit = room.acquire_owned().await;
                (permit, std::future::poll_fn(|context| poll_accept(listeners, context)).await)
            };
            tokio::select! {
                (permit, accepted) = next => match (permit, accepted) {
                    (Ok(permit), Ok((stream, client))) => self.serve(stream, client, permit),
                    (Err(_), _) => return,
                    // Out of descriptors, most likely; some will be given back.
                    (_, Err(error)) => {
                        warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Ok(()) = live.changed() => self.adapt(*live.borrow()),
            }
        }
    }

    /// Serves those who are connected already and wait to be accepted, before their socket is closed on them.
    pub(crate) fn accept_waiting(&self, listeners: &[TcpListener]) {
        for listener in listeners {
            while let Ok(permit) = self.room.clone().try_acquire_owned() {
                let Ok((stream, client)) = accept_now(listener) else { break };
                self.serve(stream, client, permit);
            }
        }
    }

    /// Takes new settings up: for connections from now on, and for how many there may be.
    fn adapt(&mut self, live: Live) {
        self.send_timeout = live.send_timeout;
        self.serving.idle_timeout = live.idle_timeout;
        self.libraries = Libraries::new(live.idle_timeout, live.send_timeout);
        let permits = permits(live.max_connections);
        if permits > self.permits {
            self.room.add_permits(permits - self.permits);
        } else if permits < self.permits {
            // Before anybody new comes: permits are given in the order in which they were asked for.
            let (room, fewer) = (self.room.clone(), (self.permits - permits) as u32);
            tokio::spawn(async move { room.acquire_many(fewer).await.map(|permits| permits.forget()).ok() });
        }
        self.permits = permits;
    }

    fn serve(&self, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        socket::set_up(&stream, address, self.send_timeout);
        let (serving, libraries, tls) = (self.serving.clone(), self.libraries.clone(), self.tls.clone());
        self.threads.spawn(stream, move |stream| async move {
            let _permit = permit;
            let (wire, client) = match tls {
                None => (Wire::Plain(stream), Client { address, scheme: "http" }),
                Some(tls) => {
                    let Some(stream) = shaken(tls, stream, address, &serving).await else { return };
                    let client = Client { address, scheme: "https" };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        return libraries.http2(Wire::Tls(Box::new(stream)), client, serving).await;
                    }
                    (Wire::Tls(Box::new(stream)), client)
                }
            };
            if let Some(rest) = connection::serve(wire, client, &serving).await {
                libraries.http1(rest, client, serving).await;
            }
        });
    }

    /// Waits for running responses to end.
    pub(crate) async fn drain(self, timeout: Duration) {
        let Connections { threads: _threads, room, permits, .. } = self;
        if tokio::time::timeout(timeout, room.acquire_many(permits as u32)).await.is_err() {
            warn!(?timeout, "some responses are still running and are cut off");
        }
    }
}

/// How many connections there is room for.
fn permits(max_connections: usize) -> usize {
    descriptors::make_room(max_connections).min(Semaphore::MAX_PERMITS).min(u32::MAX as usize)
}

/// Asks the system, not the runtime, which may not have heard yet of who has just connected.
fn accept_now(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let stream = std::net::TcpStream::from(socket);
    let client = stream.peer_addr()?;
    Ok((TcpStream::from_std(stream)?, client))
}

fn poll_accept(listeners: &[TcpListener], context: &mut Context<'_>) -> Poll<std::io::Result<(TcpStream, SocketAddr)>> {
    let ready = listeners.iter().map(|listener| listener.poll_accept(context)).find(Poll::is_ready);
    ready.unwrap_or(Poll::Pending)
}

/// The handshake, if it comes to a good end in time.
async fn shaken(
    tls: Arc<Tls>,
    stream: TcpStream,
    client: SocketAddr,
    serving: &Serving,
) -> Option<TlsStream<TcpStream>> {
    tokio::select! {
        shaken = tokio::time::timeout(serving.idle_timeout, tls.accept(stream)) => match shaken {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => debug!(%client, %error, "no TLS handshake"),
            Err(_) => debug!(%client, "the TLS handshake takes too long"),
        },
        // Who has asked for nothing yet is not waited for any longer.
        () = serving.drained() => {}
    }
    None
}
