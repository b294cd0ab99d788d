//! What the daemon's threads share in memory, in every order in which they can meet: [loom](https://docs.rs/loom) runs each
//! test once for every interleaving of its locks and atomics, with all that the memory model allows.
//!
//! The modules are the daemon's own, with loom's locks in the place of the standard library's. What is shared by way of the
//! directory (claims, reservations, hits on disk) is not here: those are locks of the kernel, tried with real threads and
//! processes in `icewell/tests/it/`.

#![allow(dead_code, reason = "the daemon uses more of these modules than their tests do")]

mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/in_flight.rs"]
mod in_flight;
#[path = "../src/tally.rs"]
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use in_flight::InFlight;
use loom::thread;
use tally::{Reads, Unwritten, Waiting};

/// A fill, as far as the map of fills is concerned.
struct Fill;

fn begin(fills: &InFlight<u8, Fill>) -> (Arc<Fill>, bool) {
    fills.join_or_begin(1, || Arc::new(Fill))
}

#[test]
fn of_threads_that_want_one_image_at_once_one_fills() {
    loom::model(|| {
        let fills = Arc::new(InFlight::<u8, Fill>::default());
        let threads = [fills.clone(), fills.clone()].map(|fills| thread::spawn(move || begin(&fills)));
        let mut got = vec![begin(&fills)];
        got.extend(threads.map(|thread| thread.join().unwrap()));
        assert_eq!(got.iter().filter(|(_, begins)| *begins).count(), 1);
        assert!(got.iter().all(|(fill, _)| Arc::ptr_eq(fill, &got[0].0)), "they follow different fills");
    });
}

/// A fill is taken off once by its end, and perhaps once more by a late caller: never another that has begun meanwhile.
#[test]
fn a_fill_that_ends_takes_no_other_off_the_map() {
    loom::model(|| {
        let fills = Arc::new(InFlight::<u8, Fill>::default());
        let (first, _) = begin(&fills);
        let late = {
            let (fills, first) = (fills.clone(), first.clone());
            thread::spawn(move || fills.remove(1, &first))
        };
        let another = {
            let fills = fills.clone();
            thread::spawn(move || begin(&fills))
        };
        fills.remove(1, &first);
        late.join().unwrap();
        let (second, begins) = another.join().unwrap();
        assert_eq!(begins, !Arc::ptr_eq(&first, &second));
        assert_eq!(fills.get(&1).is_some(), begins, "a fill that runs is on the map until its own end");
        fills.remove(1, &second);
        assert_eq!(fills.len(), 0);
    });
}

#[test]
fn a_hit_is_counted_once_whether_it_comes_before_or_after_the_commit() {
    loom::model(|| {
        let hits = Arc::new(Waiting::<AtomicUsize>::default());
        let counted = Arc::new(AtomicUsize::new(0));
        let threads = [hits.clone(), hits.clone()].map(|hits| {
            thread::spawn(move || {
                if let Some(image) = hits.hit() {
                    image.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let waited = hits.ready(counted.clone());
        counted.fetch_add(usize::try_from(waited).unwrap(), Ordering::SeqCst);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counted.load(Ordering::SeqCst), 2);
    });
}

/// An open image, as far as its reads are concerned.
#[derive(Default)]
struct Image(Reads);

impl AsRef<Reads> for Image {
    fn as_ref(&self) -> &Reads {
        &self.0
    }
}

fn write_down(unwritten: &Unwritten<Image>) -> (u64, u64) {
    let taken = unwritten.take().into_iter().map(|image| image.0.take());
    taken.fold((0, 0), |(hits, last), (more, at)| (hits + more, last.max(at)))
}

#[test]
fn no_hit_is_lost_between_those_who_read_and_the_one_who_writes_down() {
    loom::model(|| {
        let unwritten = Arc::new(Unwritten::<Image>::default());
        let image = Arc::new(Image::default());
        let readers = [1, 2].map(|at| {
            let (unwritten, image) = (unwritten.clone(), image.clone());
            thread::spawn(move || unwritten.note(&image, 1, at))
        });
        let (meanwhile, _) = write_down(&unwritten);
        for reader in readers {
            reader.join().unwrap();
        }
        let (rest, _) = write_down(&unwritten);
        assert_eq!(meanwhile + rest, 2, "a hit is lost or counted twice");
        assert!(unwritten.is_empty() && image.0.take().0 == 0);
    });
}

/// The time of last use is that of the last read, whoever notes it first.
#[test]
fn the_last_read_is_what_is_written_down_at_the_end() {
    loom::model(|| {
        let unwritten = Arc::new(Unwritten::<Image>::default());
        let image = Arc::new(Image::default());
        let noting = {
            let (unwritten, image) = (unwritten.clone(), image.clone());
            thread::spawn(move || unwritten.note(&image, 0, 2))
        };
        unwritten.note(&image, 1, 1);
        let (_, before) = write_down(&unwritten);
        noting.join().unwrap();
        let (_, after) = write_down(&unwritten);
        assert_eq!(before.max(after), 2);
    });
}
