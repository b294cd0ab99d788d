//! A client's connection, as long as its requests are plain: a `GET` or `HEAD` without a body, in HTTP/1.1 or 1.0.
//!
//! 1. The next head is waited for, in nobody's memory: a connection that rests has no buffer.
//! 2. What is more than a plain request, or none at all, goes to [hyper](crate::server) with the connection and whatever
//!    follows: bodies, uploads, errors in a head.
//! 3. The request is answered as over any other way ([`route`]).
//! 4. The answer's head and its first bytes leave by one call to the system, then the rest, piece by piece, each as soon as
//!    the one before it has left. What was handed to the system is what counts as sent.
//! 5. The connection is kept, or closed so that the answer is not lost.
//!
//! Why this is here beside hyper: it knows what has left, holds nothing for who waits, and makes fewer calls and copies.

mod extent;
mod reply;
pub(crate) mod request;
mod wire;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::{Method, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::Sleep;

pub(crate) use self::extent::Senders;
use self::reply::Framing;
use self::request::Next;
pub(crate) use self::wire::{Rewound, Wire};
use crate::body::{Body, Extent, Piece};
use crate::daemon::Daemon;
use crate::request_log::{self, Ending};
use crate::route::{self, Client};

/// The most bytes of a request's head that are looked at here; what is more, hyper refuses.
const MAX_HEAD: usize = 64 << 10;
/// After so many bytes at a stretch, others have their turn.
const TURN: usize = 1 << 20;
/// How long a client that has asked for nothing yet, or has its last answer, may still ask when the daemon is about to stop: its
/// request may be on its way. Whoever asks in that time is answered, and told that the connection ends.
const GRACE: Duration = Duration::from_secs(1);
/// How long, and how many bytes, what a client still sends is taken from it and thrown away, so that it gets to see the
/// answer: closing on unread bytes would reset the connection and take the answer back (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;

/// What a connection is served with.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) daemon: Arc<Daemon>,
    /// How long a head may take from its connection's last answer on.
    pub(crate) idle_timeout: Duration,
    /// True when fills are to be broken off.
    pub(crate) fills_stop: watch::Receiver<bool>,
    /// True when the daemon is about to stop: what runs is finished, what rests is closed.
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) senders: Arc<Senders>,
}

impl Serving {
    /// Comes when the daemon is about to stop and nobody is waited for any longer who has asked for nothing: the grace is over,
    /// which begins now for who comes after that.
    pub(crate) fn drained(&self) -> impl Future<Output = ()> + use<> {
        let mut draining = self.draining.clone();
        async move {
            draining.wait_for(|draining| *draining).await.ok();
            tokio::time::sleep(GRACE).await;
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// Serves a connection until it ends, or until hyper has to go on with it.
pub(crate) async fn serve(wire: Wire, client: Client, serving: &Serving) -> Option<Rewound> {
    let deadline = Box::pin(tokio::time::sleep(serving.idle_timeout));
    let mut connection = Connection { wire, buffer: BytesMut::new(), deadline, idle_timeout: serving.idle_timeout };
    let mut drained = std::pin::pin!(serving.drained());
    let mut out = BytesMut::new();
    loop {
        // 1., 2.
        let head = match connection.next_head(drained.as_mut()).await {
            Next::Plain(head) => head,
            Next::Other => return Some(connection.rewound()),
            Next::End => return None,
        };
        // 3.
        let started = Instant::now();
        let mut parts = head.parts;
        let waiting = request_log::asked(&serving.daemon, client.address, started, &parts);
        let answer = route::answer(&serving.daemon, client, &mut parts, None, &serving.fills_stop);
        let answered = connection.attend(answer).await.ok()?;
        let (response, mut ending) = waiting.answered(answered);
        // 4.
        // The only option of a connection that an answer may come with is `close`.
        let closes = response.headers().contains_key(CONNECTION);
        let keep = head.keep && !closes && !serving.is_draining();
        let bodiless = parts.method == Method::HEAD;
        let how = Sent { old: head.old, keep, bodiless };
        match connection.send(&mut out, response, how, &serving.senders, &mut ending).await {
            Ok(true) => {}
            // 5.
            Ok(false) => {
                drop(ending);
                connection.close().await;
                return None;
            }
            Err(broken) => {
                tracing::debug!(client = %client.address, error = %broken, "the connection broke off");
                if head.old {
                    // To him, the end of the connection may be all that ends a body.
                    connection.wire.reset();
                }
                return None;
            }
        }
    }
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// To a client of HTTP/1.0.
    old: bool,
    /// Whether the connection may stay.
    keep: bool,
    /// Without its body.
    bodiless: bool,
}

struct Connection {
    wire: Wire,
    /// What has come of the next requests.
    buffer: BytesMut,
    /// Kept for all waits, as setting it later costs nothing.
    deadline: Pin<Box<Sleep>>,
    idle_timeout: Duration,
}

impl Connection {
    /// Waits for a request.
    async fn next_head(&mut self, mut drained: Pin<&mut impl Future<Output = ()>>) -> Next {
        let mut whole = request::parse(&mut self.buffer);
        if whole.is_none() {
            self.set_deadline();
        }
        loop {
            match whole {
                Some(next) => return next,
                None if self.buffer.len() > MAX_HEAD => return Next::Other,
                None => {}
            }
            let resting = self.buffer.is_empty();
            let read = poll_fn(|context| {
                if let Poll::Ready(read) = self.wire.poll_read_into(context, &mut self.buffer) {
                    return Poll::Ready(read.ok());
                }
                // Who has asked for nothing is not waited for any longer at the end.
                if resting && drained.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                self.deadline.as_mut().poll(context).map(|()| None)
            });
            match read.await {
                Some(1..) => whole = request::parse(&mut self.buffer),
                Some(0) | None => return Next::End,
            }
        }
    }

    /// Sends an answer; whether the connection is as good as before.
    ///
    /// # Errors
    ///
    /// The client is gone or takes nothing, or the body broke off: what was sent must not look whole.
    async fn send(
        &mut self,
        out: &mut BytesMut,
        response: Response<Body>,
        how: Sent,
        senders: &Arc<Senders>,
        ending: &mut Ending,
    ) -> io::Result<bool> {
        let (mut parts, mut body) = response.into_parts();
        let bodiless = how.bodiless || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = reply::framing(&mut parts, &body, bodiless, how.old);
        let keep = how.keep && !matches!(framing, Framing::UntilClose);
        out.clear();
        reply::write_head(out, &parts, &framing, keep, how.old);
        if bodiless {
            self.write([out, &[], &[]], &mut |_| ()).await?;
            ending.ended();
            return Ok(keep);
        }
        let mut left = if let Framing::Length(length) = framing { length } else { u64::MAX };
        let mut turn = 0;
        let mut extents = extent::Sending::new(senders);
        while left > 0 {
            let plain = matches!(framing, Framing::Length(_)) && self.wire.plain().is_some();
            let extents_too = plain && extents.may(left);
            let chunk = match self.next_piece(&mut body, extents_too, out).await? {
                None => break,
                Some(Piece::Bytes(chunk)) => chunk_within(chunk, left)?,
                Some(Piece::Extent(extent)) => {
                    let sent = self.send_extent(&mut extents, extent, out).await?;
                    ending.sent_at(sent.bytes, sent.first);
                    body.skip(sent.bytes);
                    left = left.saturating_sub(sent.bytes);
                    continue;
                }
            };
            if chunk.is_empty() {
                // An empty chunk would be the end.
                continue;
            }
            left -= chunk.len() as u64;
            let before = out.len() + reply::begin_chunk(out, &framing, chunk.len());
            let mut written = 0;
            let after: &[u8] = if matches!(framing, Framing::Chunked) { b"\r\n" } else { b"" };
            let mut counted = |bytes: usize| {
                let of_body = |written: usize| written.saturating_sub(before).min(chunk.len());
                ending.sent((of_body(written + bytes) - of_body(written)) as u64);
                written += bytes;
            };
            self.write([&out[..], &chunk, after], &mut counted).await?;
            out.clear();
            extents.note(chunk.len() as u64);
            turn += chunk.len();
            if turn >= TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
        match framing {
            Framing::Length(_) if left > 0 => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is shorter than announced"));
            }
            Framing::Length(_) | Framing::UntilClose => self.write([out, &[], &[]], &mut |_| ()).await?,
            Framing::Chunked => self.write([out, b"0\r\n\r\n", &[]], &mut |_| ()).await?,
        }
        ending.ended();
        Ok(keep)
    }

    /// Sends what it may of an extent, and what is to go before it.
    async fn send_extent(
        &mut self,
        extents: &mut extent::Sending,
        extent: Extent,
        before: &mut BytesMut,
    ) -> io::Result<extent::Sent> {
        let socket = self.wire.plain().ok_or(io::ErrorKind::Unsupported)?;
        let taken = extent::send_before(socket, before);
        // Out of descriptors, it goes on as to a slow client.
        let socket = socket.try_clone_to_owned().ok();
        self.write([&before[taken..], &[], &[]], &mut |_| ()).await?;
        before.clear();
        Ok(extents.send(socket, extent).await)
    }

    /// What comes next of the body. Where it has to be waited for, the head of the answer does not wait with it.
    async fn next_piece(
        &mut self,
        body: &mut Body,
        extents_too: bool,
        out: &mut BytesMut,
    ) -> io::Result<Option<Piece>> {
        let mut next = std::pin::pin!(body.next(extents_too));
        if let Poll::Ready(next) = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
            return next;
        }
        if !out.is_empty() {
            self.write([out, &[], &[]], &mut |_| ()).await?;
            out.clear();
        }
        self.attend(next).await?
    }

    /// Waits for something on behalf of the client, for as long as there is one.
    ///
    /// # Errors
    ///
    /// The client is gone. Who has only closed its side is taken to be gone, as it is by hyper.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut work = std::pin::pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            // What comes meanwhile are further requests, up to a limit.
            while self.buffer.len() < MAX_HEAD {
                if std::task::ready!(self.wire.poll_read_into(context, &mut self.buffer))? == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Writes all of these, in order, by as few calls as they take; tells of each progress.
    async fn write(&mut self, parts: [&[u8]; 3], progress: &mut impl FnMut(usize)) -> io::Result<()> {
        let mut slices = parts.map(IoSlice::new);
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            // A client that takes nothing is given up by the kernel: `socket`.
            let written = poll_fn(|context| self.wire.poll_write(context, slices)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            progress(written);
            IoSlice::advance_slices(&mut slices, written);
        }
        poll_fn(|context| self.wire.poll_flush(context)).await
    }

    fn set_deadline(&mut self) {
        self.deadline.as_mut().reset(tokio::time::Instant::now() + self.idle_timeout);
    }

    fn rewound(self) -> Rewound {
        Rewound::new(self.buffer.freeze(), self.wire)
    }

    /// Closes the connection after a whole answer.
    async fn close(mut self) {
        if poll_fn(|context| self.wire.poll_shutdown(context)).await.is_err() {
            return;
        }
        self.deadline.as_mut().reset(tokio::time::Instant::now() + LINGER);
        let mut taken = 0;
        while taken < LINGER_BYTES {
            self.buffer.clear();
            let read = poll_fn(|context| match self.wire.poll_read_into(context, &mut self.buffer) {
                Poll::Ready(read) => Poll::Ready(read.ok()),
                Poll::Pending => self.deadline.as_mut().poll(context).map(|()| None),
            });
            match read.await {
                Some(read @ 1..) => taken += read,
                Some(0) | None => return,
            }
        }
    }
}

/// A piece of a body, which must not be longer than what was announced.
fn chunk_within(chunk: Bytes, left: u64) -> io::Result<Bytes> {
    if chunk.len() as u64 > left {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the body is longer than announced"));
    }
    Ok(chunk)
}
