//! Fills under way in this daemon: one for each image, however many clients wait for it.
//!
//! A [`Fill`] is what its followers see; the [`filler`](crate::filler) moves it on. Followers look at its [`Progress`] and
//! read the growing file themselves, each at its own pace and from its own start, so that none can hold up another.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use icewell::{Holes, ImageId, Reader};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::daemon::blocking;
use crate::image_head::ImageHead;
use crate::in_flight::InFlight;
use crate::key::Key;
use crate::origin::{Answer, AnswerBody};
use crate::pace::Pace;
use crate::pages::Pages;
use crate::tally::Waiting;
use crate::traces::Context;

/// The last bytes are held back until the whole image is verified, so that nobody who gets them all got wrong ones.
const HELD_BACK: u64 = 4096;
/// How many clients of one fill may ask the origin for what lies far ahead at a time. More would be a herd.
const ASKS_AHEAD: usize = 16;

/// How far a fill has come.
#[derive(Clone, Debug)]
pub(crate) enum Progress {
    /// The origin has not answered yet.
    Asking,
    /// Its bytes come.
    Filling {
        image: Arc<Growing>,
        /// How many bytes of the file may be read.
        written: u64,
    },
    /// All bytes are there and verified: a hit, even before the image has its name.
    Whole { image: Arc<Growing>, size: u64 },
    /// There is nothing to follow any more.
    Ended(End),
}

/// An image whose file grows.
#[derive(Debug)]
pub(crate) struct Growing {
    pub(crate) head: ImageHead,
    pub(crate) file: Arc<File>,
    /// Its pages, of those that are there and those to come; none where nobody knows how many there will be.
    pub(crate) pages: Option<Arc<Pages>>,
    /// What its writer leaves out; nothing is known of that of another process.
    pub(crate) holes: Option<Arc<Holes>>,
    /// Whether this fill replaces an image whose origin had changed.
    pub(crate) refetched: bool,
    /// Whether another process fills it, and this one only follows.
    pub(crate) theirs: bool,
    /// Who asks the origin for what lies far ahead holds one of these. Closed where the origin gives no part.
    pub(crate) ahead: Arc<Semaphore>,
}

/// Why a fill ended without an image to follow.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The image is cached: look there. Told with how the cached copy came to be good.
    Cached(Good),
    /// It cannot be cached, for this reason: everybody asks for himself. The first may have the answer that is there.
    Uncached { why: &'static str, answer: Arc<Mutex<Option<Answer>>> },
    /// The origin answered something that is not the image; everybody gets it.
    Refused(Arc<Refusal>),
    /// The origin did not answer, whoever asks.
    Unanswered { status: StatusCode, reason: Arc<str> },
    /// It broke off: the origin did, or sent wrong bytes.
    Broken { how: Break, status: StatusCode, reason: Arc<str> },
    /// It broke off because the bytes could not be kept; the origin is not to blame, and has the rest.
    NotKept(Option<Arc<Rest>>),
}

/// How a fill broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// The origin did, and did not go on; or the daemon stops.
    Off,
    /// The bytes are not those that the origin had announced.
    Wrong,
    /// The image was deleted meanwhile: nobody's failure.
    Deleted,
}

/// What was on its way when an image could not be kept any longer. It goes on to the first follower who comes to it;
/// the others ask the origin for themselves.
pub(crate) struct Rest {
    /// The bytes before this offset are in the file.
    pub(crate) at: u64,
    body: Mutex<Option<AnswerBody>>,
}

impl Rest {
    pub(crate) fn new(at: u64, unwritten: Vec<Bytes>, body: AnswerBody) -> Self {
        let body: AnswerBody = Box::pin(stream::iter(unwritten.into_iter().map(Ok)).chain(body));
        Rest { at, body: Mutex::new(Some(body)) }
    }

    /// The bytes from `offset` on, if that is where they begin and nobody else has them.
    pub(crate) fn take(&self, offset: u64) -> Option<AnswerBody> {
        if offset == self.at { lock(&self.body).take() } else { None }
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What is to become of an image on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    /// It is to be cached.
    Kept,
    /// It was dropped: its followers may have it, the cache not.
    NotKept,
    /// It was deleted: nobody may have it any more.
    Gone,
}

/// How a cached image came to be good to send without a further question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    /// It was stored, here or elsewhere, just now.
    Stored,
    /// It was stored just now by somebody who does not speak for the origin: it is looked at like any other.
    ByHand,
    /// The origin said that it has not changed.
    Validated,
    /// The origin could not be asked, and stale images may be sent.
    Stale,
}

/// An answer of the origin that is not the image, small enough to keep for all who wait.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One image on its way into the cache.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) key: Key,
    progress: watch::Sender<Progress>,
    wanted: watch::Sender<Wanted>,
    /// Hits of followers. They are counted on the image, and so have to wait until there is one.
    hits: Waiting<Reader>,
    /// When it began.
    pub(crate) since: SystemTime,
    pub(crate) begun: Instant,
    /// Followers that are no clients, and stay to its end.
    no_clients: AtomicUsize,
    /// Whether its image was committed, whatever has become of that since.
    stored: AtomicBool,
    pace: Mutex<Pace>,
    /// Where in which trace it is, if it is traced.
    pub(crate) trace: OnceLock<Context>,
}

impl Growing {
    pub(crate) fn new(head: ImageHead, file: Arc<File>) -> Self {
        let pages = head.size.and_then(|size| Pages::map(&file, size)).map(Arc::new);
        let ahead = Arc::new(Semaphore::new(ASKS_AHEAD));
        Growing { head, file, pages, holes: None, refetched: false, theirs: false, ahead }
    }

    /// Makes sure that the file system has lost nothing of this part of what was written. What is lost stays so: whoever has
    /// read the part before this look at it has read it as it was written. Blocks.
    ///
    /// # Errors
    ///
    /// It has, or nobody knows.
    pub(crate) fn still_has(&self, part: Range<u64>) -> io::Result<()> {
        match &self.holes {
            Some(holes) if holes.bytes_are_lost(&self.file, part)? => {
                Err(io::Error::other("the file system has lost bytes of the image"))
            }
            _ => Ok(()),
        }
    }
}

impl Fill {
    pub(crate) fn new(key: Key) -> Arc<Self> {
        Arc::new(Fill {
            key,
            progress: watch::Sender::new(Progress::Asking),
            wanted: watch::Sender::new(Wanted::Kept),
            hits: Waiting::default(),
            since: SystemTime::now(),
            begun: Instant::now(),
            no_clients: AtomicUsize::new(0),
            stored: AtomicBool::new(false),
            pace: Mutex::new(Pace::new(Instant::now())),
            trace: OnceLock::new(),
        })
    }

    /// Follows it to its end for the daemon itself.
    pub(crate) fn follow_for_nobody(&self) -> watch::Receiver<Progress> {
        self.no_clients.fetch_add(1, Ordering::Relaxed);
        self.follow()
    }

    /// How many clients wait for its bytes.
    pub(crate) fn clients(&self) -> usize {
        self.progress.receiver_count().saturating_sub(self.no_clients.load(Ordering::Relaxed))
    }

    /// Bytes a second, lately.
    pub(crate) fn rate(&self) -> f64 {
        lock(&self.pace).rate(Instant::now())
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Stops the fill: its image was deleted. Who follows it gets no more of it.
    pub(crate) fn cancel(&self) {
        self.wanted.send_replace(Wanted::Gone);
    }

    /// Stops the fill: nobody wants the image kept. Who follows it goes on with the origin.
    pub(crate) fn do_not_keep(&self) {
        self.wanted
            .send_if_modified(|wanted| std::mem::replace(wanted, (*wanted).max(Wanted::NotKept)) == Wanted::Kept);
    }

    pub(crate) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(crate) fn set(&self, progress: Progress) {
        if let Progress::Filling { written, .. } = &progress {
            lock(&self.pace).reached(*written, Instant::now());
        }
        self.progress.send_replace(progress);
    }

    /// Moves `Filling` on to this many bytes.
    pub(crate) fn advance(&self, now_written: u64) {
        self.progress.send_if_modified(|progress| match progress {
            Progress::Filling { written, .. } if *written < now_written => {
                *written = now_written;
                true
            }
            _ => false,
        });
        lock(&self.pace).reached(now_written, Instant::now());
    }

    /// Counts a hit of a follower, as soon as the image is committed.
    pub(crate) async fn count_hit(&self) {
        if let Some(reader) = self.hits.hit() {
            blocking(move || count(&reader, 1)).await;
        }
    }

    /// The image was committed.
    pub(crate) fn set_stored(&self) {
        self.stored.store(true, Ordering::Release);
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.stored.load(Ordering::Acquire)
    }

    /// The image has its name: counts the hits that waited. May block.
    pub(crate) fn committed(&self, reader: Reader) {
        let reader = Arc::new(reader);
        let waiting = self.hits.ready(reader.clone());
        if waiting > 0 {
            count(&reader, waiting);
        }
    }
}

/// Counts hits of a cached image; that this fails is no reason to fail the response that was sent. May block.
pub(crate) fn count(reader: &Reader, hits: u64) {
    let counted = if hits > 0 { reader.count_hits(hits) } else { reader.touch() };
    if let Err(error) = counted {
        warn!(image_id = %reader.image().id, %error, "a hit cannot be counted");
    }
}

impl Progress {
    /// How many bytes may be given out.
    pub(crate) fn visible(&self) -> u64 {
        match self {
            Progress::Filling { image, written } => match image.head.size {
                Some(size) => (*written).min(size.saturating_sub(HELD_BACK)),
                None => written.saturating_sub(HELD_BACK),
            },
            Progress::Whole { size, .. } => *size,
            Progress::Ended(End::NotKept(Some(rest))) => rest.at,
            Progress::Asking | Progress::Ended(_) => 0,
        }
    }

    /// The image's size, where it is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Progress::Filling { image, .. } => image.head.size,
            Progress::Whole { size, .. } => Some(*size),
            Progress::Asking | Progress::Ended(_) => None,
        }
    }
}

/// The fills under way, by image.
#[derive(Debug, Default)]
pub(crate) struct Fills(InFlight<ImageId, Fill>);

impl Fills {
    pub(crate) fn get(&self, id: &ImageId) -> Option<Arc<Fill>> {
        self.0.get(id)
    }

    /// The fill of this image, and whether it is new and the caller's to run.
    pub(crate) fn join_or_create(&self, key: &Key) -> (Arc<Fill>, bool) {
        self.0.join_or_begin(key.id.clone(), || Fill::new(key.clone()))
    }

    pub(crate) fn remove(&self, fill: &Arc<Fill>) {
        self.0.remove(fill.key.id.clone(), fill);
    }

    /// All of them, those that began first first.
    pub(crate) fn all(&self) -> Vec<Arc<Fill>> {
        let mut all: Vec<_> = self.0.all();
        all.sort_by(|a, b| (a.since, &a.key.id).cmp(&(b.since, &b.key.id)));
        all
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
