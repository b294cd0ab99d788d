//! The library itself passes the suite of all front ends.

use icewell::{Cache, ErrorKind, Limit, Mode};

use crate::conformance::{Store, run};
use crate::support::{id, queued};

struct Library {
    cache: Cache,
    _dir: tempfile::TempDir,
}

impl Store for Library {
    fn put(&self, name: &str, bytes: &[u8]) {
        crate::support::put(&self.cache, name, bytes);
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        match self.cache.read(&id(name)) {
            Ok(mut reader) => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
                reader.count_hit().unwrap();
                Some(bytes)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotCached);
                None
            }
        }
    }

    fn remove(&self, name: &str) -> bool {
        self.cache.remove(&id(name)).unwrap()
    }

    fn list(&self) -> Vec<(String, u64, u64)> {
        let images = self.cache.images().unwrap().into_iter();
        images.map(|image| (image.id.to_string(), image.size, image.hits)).collect()
    }

    fn queue(&self, name: &str) -> bool {
        self.cache.queue(&id(name)).unwrap()
    }

    fn queued(&self) -> Vec<String> {
        queued(&self.cache)
    }

    fn unqueue(&self, name: &str) -> bool {
        self.cache.unqueue(&id(name)).unwrap()
    }

    fn prune(&self, max_size: u64) -> (u64, u64) {
        let pruned = self.cache.prune(Limit { max_size, ..Limit::default() }, Mode::Act).unwrap();
        (pruned.files(), pruned.bytes())
    }

    fn remove_all(&self) -> u64 {
        self.cache.remove_all(true).unwrap()
    }
}

#[test]
fn the_library_conforms() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        Library { cache: Cache::open(dir.path()).unwrap(), _dir: dir }
    });
}
