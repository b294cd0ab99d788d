//! Cached images that are open because they are asked for often, and their hits that are not on disk yet.
//!
//! The directory stays the only truth: each hit looks at the name (one call to the system), and an image whose file or
//! tags have changed since it was opened is opened anew. Hits and times of use are gathered and written down some times a
//! second: a kill loses those of the last [`KEEP_EVERY`] at most.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderMap;
use icewell::{Cache, ImageId, Reader};
use tokio::sync::watch;
use tracing::warn;

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::fill::Growing;
use crate::freshness::State;
use crate::image_head::ImageHead;
use crate::pages::Pages;
use crate::tally::{Reads, Unwritten};

/// How often hits are written down, and unused pages let go.
const KEEP_EVERY: Duration = Duration::from_millis(100);
/// How long somebody else may have an image locked before its hits wait for the next time.
const LOCK_PATIENCE: Duration = Duration::from_millis(20);
/// How often an open image is compared with its name: a deleted one holds its space no longer than this.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long an image that nobody asks for stays open.
const IDLE: Duration = Duration::from_secs(10);
/// How many images are open at most.
const MOST: usize = 1024;
/// Up to this many bytes an image is kept in memory while it is open.
const SMALL: usize = 16 << 10;
/// How often unused pages are let go while something is being sent.
const LET_GO_EVERY: Duration = Duration::from_millis(20);
/// Below this many bytes a second, pages are not worth the room they take in this process' tables.
const BUSY_BYTES_PER_SECOND: u64 = 256 << 20;

/// The images that are open.
#[derive(Debug, Default)]
pub(crate) struct OpenImages {
    images: RwLock<HashMap<ImageId, Arc<OpenImage>>>,
    /// Those that were read since hits were last written down.
    read: Unwritten<OpenImage>,
    /// The pages of images that grow, as long as somebody reads them.
    growing: Mutex<Vec<Weak<Pages>>>,
}

/// A cached image, open.
#[derive(Debug)]
pub(crate) struct OpenImage {
    reader: Reader,
    head: ImageHead,
    /// All its bytes, if they are few.
    small: Option<Bytes>,
    pages: OnceLock<Option<Arc<Pages>>>,
    /// Whether its bytes were found to be wrong; shared by all who have opened the same bytes.
    corrupt: Arc<AtomicBool>,
    /// What is told of it in this second.
    moment: Mutex<Option<Arc<Moment>>>,
    reads: Reads,
    /// Whether it was being sent at the last look.
    sent: AtomicBool,
    opened: Instant,
    /// When it was last asked for, in milliseconds since it was opened.
    used: AtomicU64,
}

/// What depends on the time, for the length of one second: HTTP knows no shorter time.
#[derive(Debug)]
pub(crate) struct Moment {
    second: u64,
    pub(crate) state: State,
    pub(crate) fields: HeaderMap,
}

impl OpenImages {
    /// The image, if it is open and still the cached one.
    pub(crate) fn find(&self, cache: &Cache, id: &ImageId) -> Option<Arc<OpenImage>> {
        let image = self.images.read().unwrap_or_else(PoisonError::into_inner).get(id)?.clone();
        (cache.stamp(id).ok()? == Some(image.reader.stamp())).then(|| {
            image.used.store(image.opened.elapsed().as_millis() as u64, Ordering::Relaxed);
            image
        })
    }

    /// Opens the image. Blocks.
    ///
    /// # Errors
    ///
    /// The library's; above all that the image is not cached.
    pub(crate) fn open(&self, cache: &Cache, id: &ImageId) -> Result<Arc<OpenImage>, icewell::Error> {
        let opened = cache.read(id).map(OpenImage::new);
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        let mut image = match opened {
            Ok(image) => image,
            Err(error) => {
                images.remove(id);
                return Err(error);
            }
        };
        if let Some(before) = images.get(id)
            && before.reader.stamp().has_bytes_of(&image.reader.stamp())
        {
            // Only its tags have changed, and what is mapped stays mapped.
            if let Some(pages) = before.pages.get() {
                image.pages.set(pages.clone()).ok();
            }
            image.corrupt = before.corrupt.clone();
        }
        let image = Arc::new(image);
        if images.len() < MOST || images.contains_key(id) {
            images.insert(id.clone(), image.clone());
        }
        Ok(image)
    }

    /// Notes that the image was read, and whether that was a hit.
    pub(crate) fn count(&self, image: &Arc<OpenImage>, hit: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.read.note(image, u64::from(hit), now.as_nanos() as u64);
    }

    /// Notes the pages of an image that grows, which are let go of as those of cached images.
    pub(crate) fn watch(&self, image: &Growing) {
        lock(&self.growing).extend(image.pages.as_ref().map(Arc::downgrade));
    }

    /// Writes hits and times of use down. Blocks. Those of an image that somebody else has locked wait for the next time.
    pub(crate) fn write_down(&self) {
        for image in self.read.take() {
            let (hits, at) = image.reads.take();
            let last = UNIX_EPOCH + Duration::from_nanos(at);
            match image.reader.count_reads(hits, last, LOCK_PATIENCE) {
                Ok(true) => {}
                Ok(false) => self.read.note(&image, hits, at),
                Err(error) => {
                    warn!(image_id = %image.reader.image().id, hits, error = chain(&error), "hits cannot be counted");
                }
            }
        }
    }

    /// Writes down what is left at the end. Blocks.
    pub(crate) fn write_down_the_last(&self) {
        self.write_down();
        for image in self.read.take() {
            let (hits, _) = image.reads.take();
            warn!(image_id = %image.reader.image().id, hits, "hits are not counted: another program has locked the image");
        }
    }

    fn is_idle(&self) -> bool {
        self.read.is_empty()
            && lock(&self.growing).is_empty()
            && self.images.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn all(&self) -> Vec<(ImageId, Arc<OpenImage>)> {
        let images = self.images.read().unwrap_or_else(PoisonError::into_inner);
        images.iter().map(|(id, image)| (id.clone(), image.clone())).collect()
    }

    /// Lets pages go of which little was read for so long; whether anything is being sent.
    fn let_pages_go(&self, elapsed: Duration) -> bool {
        let busy = BUSY_BYTES_PER_SECOND as f64 * elapsed.as_secs_f64();
        let mut sending = false;
        for (_, image) in self.all() {
            // The map has one, the list here another; every response that runs has one more.
            let sent = Arc::strong_count(&image) > 2;
            if let Some(Some(pages)) = image.pages.get()
                && (pages.take_given() as f64) < busy
                && (image.sent.swap(sent, Ordering::Relaxed) || sent)
            {
                pages.let_go();
            }
            sending |= sent;
        }
        let mut growing = lock(&self.growing);
        // Others than the one who writes have little to gain: they read what has just been written.
        growing.retain(|pages| pages.upgrade().inspect(|pages| pages.let_go()).is_some());
        sending || !growing.is_empty()
    }

    /// The image has wrong bytes: whoever is being sent them gets no more.
    pub(crate) fn condemn(&self, id: &ImageId) {
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.remove(id) {
            image.corrupt.store(true, Ordering::Release);
        }
    }

    /// Closes what nobody is being sent.
    fn let_go(&self) {
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        // Besides the map's own: of a response, or of hits that are not on disk yet.
        images.retain(|_, image| Arc::strong_count(image) > 1);
    }

    /// Closes what is unused, or not cached any more. Blocks.
    fn check(&self, cache: &Cache) {
        for (id, image) in self.all() {
            let now = cache.stamp(&id).ok().flatten();
            let idle = image.opened.elapsed().saturating_sub(Duration::from_millis(image.used.load(Ordering::Relaxed)));
            // Besides the map's and the list's own, of a response: it is to hear of it if the image is found to be bad.
            let sent = Arc::strong_count(&image) > 2;
            if (idle > IDLE && !sent) || now.is_none_or(|now| !now.has_bytes_of(&image.reader.stamp())) {
                let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
                if images.get(&id).is_some_and(|open| Arc::ptr_eq(open, &image)) {
                    images.remove(&id);
                }
            }
        }
    }
}

/// An image that is open only to be at hand may go like any other when room is needed.
pub(crate) fn let_go_before_removal(daemon: &Arc<Daemon>) {
    let open = Arc::downgrade(daemon);
    daemon.cache.before_removal(move || {
        if let Some(daemon) = open.upgrade() {
            daemon.open_images.let_go();
        }
    });
}

/// Keeps hits on disk and closes what need not be open, until the daemon stops.
pub(crate) async fn keep(daemon: Arc<Daemon>, mut stop: watch::Receiver<bool>) {
    let (mut written, mut checked, mut let_go) = (Instant::now(), Instant::now(), Instant::now());
    let mut pause = KEEP_EVERY;
    while tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_err() {
        if daemon.open_images.is_idle() {
            continue;
        }
        let due = |since: &mut Instant, every| {
            let due = since.elapsed() >= every;
            if due {
                *since = Instant::now();
            }
            due
        };
        let (write, check) = (due(&mut written, KEEP_EVERY), due(&mut checked, CHECK_EVERY));
        let elapsed = std::mem::replace(&mut let_go, Instant::now()).elapsed();
        let daemon = daemon.clone();
        let sending = blocking(move || {
            if write {
                daemon.open_images.write_down();
            }
            if check {
                daemon.open_images.check(&daemon.cache);
            }
            daemon.open_images.let_pages_go(elapsed)
        });
        pause = if sending.await { LET_GO_EVERY } else { KEEP_EVERY };
    }
}

impl AsRef<Reads> for OpenImage {
    fn as_ref(&self) -> &Reads {
        &self.reads
    }
}

impl OpenImage {
    fn new(reader: Reader) -> Self {
        let head = ImageHead::of_image(reader.image());
        let small = small(&reader);
        OpenImage {
            reader,
            head,
            small,
            pages: OnceLock::new(),
            corrupt: Arc::default(),
            moment: Mutex::default(),
            reads: Reads::default(),
            sent: AtomicBool::new(false),
            opened: Instant::now(),
            used: AtomicU64::new(0),
        }
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Whether its bytes were found to be wrong while it was open.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.corrupt.load(Ordering::Acquire)
    }

    pub(crate) fn head(&self) -> &ImageHead {
        &self.head
    }

    /// What is told of it now.
    pub(crate) fn moment(&self) -> Arc<Moment> {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut known = lock(&self.moment);
        match &*known {
            Some(moment) if moment.second == second => moment.clone(),
            _ => {
                let (state, fields) = (self.head.freshness.state(now), self.head.fields(now));
                known.insert(Arc::new(Moment { second, state, fields })).clone()
            }
        }
    }

    /// All its bytes, if they are few.
    pub(crate) fn small(&self) -> Option<&Bytes> {
        self.small.as_ref()
    }

    /// Its pages, where they can be mapped.
    pub(crate) fn pages(&self) -> Option<&Arc<Pages>> {
        let map = || Pages::map(self.reader.file(), self.reader.image().size).map(Arc::new);
        self.pages.get_or_init(map).as_ref()
    }
}

/// The bytes of an image that is not worth a mapping.
fn small(reader: &Reader) -> Option<Bytes> {
    let size = usize::try_from(reader.image().size).ok().filter(|size| *size <= SMALL)?;
    let mut bytes = vec![0; size];
    // Cut off already, it is for whoever reads to tell.
    reader.file().read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes.into())
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
