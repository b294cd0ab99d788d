//! Hits that are counted exactly once, whatever thread they come from and whenever they can be written down.

use std::sync::Arc;

use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

/// Hits of what is not there yet: they wait until there is something to count them on.
#[derive(Debug)]
pub(crate) struct Waiting<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    waiting: u64,
    on: Option<Arc<T>>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting(Mutex::new(State { waiting: 0, on: None }))
    }
}

impl<T> Waiting<T> {
    /// One hit: what the caller has to count it on, or none where it waits.
    pub(crate) fn hit(&self) -> Option<Arc<T>> {
        let mut state = lock(&self.0);
        if state.on.is_none() {
            state.waiting += 1;
        }
        state.on.clone()
    }

    /// From now on hits are counted on this; how many have waited, which are for the caller to count.
    pub(crate) fn ready(&self, on: Arc<T>) -> u64 {
        let mut state = lock(&self.0);
        state.on = Some(on);
        std::mem::take(&mut state.waiting)
    }
}

/// Reads of one thing since they were last written down.
#[derive(Debug)]
pub(crate) struct Reads {
    hits: AtomicU64,
    /// The latest read, as its reader tells time.
    last: AtomicU64,
    /// Whether it is in the list of those to be written down.
    listed: AtomicBool,
}

impl Default for Reads {
    fn default() -> Self {
        Reads { hits: AtomicU64::new(0), last: AtomicU64::new(0), listed: AtomicBool::new(false) }
    }
}

impl Reads {
    /// Takes the hits that are not written down, and the time of the latest read. Whoever took this from the list does.
    pub(crate) fn take(&self) -> (u64, u64) {
        // Who notes a read from here on puts it on the list again. Not a mere store: it has to see what was noted by those
        // who found it listed.
        self.listed.swap(false, Ordering::AcqRel);
        (self.hits.swap(0, Ordering::AcqRel), self.last.load(Ordering::Acquire))
    }
}

/// Things that were read since they were last written down.
#[derive(Debug)]
pub(crate) struct Unwritten<T>(Mutex<Vec<Arc<T>>>);

impl<T> Default for Unwritten<T> {
    fn default() -> Self {
        Unwritten(Mutex::new(Vec::new()))
    }
}

impl<T: AsRef<Reads>> Unwritten<T> {
    /// Notes that this was read, how many hits that was, and when.
    pub(crate) fn note(&self, read: &Arc<T>, hits: u64, at: u64) {
        let reads = T::as_ref(read);
        reads.hits.fetch_add(hits, Ordering::Relaxed);
        reads.last.fetch_max(at, Ordering::Relaxed);
        if !reads.listed.swap(true, Ordering::AcqRel) {
            lock(&self.0).push(read.clone());
        }
    }

    /// Those that were read, for the caller to write down what each has to [`take`](Reads::take).
    pub(crate) fn take(&self) -> Vec<Arc<T>> {
        std::mem::take(&mut *lock(&self.0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
