//! What the tests share: a cache of their own with a clock they move, tags and trees looked at from outside the
//! library, and real file systems.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icewell::{Announced, Cache, Clock, Commit, Digest, ErrorKind, Image, ImageId, Writer};
use tempfile::TempDir;

mod mount;
#[allow(unused_imports, reason = "each test binary uses its part")]
pub use mount::{Mount, mount};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct TestClock(Mutex<SystemTime>);

impl TestClock {
    pub fn at(time: SystemTime) -> Arc<Self> {
        Arc::new(TestClock(Mutex::new(time)))
    }

    pub fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap() = time;
    }

    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// Nanoseconds after a moment that every file system can keep.
pub fn at(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_nanos(nanoseconds)
}

/// Tells helper threads to end, also where the test fails.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub fn setter(&self) -> impl Drop + '_ {
        Setter(&self.0)
    }
}

struct Setter<'a>(&'a AtomicBool);

impl Drop for Setter<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A cache in a directory of its own, removed at the end.
pub struct Own {
    pub cache: Cache,
    pub clock: Arc<TestClock>,
    pub dir: PathBuf,
    _temporary: TempDir,
}

impl std::ops::Deref for Own {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        &self.cache
    }
}

pub fn own() -> Own {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("cache");
    let clock = TestClock::at(at(0));
    let cache = Cache::open_with_clock(&dir, clock.clone()).unwrap();
    Own { cache, clock, dir, _temporary: temporary }
}

pub fn id(text: &str) -> ImageId {
    ImageId::new(text).unwrap()
}

/// Bytes that no file system or digest can take for others, none of them a long run of zeros.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn announced(size: u64) -> Announced {
    Announced { size: Some(size), ..Announced::default() }
}

pub fn vouched(size: u64, digest: &str) -> Announced {
    Announced { digests: vec![digest.parse::<Digest>().unwrap()], ..announced(size) }
}

/// A fill with some bytes written.
pub fn begin(cache: &Cache, name: &str, bytes: &[u8], size: u64) -> Writer {
    let mut writer = cache.write(&id(name)).unwrap();
    writer.start(announced(size)).unwrap();
    writer.write(bytes).unwrap();
    writer
}

pub fn put(cache: &Cache, name: &str, bytes: &[u8]) {
    let writer = begin(cache, name, bytes, bytes.len() as u64);
    assert_eq!(writer.commit().unwrap(), Commit::Stored);
}

/// The bytes of a cached image, without counting a hit.
pub fn bytes(cache: &Cache, name: &str) -> Option<Vec<u8>> {
    match cache.read(&id(name)) {
        Ok(mut reader) => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
            Some(bytes)
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotCached, "{error}");
            None
        }
    }
}

pub fn hit(cache: &Cache, name: &str) {
    cache.read(&id(name)).unwrap().count_hit().unwrap();
}

pub fn image(cache: &Cache, name: &str) -> Image {
    cache.image(&id(name)).unwrap().unwrap_or_else(|| panic!("{name} is not cached"))
}

pub fn listed(cache: &Cache) -> Vec<String> {
    cache.images().unwrap().into_iter().map(|image| image.id.to_string()).collect()
}

pub fn queued(cache: &Cache) -> Vec<String> {
    cache.queued().unwrap().into_iter().map(|queued| queued.id.to_string()).collect()
}

/// The failed fills with their reasons.
pub fn failed(cache: &Cache) -> BTreeMap<String, String> {
    let invalid = cache.invalid().unwrap().into_iter();
    invalid.map(|invalid| (invalid.id.to_string(), invalid.error.unwrap_or_default())).collect()
}

// The directory, looked at past the library.

pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The sizes of the regular files under `dir`, by inode and by time of birth, for inodes are used again. Files that
/// vanish on the way are left out.
pub fn files_under(dir: &Path) -> BTreeMap<(u64, SystemTime), u64> {
    use std::os::unix::fs::MetadataExt;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path().symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => files.append(&mut files_under(&entry.path())),
            Ok(metadata) if metadata.is_file() => {
                files.insert((metadata.ino(), metadata.created().unwrap()), metadata.len());
            }
            _ => {}
        }
    }
    files
}

pub fn tag(path: &Path, key: &str) -> Option<String> {
    let mut value = vec![0; 1 << 16];
    match rustix::fs::lgetxattr(path, key, &mut value[..]) {
        Ok(length) => Some(String::from_utf8_lossy(&value[..length]).into_owned()),
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{path:?} {key}: {error}"),
    }
}

pub fn set_tag(path: &Path, key: &str, value: &[u8]) {
    rustix::fs::setxattr(path, key, value, rustix::fs::XattrFlags::empty()).unwrap();
}

pub fn tags(path: &Path) -> BTreeMap<String, String> {
    let mut list = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let keys = list[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty());
    let keys = keys.map(|key| String::from_utf8_lossy(key).into_owned()).filter(|key| key.starts_with("user."));
    keys.map(|key| (key.clone(), tag(path, &key).unwrap())).collect()
}

pub fn set_modified(path: &Path, time: SystemTime) {
    fs::File::options().read(true).open(path).unwrap().set_modified(time).unwrap();
}

pub fn set_accessed(path: &Path, time: SystemTime) {
    let times = fs::FileTimes::new().set_accessed(time);
    fs::File::options().read(true).open(path).unwrap().set_times(times).unwrap();
}
