//! A small cache with something of everything in it, and what is seen of it.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icewell::{Cache, Count, ErrorKind, Limit, MinFree};
use tempfile::TempDir;

use crate::support::{at, begin, bytes, hit, id, names, noise, put, queued, set_accessed};

/// The size of an image, in bytes.
pub(super) const SIZE: usize = 1000;
/// There are three images, half of one, and a tenth of one that failed.
const LIMIT: u64 = 6000;

/// The right bytes of an image.
pub(super) fn content(name: &str) -> Vec<u8> {
    noise(name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte)), SIZE)
}

/// A cache with: "kept", pinned; "old", the least recently used; "new", with a hit; "half", a fill that was broken off;
/// "bad", one that failed; "more" and "half" on the queue.
pub(super) struct Scene {
    pub(super) dir: PathBuf,
    temporary: TempDir,
}

/// In memory, where there is such a file system with tags: thousands of these are made.
fn temporary() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm").ok();
    let keeps_tags =
        |dir: &TempDir| rustix::fs::setxattr(dir.path(), "user.a", b"", rustix::fs::XattrFlags::empty()).is_ok();
    in_memory.filter(keeps_tags).unwrap_or_else(|| tempfile::tempdir().unwrap())
}

pub(super) fn limit(max_size: u64) -> Limit {
    Limit { max_size, min_free: Some(MinFree::Bytes(1)), ..Limit::default() }
}

impl Scene {
    pub(super) fn new() -> Self {
        let temporary = temporary();
        let dir = temporary.path().join("cache");
        let cache = Cache::open(&dir).unwrap();
        cache.set_limit(limit(LIMIT)).unwrap();
        for name in ["kept", "old", "new"] {
            put(&cache, name, &content(name));
        }
        hit(&cache, "new");
        cache.set_pinned(&id("kept"), true).unwrap();
        for (place, name) in ["kept", "old", "new"].into_iter().enumerate() {
            set_accessed(&dir.join(name), at(place as u64));
        }
        begin(&cache, "half", &content("half")[..SIZE / 2], SIZE as u64).suspend().unwrap();
        begin(&cache, "bad", &content("bad")[..SIZE / 10], SIZE as u64).roll_back("why");
        for name in ["more", "half"] {
            assert!(cache.queue(&id(name)).unwrap());
        }
        Scene { dir, temporary }
    }

    /// A place beside the cache.
    pub(super) fn outside(&self) -> PathBuf {
        self.temporary.path().join("outside")
    }
}

pub(super) fn flip_a_bit(path: &Path) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 0).unwrap();
}

/// A cached image, as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether it has the right bytes.
    pub(super) right: bool,
    pub(super) hits: u64,
    pub(super) pinned: bool,
}

/// What is seen of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) images: BTreeMap<String, Seen>,
    pub(super) queue: Vec<String>,
    /// The bytes that the limit is about, and the limit.
    pub(super) counted: u64,
    pub(super) limit: u64,
}

pub(super) fn look(dir: &Path) -> State {
    let cache = Cache::open(dir).unwrap();
    assert!(cache.incomplete().unwrap().iter().all(|fill| !fill.active), "a claim is free at once");
    let images = cache.images().unwrap().into_iter().map(|image| {
        let name = image.id.to_string();
        let right = bytes(&cache, &name) == Some(content(&name));
        (name, Seen { right, hits: image.hits, pinned: image.pinned })
    });
    let (counted, limit) = (cache.space().unwrap().counted(Count::Size), cache.limit().unwrap().max_size);
    State { images: images.collect(), queue: queued(&cache), counted, limit }
}

/// Everything can be claimed, and after a clean nothing is left of any fill.
pub(super) fn tidies_up(dir: &Path) {
    let cache = Cache::open(dir).unwrap();
    for name in ["more", "half", "bad", "another"] {
        match cache.write(&id(name)) {
            Ok(writer) => writer.release().unwrap(),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyCached, "{name}"),
        }
    }
    cache.clean(Duration::ZERO).unwrap();
    assert_eq!(names(&dir.join("incomplete")), [".icewell"]);
    assert_eq!(names(&dir.join("incomplete/.icewell")), [""; 0]);
    assert_eq!(names(&dir.join("invalid")), [""; 0]);
}
