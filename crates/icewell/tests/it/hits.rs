//! Hits are exact under any number of threads and processes.

use std::sync::Arc;

use crate::process::{start, start_as};
use crate::support::{bytes, hit, id, own, put, tag as tag_of};

#[test]
fn threads_times_processes() {
    let own = own();
    put(&own, "x", b"bytes");
    let mut processes: Vec<_> = (0..4).map(|_| start(&own.dir, "hit x 500")).collect();
    processes.iter_mut().for_each(|process| process.go_on());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| hit(&own, "x")));
        }
    });
    processes.into_iter().for_each(|process| drop(process.finish()));
    assert_eq!(own.hits(&id("x")).unwrap(), 4000);
}

#[test]
fn only_a_counted_read_counts() {
    let own = own();
    put(&own, "x", b"bytes");
    bytes(&own, "x").unwrap();
    own.verify(&id("x"), &mut |_| {}).unwrap();
    own.images().unwrap();
    assert_eq!(own.hits(&id("x")).unwrap(), 0);
    own.read(&id("x")).unwrap().count_hits(3).unwrap();
    own.read(&id("x")).unwrap().touch().unwrap();
    assert_eq!(own.hits(&id("x")).unwrap(), 3);
    assert_eq!(own.hits(&id("missing")).unwrap(), 0);
}

#[test]
fn field_glance_07_hits_of_a_removed_image_are_lost_without_an_error() {
    let own = own();
    put(&own, "x", b"old");
    let reader = own.read(&id("x")).unwrap();
    own.remove(&id("x")).unwrap();
    put(&own, "x", b"new");
    reader.count_hit().unwrap();
    assert_eq!(own.hits(&id("x")).unwrap(), 0);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "old", "readers go on undisturbed");
}

#[test]
fn they_do_not_wrap_around() {
    let own = own();
    put(&own, "x", b"bytes");
    own.read(&id("x")).unwrap().count_hits(u64::MAX).unwrap();
    hit(&own, "x");
    assert_eq!(own.hits(&id("x")).unwrap(), u64::MAX);
}

#[test]
fn another_user_with_the_right_to_write_counts_too() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let own = own();
    put(&own, "x", b"bytes");
    let may = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    may(own.dir.parent().unwrap(), 0o755);
    may(&own.dir, 0o777);
    for folder in ["incomplete", "incomplete/.icewell", "invalid", "queue"] {
        may(&own.dir.join(folder), 0o755);
    }
    may(&own.dir.join("x"), 0o666);
    start_as(&own.dir, "hit x 3", Some(65534)).finish();
    assert_eq!(own.hits(&id("x")).unwrap(), 3);
    let accessed = tag_of(&own.dir.join("x"), icewell::layout::tag::ACCESSED).expect("it may not set the access time");
    assert!(crate::support::image(&own, "x").last_accessed > crate::support::at(0), "{accessed}");
}

#[test]
fn threads_that_share_one_reader_count_exactly() {
    let own = own();
    put(&own, "x", b"bytes");
    let reader = Arc::new(own.read(&id("x")).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| reader.count_hit().unwrap()));
        }
    });
    assert_eq!(own.hits(&id("x")).unwrap(), 4000);
}
