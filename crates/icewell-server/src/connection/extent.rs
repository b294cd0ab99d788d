//! Long extents of files, sent by `sendfile(2)` on threads that may wait.
//!
//! The kernel hands the page cache's own pages to the socket, and nothing is copied here. On a socket that does not block,
//! each call that the socket's buffer cuts short costs the kernel a second look at the pages; on one that blocks, it goes on
//! where it was. So a client who takes what he is sent gets a thread for the time of his answer, and its socket blocks for so
//! long. Who is slow would only hold the thread, and where there are many, threads only hold each other up: those are served
//! piece by piece by the threads that all connections live on.
//!
//! What sockets hold are pages of the file then, and no copies: a file that is cut off turns the rest of its last page to
//! zeros, also where it has been sent already. So the end of what is asked for is copied, more than the sockets of a client
//! hold who does not read, and the file's size is looked at before each piece of it, the last of which is no part of an
//! extent: what such a client is given whole is right.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, sendfile};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{SendFlags, send};

use crate::body::{COPIED, Extent, LEAST_EXTENT};
use crate::daemon::blocking;

/// So many clients have a thread at a time; with more, none has.
const MOST_CLIENTS: usize = 64;
/// So many also for what is copied; with more, copying is quicker where it is done for all.
const MOST_COPYING: usize = 16;
/// The most that one call is asked to send.
const PIECE: u64 = 1 << 20;
/// How long a client may take nothing before he is slow.
const PATIENCE: Duration = Duration::from_millis(50);
/// After so long a thread tells what it has sent.
const STINT: Duration = Duration::from_millis(250);
/// So much is sent to a slow client piece by piece before he is tried again.
const SLOW_BYTES: u64 = 32 << 20;

/// The clients who are sent long extents.
#[derive(Debug, Default)]
pub(crate) struct Senders(AtomicUsize);

/// A client among them.
struct Counted(Arc<Senders>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Senders {
    fn count(self: &Arc<Self>) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    fn are_more_than(&self, most: usize) -> bool {
        self.0.load(Ordering::Relaxed) > most
    }
}

/// How the extents of one answer are sent.
pub(super) struct Sending {
    senders: Arc<Senders>,
    counted: Option<Counted>,
    /// What is to be sent otherwise before this is tried again.
    otherwise: u64,
}

/// What a thread has done.
pub(super) struct Sent {
    pub(super) bytes: u64,
    /// When the first of them had left.
    pub(super) first: Option<Instant>,
    /// Whether the client took them as fast as they came, and nothing was wrong.
    well: bool,
}

impl Sending {
    pub(super) fn new(senders: &Arc<Senders>) -> Self {
        Sending { senders: senders.clone(), counted: None, otherwise: 0 }
    }

    /// Whether an extent may be sent now, with so many bytes left of the answer.
    pub(super) fn may(&mut self, left: u64) -> bool {
        if left < COPIED + LEAST_EXTENT {
            self.counted = None;
            return false;
        }
        if self.otherwise > 0 {
            return false;
        }
        let senders = &self.senders;
        self.counted.get_or_insert_with(|| senders.count());
        !senders.are_more_than(MOST_CLIENTS)
    }

    /// So much was sent otherwise.
    pub(super) fn note(&mut self, bytes: u64) {
        self.otherwise = self.otherwise.saturating_sub(bytes);
    }

    /// Sends as much of the extent as goes without waiting for the client for long. What went wrong, if anything did, whoever
    /// sends the next byte will meet again.
    ///
    /// The socket must be used by nobody else until this is done; where it is given up before, the thread ends after the
    /// next piece.
    pub(super) async fn send(&mut self, socket: Option<OwnedFd>, extent: Extent) -> Sent {
        let mut sent = Sent { bytes: 0, first: None, well: false };
        if let Some(socket) = socket {
            let job = Job { socket, extent, senders: self.senders.clone(), given_up: Arc::default() };
            let _give_up = GiveUp(job.given_up.clone());
            sent = blocking(move || job.run()).await;
        }
        if !sent.well {
            (self.counted, self.otherwise) = (None, SLOW_BYTES);
        }
        sent
    }
}

/// Sends what is to go before an extent, so that it leaves together with it; how much of it was taken.
pub(super) fn send_before(socket: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    let flags = SendFlags::MORE | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    if bytes.is_empty() { 0 } else { send(socket, bytes, flags).unwrap_or(0) }
}

/// Tells the thread that nobody waits for it any longer.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Job {
    /// The thread's own: the connection may end before the thread does.
    socket: OwnedFd,
    extent: Extent,
    senders: Arc<Senders>,
    given_up: Arc<AtomicBool>,
}

impl Job {
    fn run(&self) -> Sent {
        let mut sent = Sent { bytes: 0, first: None, well: true };
        match blocks(self.socket.as_fd(), true).and_then(|()| Ok(self.send(&mut sent)?)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => sent.well = false,
        }
        if blocks(self.socket.as_fd(), false).is_err() {
            sent.well = false;
        }
        sent
    }

    fn send(&self, sent: &mut Sent) -> Result<(), Errno> {
        let Extent { image, start, copied_from, end } = &self.extent;
        let (file, until, mut at) = (image.reader().file(), Instant::now() + STINT, *start);
        while at < *end {
            let most = if at < *copied_from { MOST_CLIENTS } else { MOST_COPYING };
            let over = sent.first.is_some() && Instant::now() >= until;
            if over || self.senders.are_more_than(most) || self.given_up.load(Ordering::Relaxed) || image.is_corrupt() {
                return Ok(());
            }
            // The first leave early, so that it can be told when.
            let to = if at < *copied_from { *copied_from } else { *end };
            let length = (to - at).min(if sent.first.is_some() { PIECE } else { PIECE / 16 });
            let taken = if at < *copied_from {
                sendfile(&self.socket, file, Some(&mut at), usize::try_from(length).unwrap_or(0))? as u64
            } else {
                let pages = image.pages().filter(|_| file.metadata().is_ok_and(|file| file.len() >= at + length));
                // Past the end of a file that was cut off, its last page reads as zeros.
                let bytes = pages.ok_or(Errno::AGAIN)?.slice(at..at + length);
                let taken = send(&self.socket, &bytes, SendFlags::NOSIGNAL)? as u64;
                at += taken;
                taken
            };
            sent.bytes += taken;
            sent.first.get_or_insert_with(Instant::now);
            if taken < length {
                // The client is slow, or the file cut off.
                return Err(Errno::AGAIN);
            }
        }
        Ok(())
    }
}

/// Whether calls on this socket wait, for no longer than a client who is not slow makes them.
fn blocks(socket: BorrowedFd<'_>, yes: bool) -> io::Result<()> {
    if yes {
        set_socket_timeout(socket, Timeout::Send, Some(PATIENCE))?;
    }
    let flags = fcntl_getfl(socket)?;
    fcntl_setfl(socket, if yes { flags - OFlags::NONBLOCK } else { flags | OFlags::NONBLOCK })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use icewell::{Announced, Cache, ImageId};

    use super::*;
    use crate::open_images::{OpenImage, OpenImages};

    /// More than all buffers between two sockets hold.
    const LONG: u64 = 64 << 20;

    struct Cached {
        dir: tempfile::TempDir,
        id: ImageId,
        images: OpenImages,
        image: Arc<OpenImage>,
    }

    fn cached() -> Cached {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let (id, images) = (ImageId::new("image").unwrap(), OpenImages::default());
        let mut writer = cache.write(&id).unwrap();
        writer.start(Announced::default()).unwrap();
        writer.write(b"begins").unwrap();
        writer.write(&vec![0; LONG as usize - 6]).unwrap();
        writer.verify().unwrap();
        writer.commit().unwrap();
        let image = images.open(&cache, &id).unwrap();
        Cached { dir, id, images, image }
    }

    fn pair() -> (OwnedFd, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        server.set_nonblocking(true).unwrap();
        (server.into(), client)
    }

    fn job(socket: &OwnedFd, cached: &Cached, end: u64) -> Job {
        let extent = Extent { image: cached.image.clone(), start: 2, copied_from: end, end };
        Job { socket: socket.try_clone().unwrap(), extent, senders: Arc::default(), given_up: Arc::default() }
    }

    fn does_not_block(socket: &OwnedFd) -> bool {
        fcntl_getfl(socket).unwrap().contains(OFlags::NONBLOCK)
    }

    #[test]
    fn a_client_that_takes_what_he_is_sent_gets_all_of_it() {
        let ((socket, mut client), cached) = (pair(), cached());
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            client.read_to_end(&mut all).unwrap();
            all
        });
        let (mut bytes, mut job) = (0, job(&socket, &cached, LONG - 1));
        while bytes < LONG - 3 {
            let sent = job.run();
            assert!(sent.first.is_some() && does_not_block(&socket));
            bytes += sent.bytes;
            job.extent.start += sent.bytes;
        }
        drop((job, socket));
        let all = reader.join().unwrap();
        assert_eq!((all.len() as u64, &all[..5]), (LONG - 3, &b"gins\0"[..]));
    }

    #[test]
    fn a_client_that_takes_nothing_gets_the_thread_for_no_longer_than_that() {
        let ((socket, _client), cached) = (pair(), cached());
        let sent = job(&socket, &cached, LONG).run();
        assert!(!sent.well && sent.bytes > 0 && sent.bytes < LONG && does_not_block(&socket));
    }

    #[test]
    fn a_client_that_is_gone_and_a_file_cut_off_end_it() {
        let ((socket, client), cached) = (pair(), cached());
        drop(client);
        assert!(!job(&socket, &cached, LONG).run().well);
        let (socket, _client) = pair();
        File::options().write(true).open(cached.dir.path().join("image")).unwrap().set_len(100).unwrap();
        let sent = job(&socket, &cached, LONG).run();
        assert_eq!((sent.bytes, sent.well), (98, false));
    }

    #[test]
    fn nothing_is_sent_for_nobody_of_what_is_wrong_or_among_many() {
        let ((socket, _client), cached) = (pair(), cached());
        let given_up = job(&socket, &cached, LONG);
        given_up.given_up.store(true, Ordering::Relaxed);
        let crowded = job(&socket, &cached, LONG);
        crowded.senders.0.store(MOST_CLIENTS + 1, Ordering::Relaxed);
        assert_eq!((given_up.run().bytes, crowded.run().bytes), (0, 0));
        cached.images.condemn(&cached.id);
        assert_eq!(job(&socket, &cached, LONG).run().bytes, 0);
    }

    #[test]
    fn what_is_to_be_copied_is_sent_as_well_and_not_past_the_end_of_the_file() {
        let ((socket, mut client), cached) = (pair(), cached());
        let mut job = job(&socket, &cached, LONG);
        (job.extent.start, job.extent.copied_from) = (LONG - 300_000, LONG - 200_000);
        let sent = job.run();
        assert_eq!((sent.bytes, sent.well), (300_000, true));
        job.extent.start = LONG - 100;
        File::options().write(true).open(cached.dir.path().join("image")).unwrap().set_len(LONG - 1).unwrap();
        assert_eq!((job.run().bytes, job.run().well), (0, false));
        drop((job, socket));
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 300_000);
    }

    #[test]
    fn clients_are_counted_as_long_as_they_are_sent_something() {
        let senders = Arc::<Senders>::default();
        let mut all: Vec<Sending> = (0..=MOST_CLIENTS).map(|_| Sending::new(&senders)).collect();
        assert!(all[..MOST_CLIENTS].iter_mut().all(|one| one.may(LONG)));
        assert!(!all[MOST_CLIENTS].may(LONG) && !all[0].may(LONG), "they are many");
        assert!(!all[MOST_CLIENTS].may(COPIED) && all[0].may(LONG), "one has nearly all");
        (all[0].counted, all[0].otherwise) = (None, 10);
        all[0].note(9);
        assert!(!all[0].may(LONG));
        all[0].note(1);
        assert!(all[0].may(LONG));
        drop(all);
        assert_eq!(senders.0.load(Ordering::Relaxed), 0);
    }
}
