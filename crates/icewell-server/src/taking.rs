//! Whether a client of HTTP/2 takes anything of what it is sent.
//!
//! The window of a stream is a matter of the protocol (RFC 9113 §5.2), of which the kernel knows nothing: who keeps it shut
//! acknowledges all that comes, and is never given up by `TCP_USER_TIMEOUT`. Nor do the libraries ask for more of an answer
//! then, or tell how much they hold. So two things are looked at from outside: whether answers wait to be asked for more,
//! and whether anything to speak of leaves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Less than this is talk about the connection, such as the answers to pings, and no part of an image.
const TO_SPEAK_OF: u64 = 1 << 10;

/// What is known of a connection.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    /// Answers that have more to send and are not asked for it.
    waiting: AtomicUsize,
    /// How often answers were asked for more.
    asked: AtomicU64,
    /// The bytes that have left.
    sent: AtomicU64,
}

impl Taking {
    /// Comes back when for at least this long an answer had more to send, none was asked for any, and nothing to speak of
    /// has left. Never for no time.
    pub(crate) async fn ends(&self, timeout: Duration) {
        if timeout.is_zero() {
            return std::future::pending().await;
        }
        let look = || {
            let [asked, sent] = [&self.asked, &self.sent].map(|count| count.load(Ordering::Relaxed));
            (self.waiting.load(Ordering::Relaxed) > 0, asked, sent)
        };
        let mut before = look();
        loop {
            tokio::time::sleep(timeout).await;
            let now = look();
            if before.0 && now.0 && now.1 == before.1 && now.2 - before.2 < TO_SPEAK_OF {
                return;
            }
            before = now;
        }
    }
}

/// The body of an answer on such a connection.
pub(crate) struct Taken<B> {
    body: B,
    taking: Arc<Taking>,
    is_waiting: bool,
}

impl<B> Taken<B> {
    pub(crate) fn new(body: B, taking: Arc<Taking>) -> Self {
        taking.waiting.fetch_add(1, Ordering::Relaxed);
        Taken { body, taking, is_waiting: true }
    }

    fn waits(&mut self, waits: bool) {
        match (self.is_waiting, waits) {
            (false, true) => _ = self.taking.waiting.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.taking.waiting.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        self.is_waiting = waits;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.taking.asked.fetch_add(1, Ordering::Relaxed);
        let polled = Pin::new(&mut self.body).poll_frame(context);
        // Where the answer itself is waited for, the client is not to blame.
        let waits = matches!(polled, Poll::Ready(Some(Ok(_))));
        self.waits(waits);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Taken<B> {
    fn drop(&mut self) {
        self.waits(false);
    }
}

/// The connection, with what leaves counted.
pub(crate) struct Counted<W> {
    wire: W,
    taking: Arc<Taking>,
}

impl<W> Counted<W> {
    pub(crate) fn new(wire: W, taking: Arc<Taking>) -> Self {
        Counted { wire, taking }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &written {
            self.taking.sent.fetch_add(*written as u64, Ordering::Relaxed);
        }
        written
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Counted<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.wire).poll_write_vectored(context, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
