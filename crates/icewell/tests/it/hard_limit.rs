//! The limit is hard: everything under DIR, fills under way included, stays within it, whoever fills.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use icewell::{Announced, Cache, Count, ErrorKind, Limit, MinFree};

use crate::process::start;
use crate::support::{Stop, announced, at, begin, bytes, failed, files_under, id, listed, noise, own, put};

const MB: u64 = 1 << 20;

fn limit(max_size: u64) -> Limit {
    Limit { max_size, ..Limit::default() }
}

/// The most bytes seen under DIR while `work` ran.
fn most_during(dir: &std::path::Path, work: impl FnOnce()) -> u64 {
    let (stop, most) = (Stop::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.is_set() {
                // What two walks agree on was there at one moment; one alone may meet a file, and the one that was
                // removed for it.
                let files = files_under(dir);
                if files == files_under(dir) {
                    most.fetch_max(files.values().sum(), Ordering::SeqCst);
                }
            }
        });
        let _set_at_the_end = stop.setter();
        work();
    });
    most.load(Ordering::SeqCst)
}

#[test]
fn threads_and_processes_together_never_go_over() {
    let own = own();
    own.set_limit(limit(3 * MB)).unwrap();
    let most = most_during(&own.dir, || {
        let mut processes: Vec<_> = (0..3).map(|n| start(&own.dir, &format!("fill p{n}- 12 700000"))).collect();
        processes.iter_mut().for_each(|process| process.go_on());
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let own = &own;
                scope.spawn(move || {
                    for n in 0..12_u64 {
                        let mut writer = own.cache.write(&id(&format!("t{thread}-{n}"))).unwrap();
                        match writer.start(announced(700_000)) {
                            Err(error) if error.kind() == ErrorKind::NoRoom => continue,
                            other => other.unwrap(),
                        }
                        writer.write(&noise(n, 700_000)).unwrap();
                        match n % 4 {
                            0 => writer.roll_back("for a change"),
                            1 => writer.suspend().unwrap(),
                            _ => drop(writer.commit().unwrap()),
                        }
                    }
                });
            }
        });
        processes.into_iter().for_each(|process| drop(process.finish()));
    });
    assert!(most <= 3 * MB, "{most} bytes under DIR");
    assert!(most > 2 * MB, "the room is used: {most}");
    assert!(!listed(&own).is_empty());
}

#[test]
fn field_glance_05_room_is_made_from_abandoned_fills_then_failed_ones_then_images() {
    let own = own();
    own.set_limit(limit(50)).unwrap();
    for (n, name) in ["old", "young"].into_iter().enumerate() {
        own.clock.set(at(n as u64));
        put(&own, name, &[b'x'; 10]);
    }
    begin(&own, "failed", &[b'x'; 10], 10).roll_back("why");
    begin(&own, "suspended", &[b'x'; 10], 10).suspend().unwrap();
    fs::write(own.dir.join("incomplete/theirs"), [b'x'; 10]).unwrap();
    let left = |size| {
        let mut writer = own.write(&id("new")).unwrap();
        writer.start(announced(size)).unwrap();
        writer.release().unwrap();
        (own.incomplete().unwrap().len(), failed(&own).len(), listed(&own))
    };
    let both = vec!["old".to_owned(), "young".into()];
    assert_eq!(left(10), (1, 1, both.clone()));
    assert_eq!(left(20), (0, 1, both.clone()));
    assert_eq!(left(30), (0, 0, both));
    assert_eq!(left(40), (0, 0, vec!["young".to_owned()]));
    assert_eq!(left(50), (0, 0, vec![]));
}

#[test]
fn a_reservation_of_another_process_counts() {
    let own = own();
    own.set_limit(limit(5000)).unwrap();
    let mut other = start(&own.dir, "hold x");
    other.says();
    let mut writer = own.write(&id("y")).unwrap();
    let error = writer.start(announced(2001)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoom, "3,000 are promised though 1,000 are written");
    writer.start(announced(2000)).unwrap();
    drop(writer);
    other.kill();
    let mut writer = own.write(&id("y")).unwrap();
    writer.start(announced(5000)).unwrap();
}

#[test]
fn a_glances_running_fill_counts_and_is_not_removed() {
    use std::io::Write;
    let own = own();
    own.set_limit(limit(100)).unwrap();
    let mut its = fs::File::create(own.dir.join("incomplete/theirs")).unwrap();
    its.write_all(&[1; 60]).unwrap();
    let mut writer = own.write(&id("x")).unwrap();
    assert_eq!(writer.start(announced(41)).unwrap_err().kind(), ErrorKind::NoRoom);
    writer.start(announced(40)).unwrap();
    assert!(own.dir.join("incomplete/theirs").exists());
}

#[test]
fn a_body_of_unknown_size_reserves_step_by_step() {
    let own = own();
    own.set_limit(limit(5 * MB)).unwrap();
    put(&own, "old", &noise(1, MB as usize));
    let whole = noise(2, 5 * MB as usize);
    let most = most_during(&own.dir, || {
        let mut writer = own.write(&id("x")).unwrap();
        writer.start(Announced::default()).unwrap();
        whole.chunks(100_000).for_each(|piece| writer.write(piece).unwrap());
        writer.commit().unwrap();
    });
    assert!(most <= 5 * MB, "{most}");
    assert!(bytes(&own, "x").unwrap() == whole, "all the room there is can be used");
    assert!(!own.is_cached(&id("old")).unwrap());
    own.set_pinned(&id("x"), true).unwrap();
    let mut writer = own.write(&id("y")).unwrap();
    let error = writer.write(b"one byte too many").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoom);
}

#[test]
fn the_limit_is_kept_on_the_directory() {
    let own = own();
    assert_eq!(own.limit().unwrap(), Limit::default());
    assert_eq!(own.limit().unwrap().max_size, 10 << 30);
    for (count, min_free) in [
        (Count::Allocated, Some(MinFree::Bytes(5))),
        (Count::Size, Some(MinFree::Share { hundredths: 250 })),
        (Count::Size, None),
    ] {
        let limit = Limit { max_size: 77, count, min_free };
        own.set_limit(limit).unwrap();
        assert_eq!(Cache::open(&own.dir).unwrap().limit().unwrap(), limit);
    }
}

#[test]
fn a_lower_limit_is_enforced() {
    let own = own();
    for name in ["a", "b", "c"] {
        put(&own, name, &[1; 10]);
    }
    assert!(own.enforce_limit().unwrap());
    own.set_limit(limit(15)).unwrap();
    assert!(own.enforce_limit().unwrap());
    assert_eq!(listed(&own), ["c"]);
    own.set_pinned(&id("c"), true).unwrap();
    own.set_limit(limit(5)).unwrap();
    assert!(!own.enforce_limit().unwrap(), "what is pinned stays, and that is told");
}

#[test]
fn field_more_allocated_bytes_are_counted_where_asked_for() {
    let own = own();
    own.set_limit(Limit { max_size: 4 * MB, count: Count::Allocated, min_free: None }).unwrap();
    let zeros = vec![0; 3 * MB as usize];
    for name in ["a", "b", "c"] {
        put(&own, name, &zeros);
    }
    assert_eq!(listed(&own), ["a", "b", "c"], "9 MiB of holes fit 4 MiB of disk");
    own.set_limit(limit(4 * MB)).unwrap();
    own.enforce_limit().unwrap();
    assert_eq!(listed(&own), ["c"]);
}

#[test]
fn a_soft_limit_stops_no_fill_and_costs_no_image() {
    let own = own();
    own.set_limit(limit(2 * MB)).unwrap();
    put(&own, "old", &noise(1, 1 << 20));
    let soft = own.clone().with_soft_limit();
    put(&soft, "new", &noise(2, 5 << 20));
    let mut unsized_fill = soft.write(&id("unsized")).unwrap();
    unsized_fill.write(&noise(3, 3 << 20)).unwrap();
    unsized_fill.commit().unwrap();
    assert_eq!(listed(&own), ["new", "old", "unsized"]);
    // What lies there beyond the limit counts for everybody else.
    let mut hard = own.write(&id("next")).unwrap();
    hard.start(announced(1 << 20)).unwrap();
    assert!(!listed(&own).contains(&"old".into()));
}
