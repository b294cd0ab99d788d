//! TCP to an origin, with patience in writing: what the origin said before it hung up is read first, and an origin that
//! reads no more is given up.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tcp: HttpConnector,
    /// For connecting, and for each write.
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        // TLS is done by who asks.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        Connector { tcp, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Patient>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, timeout) = (self.tcp.call(uri), self.timeout);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(Patient { stream, timeout, stuck: None, hung_up: HungUp::No }))
        })
    }
}

/// A connection to an origin.
pub(super) struct Patient {
    stream: TcpStream,
    timeout: Duration,
    /// Until when a write that has begun may wait.
    stuck: Option<Pin<Box<Sleep>>>,
    hung_up: HungUp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HungUp {
    No,
    /// A write has failed. There may be an answer still to be read: who refuses an upload answers and hangs up, and the
    /// client that writes on would lose the answer over the failure.
    Unread,
    /// There is nothing more to be read.
    Read,
}

impl Patient {
    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.hung_up == HungUp::No {
            match write(Pin::new(&mut self.stream), context) {
                Poll::Pending => {}
                Poll::Ready(Err(error)) if is_hang_up(&error) => {
                    self.hung_up = HungUp::Unread;
                    // So that it is read, should nobody have been waiting for that.
                    context.waker().wake_by_ref();
                }
                Poll::Ready(written) => {
                    self.stuck = None;
                    return Poll::Ready(written);
                }
            }
        }
        if self.hung_up == HungUp::Read {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let timeout = self.timeout;
        ready!(self.stuck.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if self.hung_up == HungUp::Unread && (read.is_err() || buffer.filled().len() == before) {
            self.hung_up = HungUp::Read;
        }
        Poll::Ready(read)
    }
}

impl Connection for Patient {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}
