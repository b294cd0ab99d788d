//! The model: what a cache is, without a disk; and the harness that does to a real one what it does to the model.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use icewell::{Cache, Commit, ErrorKind, ImageId, Limit, Mode, Verdict};
use tempfile::TempDir;

use super::held::Held;
use super::operations::{IMAGES, Operation};
use super::support::{TestClock, announced, at, bytes, failed, id, noise, queued, set_accessed};

/// A file among the images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    /// Whose bytes Icewell committed there; none for a Glance's.
    pub(super) committed_as: Option<usize>,
    pub(super) hits: u64,
    pub(super) pinned: bool,
    pub(super) used: u64,
    /// Whether the bytes are those it had at commit.
    pub(super) intact: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) images: BTreeMap<usize, File>,
    /// Icewell's broken-off fills.
    pub(super) fills: BTreeMap<usize, Vec<u8>>,
    /// What a dead Glance left.
    pub(super) leftovers: BTreeMap<usize, Vec<u8>>,
    pub(super) invalid: BTreeMap<usize, Vec<u8>>,
    pub(super) queue: Vec<usize>,
    pub(super) limit: u64,
    /// The other's fill, and its size.
    pub(super) held: Option<(usize, u64)>,
}

impl Model {
    pub(super) fn cached(&self, image: usize) -> Option<&File> {
        self.images.get(&image).filter(|file| file.committed_as.is_none_or(|id| id == image))
    }

    pub(super) fn used(&self) -> u64 {
        let sizes = [&self.fills, &self.leftovers, &self.invalid].map(|files| files.values().map(Vec::len).sum());
        let files: usize = sizes.iter().sum::<usize>() + self.images.values().map(|f| f.bytes.len()).sum::<usize>();
        files as u64 + self.held.map_or(0, |(_, size)| size)
    }

    /// Makes room for a fill; false, and nothing done, where there is none. Fills and failed ones are too alike in
    /// age for a model: where one of several has to go, the real cache says which.
    pub(super) fn can_make_room(&self, filling: usize, more: u64) -> bool {
        let fixed: usize = self.images.values().filter(|file| file.pinned).map(|file| file.bytes.len()).sum::<usize>()
            + self.fills.get(&filling).map_or(0, Vec::len);
        let fixed = fixed as u64 + self.held.map_or(0, |(_, size)| size);
        self.used() + more <= self.limit || fixed + more <= self.limit
    }
}

pub(crate) struct Harness {
    pub(super) model: Model,
    pub(super) cache: Cache,
    /// Another on the same directory, as another process has it: the two share nothing else.
    pub(super) other: Cache,
    pub(super) held: Option<Held>,
    pub(super) clock: Arc<TestClock>,
    pub(super) now: u64,
    pub(super) dir: TempDir,
}

pub(super) fn name(image: usize) -> ImageId {
    id(["a", "b", "c", "d"][image])
}

/// The bytes of an image of that size: a longer one begins like a shorter one.
pub(super) fn content(image: usize, size: u64) -> Vec<u8> {
    noise(image as u64 + 1, size as usize)
}

impl Harness {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::at(at(0));
        let [cache, other] = [(); 2].map(|()| Cache::open_with_clock(dir.path(), clock.clone()).unwrap());
        let model = Model { limit: u64::MAX >> 1, ..Model::default() };
        cache.set_limit(Limit { max_size: model.limit, ..Limit::default() }).unwrap();
        Harness { model, cache, other, held: None, clock, now: 0, dir }
    }

    fn has_only_a_sign(&self, image: usize) -> bool {
        let (model, path) = (&self.model, self.path("incomplete", image));
        let known = model.fills.contains_key(&image) || model.leftovers.contains_key(&image) || self.is_held(image);
        !known && path.exists()
    }

    pub(super) fn path(&self, folder: &str, image: usize) -> std::path::PathBuf {
        self.dir.path().join(folder).join(name(image).as_str())
    }

    pub(crate) fn apply(&mut self, operation: &Operation) {
        self.now += 1;
        self.clock.set(at(self.now));
        if operation.meddles_with().is_some_and(|image| self.is_held(image)) {
            return;
        }
        match *operation {
            Operation::Begin(image, some, size) => self.begin(image, some, size),
            Operation::Finish => self.finish(),
            #[cfg(debug_assertions)]
            Operation::Die => self.die(),
            #[cfg(not(debug_assertions))]
            Operation::Die => self.finish(),
            Operation::Fill(image, size) => self.fill(image, size, false, Ending::Commit),
            Operation::RollBack(image, size) => self.fill(image, size, false, Ending::RollBack),
            Operation::Resume(image, size) => self.fill(image, size, true, Ending::Commit),
            Operation::Suspend(image, some, size) => self.fill(image, size, false, Ending::Suspend(some)),
            Operation::Claim(image) => drop(self.claim(image)),
            Operation::Hit(image) => {
                let hit = self.cache.read(&name(image)).map(|reader| reader.count_hit().unwrap());
                assert_eq!(hit.is_ok(), self.model.cached(image).is_some());
                if hit.is_ok() {
                    let file = self.model.images.get_mut(&image).unwrap();
                    (file.hits, file.used) = (file.hits + 1, self.now);
                }
            }
            Operation::Remove(image) => {
                let cached = self.model.cached(image).is_some();
                assert_eq!(self.cache.remove(&name(image)).unwrap(), cached);
                self.model.images.remove(&image);
            }
            Operation::Queue(image) => {
                let model = &mut self.model;
                let free = model.cached(image).is_none()
                    && model.held.is_none_or(|(held, _)| held != image)
                    && !model.leftovers.contains_key(&image)
                    && !model.queue.contains(&image);
                assert_eq!(self.cache.queue(&name(image)).unwrap(), free);
                if free {
                    model.queue.push(image);
                }
            }
            Operation::Unqueue(image) => {
                assert_eq!(self.cache.unqueue(&name(image)).unwrap(), self.model.queue.contains(&image));
                self.model.queue.retain(|queued| *queued != image);
            }
            Operation::Pin(image, pinned) => {
                let cached = self.model.cached(image).is_some();
                assert_eq!(self.cache.set_pinned(&name(image), pinned).unwrap(), cached);
                if cached {
                    self.model.images.get_mut(&image).unwrap().pinned = pinned;
                }
            }
            Operation::Prune(max_size) => self.prune(max_size),
            Operation::Limit(max_size) => {
                self.cache.set_limit(Limit { max_size, ..Limit::default() }).unwrap();
                self.model.limit = max_size;
            }
            Operation::Clean => {
                // A sign that a crash has left after the commit is not seen otherwise.
                let signs = (0..IMAGES).filter(|image| self.has_only_a_sign(*image)).count();
                let cleaned = self.cache.clean(Duration::ZERO).unwrap();
                assert_eq!(cleaned.invalid, self.model.invalid.len() as u64);
                let stalled = (0..IMAGES)
                    .filter(|n| self.model.fills.contains_key(n) || self.model.leftovers.contains_key(n))
                    .count();
                assert_eq!(cleaned.stalled, (stalled + signs) as u64);
                self.model.invalid.clear();
                self.model.fills.clear();
                self.model.leftovers.clear();
            }
            Operation::Verify(image) => self.verify(image),
            Operation::Reopen => {
                self.cache = Cache::open_with_clock(self.dir.path(), self.clock.clone()).unwrap();
            }
            Operation::Switch => std::mem::swap(&mut self.cache, &mut self.other),
            #[cfg(debug_assertions)]
            Operation::Crash(ref operation, nth) => self.crash(operation, nth),
            #[cfg(not(debug_assertions))]
            Operation::Crash(..) => {}
            Operation::Delete(image) => {
                fs::remove_file(self.path("", image)).ok();
                self.model.images.remove(&image);
            }
            Operation::Move(from, to) if from != to => {
                if fs::rename(self.path("", from), self.path("", to)).is_ok() {
                    let file = self.model.images.remove(&from).unwrap();
                    self.model.images.insert(to, file);
                }
            }
            Operation::Move(..) => {}
            Operation::Plant(image, size) => {
                let bytes = content(9, size);
                fs::remove_file(self.path("", image)).ok();
                fs::write(self.path("", image), &bytes).unwrap();
                set_accessed(&self.path("", image), at(self.now));
                let used = self.now;
                let file = File { bytes, committed_as: None, hits: 0, pinned: false, used, intact: true };
                self.model.images.insert(image, file);
            }
            Operation::Leave(image, size) => {
                // A Glance does not fill what is cached, and so never comes upon a sign that a crash has left.
                if self.has_only_a_sign(image) {
                    fs::remove_file(self.path("incomplete", image)).unwrap();
                }
                fs::write(self.path("incomplete", image), content(8, size)).unwrap();
                self.model.leftovers.insert(image, content(8, size));
            }
            Operation::Corrupt(image) => {
                if let Some(file) = self.model.images.get_mut(&image).filter(|file| !file.bytes.is_empty()) {
                    file.bytes[0] ^= 1;
                    file.intact = !file.intact;
                    let path = self.dir.path().join(name(image).as_str());
                    let writable = fs::File::options().write(true).open(path).unwrap();
                    std::os::unix::fs::FileExt::write_all_at(&writable, &file.bytes[..1], 0).unwrap();
                }
            }
        }
    }

    /// A claim, as the model foresees it; the caller drops or uses it.
    fn claim(&mut self, image: usize) -> Option<icewell::Writer> {
        let claimed = self.cache.write(&name(image));
        if self.is_held(image) {
            assert_eq!(claimed.unwrap_err().kind(), ErrorKind::InProgress);
            return None;
        }
        if self.model.cached(image).is_some() {
            assert_eq!(claimed.unwrap_err().kind(), ErrorKind::AlreadyCached);
            self.model.fills.remove(&image);
            return None;
        }
        Some(claimed.unwrap())
    }

    fn fill(&mut self, image: usize, size: u64, resume: bool, ending: Ending) {
        let Some(mut writer) = self.claim(image) else { return };
        let left = self.model.fills.get(&image).cloned().filter(|left| !left.is_empty());
        assert_eq!(writer.resumable().map(|left| left.length), left.as_ref().map(|left| left.len() as u64));
        let begun = if resume { writer.resume(announced(size)) } else { writer.start(announced(size)) };
        let kept = if resume { left.unwrap_or_default() } else { Vec::new() };
        if !resume {
            self.model.fills.remove(&image);
        }
        let reserved = size.max(kept.len() as u64);
        let room = self.model.can_make_room(image, reserved - kept.len() as u64);
        assert_eq!(begun.is_ok(), room, "{begun:?}");
        if !room {
            assert_eq!(begun.unwrap_err().kind(), ErrorKind::NoRoom);
            return;
        }
        self.model.fills.remove(&image);
        let mut whole = content(image, reserved);
        self.evicted(reserved);
        if let Ending::Suspend(some) = ending {
            whole.truncate(some as usize);
            writer.write(&whole).unwrap();
            writer.suspend().unwrap();
            if some > 0 {
                self.model.fills.insert(image, whole);
            }
            return;
        }
        if whole.len() > kept.len() {
            writer.write(&whole[kept.len()..]).unwrap();
        }
        if ending == Ending::RollBack {
            writer.roll_back("why");
            self.model.invalid.insert(image, whole);
        } else if reserved > size {
            assert_eq!(writer.commit().unwrap_err().kind(), ErrorKind::SizeMismatch);
            self.model.invalid.insert(image, whole);
        } else {
            assert_eq!(writer.commit().unwrap(), Commit::Stored);
            self.committed(image, whole);
        }
    }

    /// What a commit makes of the model.
    pub(super) fn committed(&mut self, image: usize, bytes: Vec<u8>) {
        if let Some(stranger) = self.model.images.remove(&image) {
            self.model.invalid.insert(image, stranger.bytes);
        }
        if let Some(left) = self.model.leftovers.remove(&image) {
            self.model.invalid.insert(image, left);
        }
        let file = File { bytes, committed_as: Some(image), hits: 0, pinned: false, used: self.now, intact: true };
        self.model.images.insert(image, file);
        self.model.queue.retain(|queued| *queued != image);
    }

    /// Takes from the model what a reservation removed: classes in their order, images by age; and no more than needed.
    pub(super) fn evicted(&mut self, reserved: u64) {
        let model = &mut self.model;
        let fits = |model: &Model| model.used() + reserved <= model.limit;
        for (folder, class) in [("incomplete/.icewell", 0), ("incomplete", 1), ("invalid", 2)] {
            for image in 0..IMAGES {
                let gone = !self.dir.path().join(folder).join(name(image).as_str()).exists();
                let files = [&mut model.fills, &mut model.leftovers, &mut model.invalid];
                if gone && files.into_iter().nth(class).unwrap().remove(&image).is_some() {
                    assert!(class < 2 || model.fills.is_empty() && model.leftovers.values().all(Vec::is_empty));
                }
            }
        }
        let mut images: Vec<usize> = model.images.keys().copied().filter(|n| !model.images[n].pinned).collect();
        images.sort_by_key(|image| (model.images[image].used, *image));
        for image in images {
            if fits(model) {
                break;
            }
            assert!(model.invalid.is_empty(), "failed fills go before images");
            model.images.remove(&image);
        }
        assert!(fits(model), "the limit is hard");
    }

    fn prune(&mut self, max_size: u64) {
        let pruned = self.cache.prune(Limit { max_size, ..Limit::default() }, Mode::Act).unwrap();
        let model = &mut self.model;
        let mut images: Vec<usize> = (0..IMAGES).filter(|image| model.cached(*image).is_some()).collect();
        images.sort_by_key(|image| (model.images[image].used, *image));
        let mut size: u64 = images.iter().map(|image| model.images[image].bytes.len() as u64).sum();
        let mut expected = Vec::new();
        for image in images {
            if (size > max_size || max_size == 0) && !model.images[&image].pinned {
                size -= model.images.remove(&image).unwrap().bytes.len() as u64;
                expected.push(name(image));
            }
        }
        assert_eq!(pruned.images.into_iter().map(|image| image.id).collect::<Vec<_>>(), expected);
    }

    fn verify(&mut self, image: usize) {
        let verdict = self.cache.verify(&name(image), &mut |_| {});
        let Some(file) = self.model.cached(image).cloned() else {
            assert_eq!(verdict.unwrap_err().kind(), ErrorKind::NotCached);
            return;
        };
        match verdict.unwrap() {
            Verdict::Unverifiable { unchanged } => {
                assert_eq!(unchanged, file.committed_as.is_some());
                assert!(file.intact || file.committed_as.is_none());
            }
            Verdict::Corrupt(_) => {
                assert!(!file.intact && file.committed_as.is_some());
                self.model.images.remove(&image);
                self.model.invalid.insert(image, file.bytes);
            }
            good => panic!("nobody vouched for it: {good:?}"),
        }
    }

    /// Everything that can be seen of the cache.
    pub(crate) fn compare(&self, when: &str) {
        let (model, cache) = (&self.model, &self.cache);
        let listed = cache.images().unwrap();
        let expected: Vec<usize> = (0..IMAGES).filter(|image| model.cached(*image).is_some()).collect();
        assert_eq!(
            listed.iter().map(|i| i.id.clone()).collect::<Vec<_>>(),
            expected.iter().map(|n| name(*n)).collect::<Vec<_>>(),
            "{when}"
        );
        for (seen, image) in listed.iter().zip(&expected) {
            let file = &model.images[image];
            let what = (seen.size, seen.hits, seen.pinned, seen.last_accessed);
            assert_eq!(what, (file.bytes.len() as u64, file.hits, file.pinned, at(file.used)), "{image} {when}");
        }
        for image in 0..IMAGES {
            let file = model.cached(image);
            assert_eq!(bytes(cache, name(image).as_str()).as_ref(), file.map(|file| &file.bytes), "{image} {when}");
            let free = file.is_none() && !model.leftovers.contains_key(&image) && !self.is_held(image);
            assert_eq!(cache.is_cacheable(&name(image)).unwrap(), free, "{image} {when}");
        }
        let least = expected.iter().min_by_key(|image| (model.images[*image].used, **image)).map(|image| name(*image));
        assert_eq!(cache.least_recently_used().unwrap().map(|least| least.id), least, "{when}");
        let names = |images: &mut dyn Iterator<Item = usize>| images.map(|n| name(n).to_string()).collect::<Vec<_>>();
        assert_eq!(queued(cache), names(&mut model.queue.iter().copied()), "{when}");
        assert_eq!(failed(cache).into_keys().collect::<Vec<_>>(), names(&mut model.invalid.keys().copied()), "{when}");
        let space = cache.space().unwrap();
        assert_eq!(space.counted(icewell::Count::Size), model.used(), "{when}");
        let incomplete = cache.incomplete().unwrap();
        let held = usize::from(model.held.is_some());
        assert_eq!(incomplete.iter().filter(|fill| fill.active).count(), held, "{when}");
        assert_eq!(incomplete.len(), model.fills.len() + model.leftovers.len() + held, "{when}");
        assert_eq!(cache.limit().unwrap().max_size, model.limit, "{when}");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Commit,
    RollBack,
    Suspend(u64),
}
