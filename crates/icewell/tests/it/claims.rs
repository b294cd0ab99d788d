//! One filler per image across threads and processes; a filler that dies frees its claim at once.

use std::fs;
use std::sync::Barrier;

use icewell::layout::tag;
use icewell::{Commit, ErrorKind};

use crate::process::start;
#[cfg(debug_assertions)]
use crate::process::start_to_stop_at;
use crate::support::{announced, begin, bytes, failed, id, names, own, put, tag as tag_of};

#[test]
fn of_threads_that_race_one_fills() {
    let own = own();
    for round in 0..20 {
        let name = format!("x{round}");
        let barrier = Barrier::new(8);
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let fill = || {
                barrier.wait();
                let mut writer = own.cache.write(&id(&name))?;
                writer.start(announced(3))?;
                writer.write(b"abc")?;
                writer.commit()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(fill)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let stored = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Commit::Stored))).count();
        assert_eq!(stored, 1, "{outcomes:?}");
        for error in outcomes.into_iter().filter_map(Result::err) {
            assert!(error.is_transient(), "{error}");
        }
        assert_eq!(bytes(&own, &name).unwrap(), b"abc");
    }
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"]);
    assert!(names(&own.dir.join("incomplete/.icewell")).is_empty());
}

#[test]
fn field_glance_03_of_processes_that_race_one_fills() {
    let own = own();
    let processes: Vec<_> = (0..6).map(|_| start(&own.dir, "claim x")).collect();
    let said: Vec<_> = processes.into_iter().flat_map(|process| process.finish()).collect();
    assert_eq!(said.iter().filter(|said| *said == "filled").count(), 1, "{said:?}");
    assert!(said.iter().all(|said| ["filled", "InProgress", "AlreadyCached"].contains(&said.as_str())), "{said:?}");
}

#[test]
fn field_glance_04_another_process_holds_its_claim_until_it_is_killed() {
    let own = own();
    let mut other = start(&own.dir, "hold x");
    assert_eq!(other.says(), "held");
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::InProgress);
    assert!(own.is_being_cached(&id("x")).unwrap() && !own.is_cacheable(&id("x")).unwrap());
    assert!(!own.queue(&id("x")).unwrap());
    let fill = &own.incomplete().unwrap()[0];
    assert!(fill.active && fill.size == Some(3000));
    other.kill();
    assert!(!own.is_being_cached(&id("x")).unwrap() && own.is_cacheable(&id("x")).unwrap());
    assert!(!own.incomplete().unwrap()[0].active);
    put(&own, "x", b"bytes");
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

#[test]
fn a_claim_shows_as_an_empty_marked_file_that_a_glance_sees() {
    let own = own();
    let writer = begin(&own, "x", b"by", 5);
    let sign = own.dir.join("incomplete/x");
    assert_eq!(fs::metadata(&sign).unwrap().len(), 0);
    assert_eq!(tag_of(&sign, tag::CLAIM).unwrap(), "1");
    assert_eq!(fs::metadata(own.dir.join("incomplete/.icewell/x")).unwrap().len(), 2);
    drop(writer);
    assert!(!sign.exists());
}

#[test]
fn a_claim_on_a_cached_image_is_refused_and_leaves_nothing() {
    let own = own();
    put(&own, "x", b"bytes");
    assert_eq!(own.write(&id("x")).unwrap_err().kind(), ErrorKind::AlreadyCached);
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"]);
    assert!(names(&own.dir.join("incomplete/.icewell")).is_empty());
}

#[test]
fn a_claim_that_was_not_used_leaves_nothing() {
    let own = own();
    drop(own.write(&id("x")).unwrap());
    own.write(&id("x")).unwrap().release().unwrap();
    begin(&own, "x", b"by", 5).release().unwrap();
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell"]);
    assert!(names(&own.dir.join("incomplete/.icewell")).is_empty() && failed(&own).is_empty());
}

/// An operator may `rm` anything. The first filler must then not publish, set aside or remove the second one's file.
#[test]
fn a_fill_whose_file_was_removed_harms_no_later_one() {
    let own = own();
    for end in ["commit", "drop", "release", "suspend"] {
        let first = begin(&own, end, b"bytes", 5);
        fs::remove_file(own.dir.join("incomplete/.icewell").join(end)).unwrap();
        let mut second = begin(&own, end, b"by", 5);
        match end {
            "commit" => assert!(first.commit().unwrap_err().to_string().contains("somebody removed it")),
            "drop" => drop(first),
            "release" => first.release().unwrap(),
            _ => first.suspend().unwrap(),
        }
        assert_eq!(bytes(&own, end), None, "{end}");
        second.write(b"tes").unwrap();
        assert_eq!(second.commit().unwrap(), Commit::Stored, "{end}");
        assert_eq!(bytes(&own, end).unwrap(), b"bytes");
    }
    assert!(failed(&own).is_empty());
}

/// Its name is another fill's by the time it is renamed: that one's bytes are not whole, and must not become the image.
#[cfg(debug_assertions)]
#[test]
fn a_fill_whose_name_becomes_anothers_during_its_commit_does_not_publish_that() {
    let own = own();
    let mut first = start_to_stop_at(&own.dir, "claim x", "commit.synced");
    first.go_on();
    first.stops();
    fs::remove_file(own.dir.join("incomplete/.icewell/x")).unwrap();
    let mut second = begin(&own, "x", b"by", 5);
    first.wake();
    assert_eq!(first.finish(), ["Io"]);
    assert_eq!(bytes(&own, "x"), None);
    second.write(b"tes").unwrap();
    assert_eq!(second.commit().unwrap(), Commit::Stored);
    assert_eq!(bytes(&own, "x").unwrap(), b"bytes");
}

/// As WSGI servers do: the child shares our open file descriptions, and lives long.
#[test]
fn a_process_forked_meanwhile_keeps_no_claim() {
    let own = own();
    let writer = begin(&own, "x", b"by", 5);
    // SAFETY: the child calls nothing but pause(2) and _exit(2), which are safe after a fork with threads.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            libc::pause();
            libc::_exit(0)
        }
    }
    drop(writer);
    let again = own.write(&id("x"));
    // SAFETY: plain integers and a null pointer; the child is ours and not yet waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    drop(again.unwrap());
}

/// Claims and commits and roll-backs of one image by many: whoever opened the file before the rename and locked it
/// after must not fill the committed inode.
#[test]
fn a_rename_between_open_and_lock_is_noticed() {
    let own = own();
    let image = id("x");
    let held = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (own, image, held) = (&own, &image, &held);
            scope.spawn(move || {
                for round in 0..300 {
                    let mut writer = match own.cache.write(image) {
                        Ok(writer) => writer,
                        Err(error) if error.kind() == ErrorKind::AlreadyCached => {
                            own.remove(image).unwrap();
                            continue;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::InProgress, "{error}");
                            continue;
                        }
                    };
                    assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two fill at once");
                    writer.start(announced(4)).unwrap();
                    writer.write(b"good").unwrap();
                    held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    if (round + thread) % 3 == 0 {
                        writer.roll_back("for a change");
                    } else {
                        writer.commit().unwrap();
                        if let Some(bytes) = bytes(own, "x") {
                            assert_eq!(bytes, b"good");
                        }
                    }
                }
            });
        }
    });
}
