//! Operations that end in the middle, as a process that is killed does. What the model says before and after bounds what
//! there may be; then the model goes on with what there is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use icewell::failpoints::arm;
use icewell::{Cache, Limit, Mode, Writer, layout};

use super::operations::{IMAGES, Operation};
use super::reference::{File, Harness, Model, content, name};
use super::support::{announced, at, queued, tag};

impl Harness {
    /// Does the operation up to the `nth` point, and nothing of what it would do then.
    pub(crate) fn crash(&mut self, operation: &Operation, nth: u64) {
        let before = self.model.clone();
        let armed = arm(&format!("any:{nth}=gone")).unwrap();
        // Opened within: a process that begins may die as well. What it says is said to nobody.
        Cache::open_with_clock(self.dir.path(), self.clock.clone()).and_then(|cache| act(&cache, operation)).ok();
        drop(armed);
        self.go_on_with_what_is_there(&before, operation);
    }

    /// The model is what there is from now on, if that may be.
    pub(super) fn go_on_with_what_is_there(&mut self, before: &Model, operation: &Operation) {
        if let Some(image) = operation.image() {
            self.recover(image);
            // An entry that was not dated yet has its time from the machine's clock, and not from the test's.
            if *operation == Operation::Queue(image) && !before.queue.contains(&image) {
                self.cache.unqueue(&name(image)).unwrap();
            }
        }
        self.model = self.on_disk();
        self.check(before, operation);
    }

    /// What the next who wants the image does: he goes on with what is there.
    fn recover(&self, image: usize) {
        let Ok(mut writer) = self.cache.write(&name(image)) else { return };
        let Some(length) = writer.resumable().map(|left| left.length) else { return writer.release().unwrap() };
        if writer.resume(announced(length)).is_ok() {
            writer.suspend().unwrap();
        } else {
            drop(writer);
            self.cache.clean(Duration::ZERO).unwrap();
        }
    }

    /// The model of what there is.
    fn on_disk(&self) -> Model {
        let read = |folder: &str, image: usize| read(&self.path(folder, image));
        // A fill that is the other's is counted apart.
        let others = |image: &usize| !self.is_held(*image);
        let fills = (0..IMAGES).filter(others).filter_map(|image| Some((image, read("incomplete/.icewell", image)?)));
        let is_left = |image: &usize| tag(&self.path("incomplete", *image), layout::tag::CLAIM).is_none();
        let left = |image| Some((image, read("incomplete", image).filter(|_| is_left(&image))?));
        let invalid = (0..IMAGES).filter_map(|image| Some((image, read("invalid", image)?)));
        let images = (0..IMAGES).filter_map(|image| Some((image, self.file_on_disk(image, read("", image)?))));
        Model {
            images: images.collect(),
            fills: fills.collect(),
            leftovers: (0..IMAGES).filter_map(left).collect(),
            invalid: invalid.collect(),
            queue: queued(&self.cache).iter().map(|queued| number(queued)).collect(),
            limit: self.cache.limit().unwrap().max_size,
            held: self.model.held,
        }
    }

    fn file_on_disk(&self, image: usize, bytes: Vec<u8>) -> File {
        let path = self.path("", image);
        let committed_as = tag(&path, layout::tag::IMAGE_ID).map(|id| number(&id));
        let hits = tag(&path, layout::tag::HITS).map_or(0, |hits| hits.parse().unwrap());
        let pinned = tag(&path, layout::tag::PINNED).is_some();
        let metadata = fs::metadata(&path).unwrap();
        let accessed = Duration::new(metadata.atime() as u64, metadata.atime_nsec() as u32);
        let begin = at(0).duration_since(std::time::UNIX_EPOCH).unwrap();
        let used = (accessed - begin).as_nanos() as u64;
        let intact = committed_as.is_none_or(|id| bytes == content(id, bytes.len() as u64));
        File { bytes, committed_as, hits, pinned, used, intact }
    }

    /// There is what was there before, or what the operation makes of it, and nothing in between.
    fn check(&self, before: &Model, operation: &Operation) {
        let (now, after) = (self.now, &self.model);
        let when = format!("after a crash in {operation:?}: {before:?} {after:?}");
        for (image, file) in &after.images {
            let old = before
                .images
                .get(image)
                .filter(|old| (&old.bytes, old.committed_as) == (&file.bytes, file.committed_as));
            let Some(old) = old else {
                let filled = matches!(operation, Operation::Fill(..) | Operation::Resume(..));
                assert!(filled && operation.image() == Some(*image) && file.committed_as == Some(*image), "{when}");
                assert!(file.intact && (file.hits, file.pinned) == (0, false), "{when}");
                continue;
            };
            let (hit, pin) = (Operation::Hit(*image), Operation::Pin(*image, !old.pinned));
            assert!(file.hits == old.hits || *operation == hit && file.hits == old.hits + 1, "{when}");
            assert!(file.used == old.used || *operation == hit && file.used == now, "{when}");
            assert!(file.pinned == old.pinned || *operation == pin, "{when}");
        }
        for (image, old) in before.images.iter().filter(|(image, _)| !after.images.contains_key(image)) {
            let may_go = match operation {
                Operation::Remove(removed) => removed == image,
                Operation::Verify(verified) => verified == image && !old.intact,
                Operation::Prune(_) => !old.pinned,
                Operation::Fill(filled, _) | Operation::Resume(filled, _) => filled == image || !old.pinned,
                Operation::RollBack(..) | Operation::Suspend(..) => !old.pinned,
                _ => false,
            };
            // Who goes on under a limit that was lowered makes room for what is there already.
            let is_too_much = before.used() > after.limit && !old.pinned;
            assert!(may_go || is_too_much, "{image} {when}");
        }
        let may_come = |image: &usize| before.queue.contains(image) || *operation == Operation::Queue(*image);
        assert!(after.queue.iter().all(may_come), "{when}");
        assert!(after.used() <= before.used().max(after.limit), "{when}");
    }
}

/// A file's bytes, if there is one; looking is no use of it.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::options().read(true).custom_flags(libc::O_NOATIME).open(path);
    file.ok()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn number(id: &str) -> usize {
    (0..IMAGES).find(|image| name(*image).as_str() == id).unwrap()
}

/// Does an operation of the library, whatever comes of it.
fn act(cache: &Cache, operation: &Operation) -> icewell::Result<()> {
    let begin = |image: usize, size: u64, written: u64| -> icewell::Result<Writer> {
        let mut writer = cache.write(&name(image))?;
        writer.start(announced(size))?;
        writer.write(&content(image, size)[..written as usize])?;
        Ok(writer)
    };
    match *operation {
        Operation::Fill(image, size) => begin(image, size, size)?.commit().map(drop),
        Operation::RollBack(image, size) => {
            begin(image, size, size)?.roll_back("why");
            Ok(())
        }
        Operation::Suspend(image, some, size) => begin(image, size, some)?.suspend(),
        Operation::Resume(image, size) => {
            let mut writer = cache.write(&name(image))?;
            writer.resume(announced(size))?;
            writer.write(&content(image, size.max(writer.written()))[writer.written() as usize..])?;
            writer.commit().map(drop)
        }
        Operation::Claim(image) => cache.write(&name(image)).map(drop),
        Operation::Hit(image) => cache.read(&name(image))?.count_hit(),
        Operation::Remove(image) => cache.remove(&name(image)).map(drop),
        Operation::Queue(image) => cache.queue(&name(image)).map(drop),
        Operation::Unqueue(image) => cache.unqueue(&name(image)).map(drop),
        Operation::Pin(image, pinned) => cache.set_pinned(&name(image), pinned).map(drop),
        Operation::Prune(max_size) => cache.prune(Limit { max_size, ..Limit::default() }, Mode::Act).map(drop),
        Operation::Limit(max_size) => cache.set_limit(Limit { max_size, ..Limit::default() }),
        Operation::Clean => cache.clean(Duration::ZERO).map(drop),
        Operation::Verify(image) => cache.verify(&name(image), &mut |_| {}).map(drop),
        _ => Ok(()),
    }
}
