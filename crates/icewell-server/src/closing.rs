//! How a connection ends that hyper has served: so that the answer arrives, and one that broke off does not look whole.
//!
//! Hyper closes a connection whose request it has not read to its end. That resets it, and the reset may overtake the
//! answer: so such a connection is read for a while, in the background, after it was told that no more is sent. And what
//! breaks off is reset, as for HTTP/1.0 only the end of the connection tells that of the body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::connection::Rewound;

/// How long a connection is read after its last answer.
const LINGER: Duration = Duration::from_secs(5);
/// How many may be at a time; the others are closed at once.
static LINGERERS: Semaphore = Semaphore::const_new(256);

/// How a connection is to end. Told by whoever serves it, obeyed when it is dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<AtomicU8>);

/// More may come than is read.
const UNREAD: u8 = 1;
/// The answer broke off.
const BROKEN: u8 = 2;

impl Ending {
    /// A request has begun; `more` if something of it comes after its head.
    pub(crate) fn request(&self, more: bool) {
        self.0.store(if more { UNREAD } else { 0 }, Ordering::Relaxed);
    }

    /// It ended so.
    pub(crate) fn failed(&self, error: &hyper::Error) {
        if error.is_user() {
            self.0.store(BROKEN, Ordering::Relaxed);
        } else if error.is_parse() {
            self.0.fetch_or(UNREAD, Ordering::Relaxed);
        }
    }
}

/// Serves a connection to its end. From when `drained` comes, what is under way is finished, and nothing else is begun.
pub(crate) async fn until_drained<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    drained: impl Future<Output = ()>,
) -> Result<(), C::Error> {
    tokio::select! {
        end = connection.as_mut() => return end,
        () = drained => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// A connection for hyper.
pub(crate) struct Closing {
    /// None once it is dropped.
    rest: Option<Rewound>,
    ending: Ending,
}

impl Closing {
    pub(crate) fn new(rest: Rewound, ending: Ending) -> Self {
        Closing { rest: Some(rest), ending }
    }

    fn rest(&mut self) -> io::Result<Pin<&mut Rewound>> {
        self.rest.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take() else { return };
        match self.ending.0.load(Ordering::Relaxed) {
            0 => {}
            UNREAD => {
                let (Ok(runtime), Ok(place)) = (Handle::try_current(), LINGERERS.try_acquire()) else { return };
                runtime.spawn(async move {
                    tokio::time::timeout(LINGER, read_out(rest)).await.ok();
                    drop(place);
                });
            }
            _ => rest.reset(),
        }
    }
}

/// Says that nothing more is sent, and reads what still comes until the client has seen that.
async fn read_out(mut rest: Rewound) {
    rest.shutdown().await.ok();
    let mut unread = [0; 16 << 10];
    while rest.read(&mut unread).await.is_ok_and(|length| length > 0) {}
}

impl AsyncRead for Closing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.rest()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Closing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.rest()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.rest()?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.rest.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.rest()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.rest()?.poll_shutdown(context)
    }
}
