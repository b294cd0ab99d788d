//! Whoever can put things into DIR gets nothing outside of it read, served, written or removed.
//!
//! Links, folders, pipes and sockets that lie there from the start are in `foreign.rs`. Here: files that are somebody's
//! and are only linked in, devices, and what is swapped in while the cache is open.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use icewell::layout::tag;
use icewell::{Cache, Count, ErrorKind, Limit, Mode, examine};
use rustix::fs::{CWD, FileType, Mode as Bits, makedev, mknodat};

use crate::support::{Own, Stop, begin, bytes, failed, id, listed, names, own, put, queued, set_tag, tags};

const FOLDERS: [&str; 5] = ["", "incomplete", "incomplete/.icewell", "invalid", "queue"];

/// All that could be changed of a file: bytes, modification time, mode, tags.
type State = (Vec<u8>, SystemTime, u32, BTreeMap<String, String>);

/// Somebody's file beside the cache, and how it was.
struct Outside {
    path: PathBuf,
    before: State,
}

impl Outside {
    fn beside(own: &Own) -> Self {
        let path = own.dir.parent().unwrap().join("outside");
        fs::write(&path, b"secret").unwrap();
        Outside { before: state(&path), path }
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(state(&self.path), self.before);
    }
}

fn state(path: &Path) -> State {
    let metadata = fs::metadata(path).unwrap();
    (fs::read(path).unwrap(), metadata.modified().unwrap(), metadata.mode(), tags(path))
}

/// Everything that can be done to an image of this name.
fn do_everything(cache: &Cache, name: &str) {
    let image = id(name);
    assert_eq!(bytes(cache, name), None, "{name} is served");
    assert!(!cache.is_cached(&image).unwrap() && listed(cache).is_empty());
    assert_eq!(cache.hits(&image).unwrap(), 0);
    cache.set_pinned(&image, true).unwrap();
    cache.set_metadata(&image, &icewell::Metadata { name: Some("x".into()), ..Default::default() }).ok();
    cache.verify(&image, &mut |_| {}).ok();
    cache.observe(&image).ok();
    for end in ["commit", "roll back", "suspend"] {
        let Ok(mut writer) = cache.write(&image) else { continue };
        writer.start(icewell::Announced { size: Some(5), ..Default::default() }).ok();
        writer.write(b"bytes").ok();
        match end {
            "commit" => drop(writer.commit()),
            "roll back" => writer.roll_back("why"),
            _ => drop(writer.suspend()),
        }
    }
    cache.queue(&image).unwrap();
    cache.unqueue(&image).unwrap();
    cache.remove(&image).unwrap();
    cache.remove_all(true).unwrap();
    cache.prune(Limit { max_size: 0, ..Limit::default() }, Mode::Act).unwrap();
    cache.set_limit(Limit { max_size: 0, ..Limit::default() }).unwrap();
    cache.enforce_limit().unwrap();
    cache.set_limit(Limit::default()).unwrap();
    cache.clean(Duration::ZERO).unwrap();
    cache.unqueue_all().unwrap();
    cache.status_of_everything();
}

trait Everything {
    fn status_of_everything(&self);
}

impl Everything for Cache {
    fn status_of_everything(&self) {
        self.images().unwrap();
        self.incomplete().unwrap();
        self.invalid().unwrap();
        self.queued().unwrap();
        self.summaries().unwrap();
        self.space().unwrap();
        examine(self.dir()).unwrap();
    }
}

#[test]
fn a_hard_link_to_somebodys_file_is_no_way_to_it() {
    for folder in FOLDERS {
        let own = own();
        let outside = Outside::beside(&own);
        fs::hard_link(&outside.path, own.dir.join(folder).join("x")).unwrap();
        do_everything(&own, "x");
        outside.is_untouched();
    }
}

#[test]
fn a_hard_link_is_in_the_way_of_an_image_and_said_to_be() {
    let own = own();
    let outside = Outside::beside(&own);
    for folder in ["", "incomplete/.icewell"] {
        let link = own.dir.join(folder).join("x");
        fs::hard_link(&outside.path, &link).unwrap();
        let error = own.write(&id("x")).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("hard link"), "{error}");
        fs::remove_file(link).unwrap();
    }
    fs::hard_link(&outside.path, own.dir.join("x")).unwrap();
    let findings = examine(&own.dir).unwrap();
    assert!(findings.iter().any(|finding| finding.message.contains("hard link")), "{findings:#?}");
    fs::remove_file(own.dir.join("x")).unwrap();
    // Planted during the fill.
    let writer = begin(&own, "x", b"bytes", 5);
    fs::hard_link(&outside.path, own.dir.join("x")).unwrap();
    assert!(writer.commit().unwrap_err().to_string().contains("hard link"));
    outside.is_untouched();
}

/// Backups are made of hard links.
#[test]
fn a_second_name_of_our_own_image_changes_nothing() {
    let own = own();
    put(&own, "x", b"bytes");
    begin(&own, "y", b"by", 5).suspend().unwrap();
    let backup = own.dir.parent().unwrap().join("backup");
    fs::create_dir(&backup).unwrap();
    fs::hard_link(own.dir.join("x"), backup.join("x")).unwrap();
    fs::hard_link(own.dir.join("incomplete/.icewell/y"), backup.join("y")).unwrap();
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
    assert_eq!(listed(&own), ["x"]);
    assert_eq!(own.write(&id("y")).unwrap().resumable().unwrap().length, 2);
    assert!(own.remove(&id("x")).unwrap());
}

#[test]
fn devices_are_neither_read_nor_written() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let own = own();
    let zero = |folder: &str| {
        let path = own.dir.join(folder).join("x");
        mknodat(CWD, &path, FileType::CharacterDevice, Bits::from_raw_mode(0o666), makedev(1, 5)).map(|()| path)
    };
    for folder in FOLDERS {
        let Ok(path) = zero(folder) else { return };
        do_everything(&own, "x");
        let left = fs::symlink_metadata(&path).unwrap();
        assert_eq!(left.rdev(), makedev(1, 5), "{folder}: it is left alone");
        fs::remove_file(path).unwrap();
    }
}

/// The folders were opened once, by their descriptors: a name that leads elsewhere by now leads nobody there.
#[test]
fn a_folder_swapped_for_a_link_while_the_cache_is_open_leads_nowhere() {
    let own = own();
    put(&own, "cached", b"bytes");
    let outside = own.dir.parent().unwrap().join("elsewhere");
    fs::create_dir(&outside).unwrap();
    for name in ["incomplete", "invalid", "queue"] {
        fs::rename(own.dir.join(name), own.dir.parent().unwrap().join(name)).unwrap();
        symlink(&outside, own.dir.join(name)).unwrap();
    }
    fs::write(outside.join("theirs"), b"theirs").unwrap();
    put(&own, "x", b"bytes");
    begin(&own, "y", b"bytes", 5).roll_back("why");
    begin(&own, "z", b"by", 5).suspend().unwrap();
    own.queue(&id("w")).unwrap();
    assert_eq!((queued(&own), failed(&own).len()), (vec!["w".to_owned()], 1));
    own.clean(Duration::ZERO).unwrap();
    own.unqueue_all().unwrap();
    assert_eq!(names(&outside), ["theirs"]);
    assert_eq!(fs::read(outside.join("theirs")).unwrap(), b"theirs");
}

/// A name that is one thing when it is looked at and another when it is opened.
#[test]
fn what_is_swapped_between_look_and_open_is_never_served() {
    let own = own();
    let outside = Outside::beside(&own);
    put(&own, "other", b"other");
    put(&own, "x", b"bytes");
    let dir = own.dir.clone();
    let (image, other) = (dir.join("kept"), dir.join("other"));
    fs::rename(dir.join("x"), &image).unwrap();
    let stop = Stop::default();
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let spare = dir.parent().unwrap().join("spare");
            while !stop.is_set() {
                // Each takes the place of the one before in one step.
                symlink(&outside.path, &spare).unwrap();
                fs::rename(&spare, dir.join("x")).unwrap();
                fs::hard_link(&image, &spare).unwrap();
                fs::rename(&spare, dir.join("x")).unwrap();
                fs::hard_link(&other, &spare).unwrap();
                fs::rename(&spare, dir.join("x")).unwrap();
            }
        });
        let end = stop.setter();
        let mut served = 0;
        for _ in 0..5_000 {
            if let Some(read) = bytes(&own, "x") {
                assert_eq!(read, b"bytes");
                served += 1;
            }
            own.set_pinned(&id("x"), true).ok();
        }
        drop(end);
        swapper.join().unwrap();
        assert!(served > 0, "the image itself was never met");
    });
    outside.is_untouched();
    assert!(!crate::support::image(&own, "other").pinned, "another image than the one that was asked for");
}

#[test]
fn what_icewell_makes_is_for_owner_and_group_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("parent/cache");
    let cache = Cache::open(&dir).unwrap();
    put(&cache, "x", b"bytes");
    cache.queue(&id("w")).unwrap();
    begin(&cache, "y", b"bytes", 5).roll_back("why");
    let _writer = begin(&cache, "z", b"by", 5);
    for folder in FOLDERS {
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&dir.join(folder)) & 0o027, 0, "{folder}");
        for name in names(&dir.join(folder)) {
            let path = dir.join(folder).join(name);
            assert_eq!(mode(&path) & 0o027, 0, "{path:?}");
        }
    }
    assert_eq!(cache.space().unwrap().counted(Count::Size), 15);
}

/// A tag can name anything, and is text to us.
#[test]
fn a_tag_that_names_a_path_leads_nowhere() {
    let own = own();
    let outside = Outside::beside(&own);
    put(&own, "x", b"bytes");
    for value in ["../outside", "/etc/passwd", "..", "x/../../outside"] {
        for key in [tag::IMAGE_ID, tag::NAME, tag::ETAG, tag::FRESHNESS, tag::DIGEST, tag::ERROR] {
            set_tag(&own.dir.join("x"), key, value.as_bytes());
        }
        own.status_of_everything();
        assert_eq!(bytes(&own, "x"), None);
    }
    assert!(own.remove_all(true).unwrap() == 0 && outside.path.exists());
    outside.is_untouched();
}
