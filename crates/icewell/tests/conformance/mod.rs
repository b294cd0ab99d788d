//! What every front end of a cache must do alike: the library, the HTTP API, the command, Python.
//!
//! A front end implements [`Store`] in its own tests, takes this file in by `#[path]`, and calls [`run`] with a maker of
//! empty stores. The names of the cases are in the message of whatever fails.
#![allow(unreachable_pub, reason = "the tests of several crates take this file in")]

/// A cache, as one of its front ends shows it.
pub trait Store {
    /// Caches an image, as this front end does it: puts bytes in, or fetches them from its origin.
    fn put(&self, id: &str, bytes: &[u8]);
    /// Reads a cached image, which counts as a hit; none if it is not cached.
    fn get(&self, id: &str) -> Option<Vec<u8>>;
    /// Drops a cached image; whether it was cached.
    fn remove(&self, id: &str) -> bool;
    /// The cached images by ID: ID, size, hits.
    fn list(&self) -> Vec<(String, u64, u64)>;
    /// Queues an image; whether it was neither cached nor queued.
    fn queue(&self, id: &str) -> bool;
    /// The queue, in order.
    fn queued(&self) -> Vec<String>;
    /// Takes an image off the queue; whether it was on it.
    fn unqueue(&self, id: &str) -> bool;
    /// Prunes to a limit; files and bytes removed.
    fn prune(&self, max_size: u64) -> (u64, u64);
    /// Drops all images; how many.
    fn remove_all(&self) -> u64;
}

type Case<S> = (&'static str, fn(&S));

/// Runs every case on a store of its own.
pub fn run<S: Store>(make: impl Fn() -> S) {
    let cases: [Case<S>; 9] = [
        ("an empty cache has nothing", empty),
        ("what is put is got, byte for byte", round_trip),
        ("each read is a hit, and only reads are", hits),
        ("the list is sorted by ID", sorted),
        ("what is removed is gone, and only that", remove),
        ("the queue keeps its order and takes an image once", queue),
        ("caching an image takes it off the queue", cached_is_not_queued),
        ("prune removes the least recently used down to the limit", prune),
        ("everything can be dropped at once", remove_all),
    ];
    for (name, case) in cases {
        eprintln!("conformance: {name}");
        case(&make());
    }
}

fn empty<S: Store>(store: &S) {
    assert_eq!(store.list(), []);
    assert_eq!(store.get("x"), None);
    assert!(!store.remove("x") && !store.unqueue("x"));
    assert!(store.queued().is_empty());
    assert_eq!(store.prune(0), (0, 0));
    assert_eq!(store.remove_all(), 0);
}

fn round_trip<S: Store>(store: &S) {
    let mut sparse = vec![0; 300_000];
    sparse[100_000..100_100].fill(7);
    for (id, bytes) in [("empty", &b""[..]), ("small.qcow2", b"\0\xff\r\n"), ("sparse", &sparse)] {
        store.put(id, bytes);
        assert!(store.get(id).unwrap() == bytes, "{id}");
    }
}

fn hits<S: Store>(store: &S) {
    store.put("x", b"bytes");
    assert_eq!(store.list(), [("x".to_owned(), 5, 0)]);
    for n in 1..4 {
        store.get("x").unwrap();
        assert_eq!(store.list(), [("x".to_owned(), 5, n)]);
    }
}

fn sorted<S: Store>(store: &S) {
    for id in ["b", "a", "c"] {
        store.put(id, b"bytes");
    }
    assert_eq!(store.list().into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), ["a", "b", "c"]);
}

fn remove<S: Store>(store: &S) {
    store.put("x", b"bytes");
    store.put("y", b"bytes");
    assert!(store.remove("x") && !store.remove("x"));
    assert_eq!(store.list().len(), 1);
    assert!(store.get("y").is_some());
}

fn queue<S: Store>(store: &S) {
    for id in ["c", "a", "b"] {
        assert!(store.queue(id), "{id}");
        assert!(!store.queue(id), "{id} again");
    }
    assert_eq!(store.queued(), ["c", "a", "b"]);
    assert!(store.unqueue("a") && !store.unqueue("a"));
    assert_eq!(store.queued(), ["c", "b"]);
}

fn cached_is_not_queued<S: Store>(store: &S) {
    assert!(store.queue("x"));
    store.put("x", b"bytes");
    assert!(store.queued().is_empty());
    assert!(!store.queue("x"));
}

fn prune<S: Store>(store: &S) {
    for id in ["a", "b", "c"] {
        store.put(id, &[1; 10]);
    }
    store.get("a").unwrap();
    assert_eq!(store.prune(30), (0, 0));
    assert_eq!(store.prune(25), (1, 10));
    assert_eq!(store.list().into_iter().map(|(id, ..)| id).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(store.prune(0), (2, 20));
}

fn remove_all<S: Store>(store: &S) {
    store.put("x", b"bytes");
    store.put("y", b"bytes");
    assert_eq!(store.remove_all(), 2);
    assert_eq!(store.list(), []);
}
