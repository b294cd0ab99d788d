use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::Connection;

use crate::env::{TestEnv, column};

/// A directory as a Glance with its sqlite driver leaves it.
fn filled_by_glance() -> TestEnv {
    let env = TestEnv::new();
    env.cache();
    let db = Connection::open(env.dir().join("cache.db")).unwrap();
    db.execute_batch(
        "CREATE TABLE cached_images (image_id TEXT PRIMARY KEY, last_accessed REAL DEFAULT 0.0,
                                     last_modified REAL DEFAULT 0.0, size INTEGER DEFAULT 0,
                                     hits INTEGER DEFAULT 0, checksum TEXT);
         INSERT INTO cached_images (image_id, last_accessed, hits) VALUES
             ('a', 1700000000.5, 7), ('b', 1600000000.0, 0), ('gone', 1.0, 100), ('../x', 1.0, 1), ('c', -1e300, -5);",
    )
    .unwrap();
    for id in ["a", "b", "c"] {
        fs::write(env.dir().join(id), b"bytes").unwrap();
    }
    fs::write(env.dir().join("glance-cache-prune"), b"").unwrap();
    env
}

#[test]
fn hits_and_times_are_taken_over_once() {
    let env = filled_by_glance();
    let would = env.ok(&["adopt", "-n"]);
    assert_eq!(would, "would take over 7 hits of 3 images; 1 is not cached any more\n");
    assert_eq!(env.hits("a"), 0);
    let before = fs::read(env.dir().join("cache.db")).unwrap();
    assert_eq!(env.ok(&["adopt"]), "took over 7 hits of 3 images; 1 is not cached any more\n");
    assert_eq!(env.hits("a"), 7);
    let used = fs::metadata(env.dir().join("a")).unwrap().accessed().unwrap();
    assert_eq!(used, UNIX_EPOCH + Duration::from_secs_f64(1_700_000_000.5));
    env.ok(&["get", "a", "copy"]);
    assert_eq!(env.json(&["adopt"])["already_counted"], 3);
    assert_eq!(env.hits("a"), 8, "what was counted since stays");
    assert_eq!(fs::read(env.dir().join("cache.db")).unwrap(), before);
    assert_eq!(env.listed(&[]), ["a", "b", "c"]);
}

#[test]
fn doctor_says_what_there_is_to_take_over() {
    let env = filled_by_glance();
    let said = env.ok(&["doctor"]);
    assert!(
        said.contains("cache.db of Glance's sqlite driver: 3 images, 7 hits not taken over yet\n    do: icewell adopt"),
        "{said}"
    );
    assert!(said.contains("3 images from a Glance and 0 from Icewell"), "{said}");
    assert!(said.contains("cache.db: it is of the database of Glance's sqlite driver, no image"), "{said}");
    assert!(said.contains("glance-cache-prune: it is a lock of Glance's"), "{said}");
    env.ok(&["adopt"]);
    assert!(env.ok(&["doctor"]).contains("nothing in it that is not taken over"));
}

#[test]
fn doctor_holds_the_directory_against_glances_configuration() {
    let env = filled_by_glance();
    let dir = env.dir();
    let conf = env.file("conf", format!("[DEFAULT]\nimage_cache_dir={}\nimage_cache_max_size=5000\n", dir.display()));
    let findings = env.json(&["doctor", "--glance-conf", &conf]);
    let said = column(&findings, "message").join("\n");
    assert!(said.contains("Glance is told no driver and takes centralized_db"), "{said}");
    assert!(said.contains("Glance prunes to 5000 bytes, and the limit in force here is 10737418240"), "{said}");
    assert!(!said.contains("another image_cache_dir"), "{said}");
    let conf = env.file("conf", "[DEFAULT]\nimage_cache_dir = /elsewhere\nimage_cache_driver = XATTR\n");
    let findings = env.json(&["doctor", "--glance-conf", &conf]);
    let said = column(&findings, "message").join("\n");
    assert!(said.contains("Glance is told another image_cache_dir: /elsewhere"), "{said}");
    assert!(!said.contains("the driver"), "{said}");
}

#[test]
fn fills_that_a_glance_left_are_told() {
    let env = filled_by_glance();
    fs::write(env.dir().join("incomplete/left"), b"part").unwrap();
    let writing = fs::File::create(env.dir().join("incomplete/written")).unwrap();
    let said = env.ok(&["doctor"]);
    assert!(said.contains("1 fill of a Glance's broke off"), "{said}");
    assert!(said.contains("a Glance is filling 1 image at this moment"), "{said}");
    drop(writing);
}

#[test]
fn no_database_is_a_failure() {
    let env = TestEnv::new();
    env.run(&["adopt"]).exits(1).tells("there is no database of Glance's sqlite driver in it");
    env.image("cache.db", "an image by that name");
    env.run(&["adopt"]).exits(1).tells("there is no database of Glance's sqlite driver in it");
    assert_eq!(env.listed(&[]), ["cache.db"]);
}

#[test]
fn the_database_may_have_another_name() {
    let env = filled_by_glance();
    fs::rename(env.dir().join("cache.db"), env.dir().join("other.db")).unwrap();
    let conf = env.file("conf", "[DEFAULT]\nimage_cache_sqlite_db = other.db\n");
    assert_eq!(env.json(&["adopt", "--glance-conf", &conf])["hits"], 7);
}
