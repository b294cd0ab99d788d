//! Folders that somebody removes while the cache is open are made anew, and nobody notices; what lay in them is gone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use icewell::layout::tag;
use icewell::{Cache, Commit, Count, ErrorKind, Limit};

use crate::process::start;
use crate::support::{Own, begin, bytes, failed, id, listed, names, own, put, queued, set_tag, tag as tag_of};

const FOLDERS: [&str; 4] = ["incomplete", "incomplete/.icewell", "invalid", "queue"];

/// As `rm -rf DIR/*`.
fn remove_all_in(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// A cache that somebody has open, with one of its folders, or all in it, removed.
fn with_removed(folder: Option<&str>) -> Own {
    let own = own();
    put(&own, "before", b"bytes");
    match folder {
        Some(folder) => fs::remove_dir_all(own.dir.join(folder)).unwrap(),
        None => remove_all_in(&own.dir),
    }
    own
}

type Operation = (&'static str, fn(&Cache));

/// Each of what needs a folder, as the first thing that is done after it went.
const OPERATIONS: [Operation; 13] = [
    ("commit", |cache| put(cache, "x", b"bytes")),
    ("roll back", |cache| begin(cache, "x", b"by", 5).roll_back("why")),
    ("suspend", |cache| begin(cache, "x", b"by", 5).suspend().unwrap()),
    ("observe", |cache| assert!(cache.observe(&id("x")).unwrap().is_none())),
    ("is being cached", |cache| assert!(cache.is_cacheable(&id("x")).unwrap())),
    ("queue", |cache| assert!(cache.queue(&id("x")).unwrap())),
    ("queued", |cache| assert_eq!(queued(cache), [""; 0])),
    ("unqueue", |cache| assert!(!cache.unqueue(&id("x")).unwrap())),
    ("incomplete", |cache| assert_eq!(cache.incomplete().unwrap(), [])),
    ("invalid", |cache| assert_eq!(cache.invalid().unwrap(), [])),
    ("clean", |cache| assert_eq!(cache.clean(Duration::ZERO).unwrap().invalid, 0)),
    ("space", |cache| assert!(cache.space().unwrap().counted(Count::Size) <= 5)),
    ("enforce the limit", |cache| assert!(cache.enforce_limit().unwrap())),
];

#[test]
fn each_operation_makes_them_anew_with_the_modes_of_the_directory() {
    for folder in FOLDERS.map(Some).into_iter().chain([None]) {
        for (name, operate) in OPERATIONS {
            let own = with_removed(folder);
            operate(&own);
            for folder in FOLDERS {
                let look = |path: &Path| fs::metadata(path).map(|found| (found.mode(), found.uid(), found.gid()));
                let found = look(&own.dir.join(folder)).unwrap_or_else(|error| panic!("{name}: {folder}: {error}"));
                assert_eq!(found, look(&own.dir).unwrap(), "{name}: {folder}");
            }
            // And all goes on.
            put(&own, "y", b"more");
            begin(&own, "z", b"by", 5).roll_back("it failed");
            assert!(own.queue(&id("w")).unwrap());
            assert_eq!(bytes(&own, "y").unwrap(), b"more", "{name}");
            assert!(failed(&own).contains_key("z") && queued(&own).contains(&"w".into()), "{name}");
            // The directory is the same: what is kept on it is.
            assert_eq!(tag_of(&own.dir, tag::VERSION).unwrap(), "1");
        }
    }
}

#[test]
fn images_stay_where_only_folders_were_removed() {
    for folder in FOLDERS {
        let own = with_removed(Some(folder));
        put(&own, "x", b"bytes");
        assert_eq!(listed(&own), ["before", "x"], "{folder}");
    }
}

/// Two who have them open meet in the same new ones, whoever makes them.
#[test]
fn those_who_have_the_directory_open_still_exclude_each_other() {
    let own = own();
    let other = Cache::open(&own.dir).unwrap();
    remove_all_in(&own.dir);
    let writer = begin(&own, "x", b"by", 5);
    assert_eq!(other.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    assert!(other.observe(&id("x")).unwrap().is_some());
    assert!(other.queue(&id("y")).unwrap() && !own.queue(&id("y")).unwrap());
    drop(writer);
    assert_eq!(failed(&other), failed(&own));
    // A process that opens it now sees no others.
    let mut process = start(&own.dir, "hold x");
    assert_eq!(process.says(), "held");
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    assert_eq!(process.finish(), [""; 0]);
}

#[test]
fn a_fill_that_lost_its_folder_is_no_image_and_harms_no_later_one() {
    for end in ["commit", "roll back", "suspend"] {
        let own = own();
        let mut reader = None;
        put(&own, "read", b"it is read");
        reader.replace(own.read(&id("read")).unwrap());
        let mut first = begin(&own, "x", b"by", 5);
        remove_all_in(&own.dir);
        let second = begin(&own, "x", b"other", 5);
        first.write(b"tes").unwrap();
        match end {
            "commit" => assert!(first.commit().unwrap_err().to_string().contains("somebody removed it")),
            "roll back" => first.roll_back("why"),
            _ => first.suspend().unwrap(),
        }
        assert_eq!((bytes(&own, "x"), failed(&own).len()), (None, 0), "{end}");
        assert!(own.is_being_cached(&id("x")).unwrap(), "{end}: the claim of the second");
        assert_eq!(second.commit().unwrap(), Commit::Stored, "{end}");
        assert_eq!(bytes(&own, "x").unwrap(), b"other", "{end}");
        let mut read = [0; 10];
        assert_eq!(reader.unwrap().read_at(&mut read, 0).unwrap(), 10);
        assert_eq!(&read, b"it is read", "{end}");
    }
}

/// It began before the folder was removed.
#[test]
fn a_fill_fails_into_the_folder_that_is_there() {
    let own = own();
    let writer = begin(&own, "x", b"by", 5);
    fs::remove_dir(own.dir.join("invalid")).unwrap();
    writer.roll_back("why");
    assert_eq!(failed(&own)["x"], "why");
    assert_eq!(names(&own.dir.join("incomplete/.icewell")), [""; 0]);
}

/// What stands under the image's name is moved out of the way, to where there has been no folder since.
#[test]
fn a_commit_that_has_to_set_something_aside_does_so() {
    let own = own();
    let writer = begin(&own, "x", b"bytes", 5);
    fs::write(own.dir.join("x"), b"moved here").unwrap();
    set_tag(&own.dir.join("x"), tag::IMAGE_ID, b"another");
    fs::remove_dir(own.dir.join("invalid")).unwrap();
    assert_eq!(writer.commit().unwrap(), Commit::Stored);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
    assert_eq!(failed(&own).len(), 1);
}

#[test]
fn a_bad_image_leaves_service_all_the_same() {
    let own = own();
    put(&own, "x", b"bytes");
    let reader = own.read(&id("x")).unwrap();
    fs::remove_dir(own.dir.join("invalid")).unwrap();
    assert!(own.set_aside(&reader, "it is bad").unwrap());
    assert_eq!((bytes(&own, "x"), failed(&own)["x"].as_str()), (None, "it is bad"));
}

#[test]
fn the_limit_is_kept_and_holds() {
    let own = own();
    own.set_limit(Limit { max_size: 10, ..Limit::default() }).unwrap();
    put(&own, "old", b"123456");
    remove_all_in(&own.dir);
    put(&own, "x", b"123456");
    put(&own, "y", b"123456");
    assert_eq!(listed(&own), ["y"]);
}

/// What has its name now may be anything: the daemon's right to open files is for the one that is gone, too.
#[test]
fn the_directory_itself_is_not_made_anew_and_its_removal_is_told() {
    let own = own();
    put(&own, "x", b"bytes");
    fs::remove_dir_all(&own.dir).unwrap();
    for made in [false, true] {
        if made {
            fs::create_dir(&own.dir).unwrap();
        }
        for error in [own.write(&id("x")).unwrap_err(), own.queued().unwrap_err(), own.space().unwrap_err()] {
            assert_eq!((error.kind(), error.path()), (ErrorKind::Io, &*own.dir));
            assert!(error.to_string().contains("somebody has removed it"), "{error}");
        }
        assert_eq!(bytes(&own, "x"), None);
    }
    assert_eq!(names(&own.dir), [""; 0]);
}
