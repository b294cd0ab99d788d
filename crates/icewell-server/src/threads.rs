//! The threads that clients' connections live on: as many as there are cores, each with a runtime of its own.
//!
//! A request is answered on the thread that its connection wakes, and no other has to be woken for it, as that would cost
//! more than a small image. What goes on without a client, fills above all, runs elsewhere.

use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::warn;

use crate::error::Error;

/// The threads. They end when this is dropped, and with them the connections that are left.
pub(crate) struct Threads(Vec<Thread>);

struct Thread {
    runtime: Handle,
    /// Each connection holds one more.
    connections: Arc<()>,
    _ends: oneshot::Sender<()>,
}

impl Threads {
    /// Starts them.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no descriptor for what wakes it.
    pub(crate) fn start() -> Result<Self, Error> {
        let number = thread::available_parallelism().map_or(1, usize::from);
        let failed = |error| Error::new("cannot start a thread for connections").with_source(error);
        let threads = (0..number).map(|_| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, (ends, end)) = (runtime.handle().clone(), oneshot::channel());
            thread::Builder::new().name("connections".into()).spawn(move || {
                runtime.block_on(end).ok();
                runtime.shutdown_background();
            })?;
            Ok(Thread { runtime: handle, connections: Arc::new(()), _ends: ends })
        });
        threads.collect::<Result<_, std::io::Error>>().map(Threads).map_err(failed)
    }

    /// Where a task runs on each of them.
    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.0.iter().map(|thread| thread.runtime.clone()).collect()
    }

    /// Serves a connection on the thread that has the fewest.
    pub(crate) fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let Some(thread) = self.0.iter().min_by_key(|thread| Arc::strong_count(&thread.connections)) else { return };
        let connection = thread.connections.clone();
        // A socket is woken by the runtime that it is registered with.
        let moved = stream.into_std();
        thread.runtime.spawn(async move {
            match moved.and_then(|stream: StdTcpStream| TcpStream::from_std(stream)) {
                Ok(stream) => serve(stream).await,
                Err(error) => warn!(%error, "a connection cannot be served"),
            }
            drop(connection);
        });
    }
}
