//! The queue keeps its order, also within one tick of the clock, and one of racing callers gets true.

use std::fs;
use std::time::Duration;

use icewell::layout::tag;

use crate::process::start;
use crate::support::{at, begin, id, own, put, queued, set_tag};

#[test]
fn first_come_first_served_though_the_clock_stands_still() {
    let own = own();
    for name in ["c", "a", "b"] {
        assert!(own.queue(&id(name)).unwrap());
    }
    assert_eq!(queued(&own), ["c", "a", "b"]);
    // Also where the clock goes back, and where the first ones are gone.
    own.clock.set(at(0) - Duration::from_secs(1000));
    own.unqueue(&id("c")).unwrap();
    own.queue(&id("0")).unwrap();
    assert_eq!(queued(&own), ["a", "b", "0"]);
    own.unqueue_all().unwrap();
    own.queue(&id("z")).unwrap();
    own.queue(&id("y")).unwrap();
    assert_eq!(queued(&own), ["z", "y"]);
}

#[test]
fn what_is_cached_filled_or_queued_is_not_queued() {
    let own = own();
    put(&own, "cached", b"bytes");
    let _writer = begin(&own, "filled", b"by", 5);
    fs::write(own.dir.join("incomplete/theirs"), b"by").unwrap();
    assert!(own.queue(&id("queued")).unwrap());
    for name in ["cached", "filled", "theirs", "queued"] {
        assert!(!own.queue(&id(name)).unwrap(), "{name}");
    }
    assert_eq!(queued(&own), ["queued"]);
    // A suspended fill is none under way.
    begin(&own, "suspended", b"by", 5).suspend().unwrap();
    assert!(own.queue(&id("suspended")).unwrap());
}

#[test]
fn entries_are_removed_one_or_all() {
    let own = own();
    for name in ["a", "b", "c"] {
        own.queue(&id(name)).unwrap();
    }
    assert!(own.is_queued(&id("b")).unwrap());
    assert!(own.unqueue(&id("b")).unwrap() && !own.unqueue(&id("b")).unwrap());
    assert!(!own.is_queued(&id("b")).unwrap());
    assert_eq!(own.unqueue_all().unwrap(), 2);
    assert!(queued(&own).is_empty());
}

#[test]
fn a_glances_entries_stand_in_line() {
    let own = own();
    own.queue(&id("first")).unwrap();
    fs::write(own.dir.join("queue/glance"), b"").unwrap();
    assert_eq!(queued(&own), ["first", "glance"]);
    assert!(!own.queue(&id("glance")).unwrap());
}

#[test]
fn of_threads_that_race_one_gets_true_and_the_order_is_total() {
    let own = own();
    let won: usize = std::thread::scope(|scope| {
        let queue = || (0..50).filter(|n| own.cache.queue(&id(&format!("x{n}"))).unwrap()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(queue)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 50);
    let mut times: Vec<_> = own.queued().unwrap().into_iter().map(|queued| queued.since).collect();
    times.dedup();
    assert_eq!(times.len(), 50);
}

#[test]
fn of_processes_that_race_one_gets_true() {
    let own = own();
    let mut processes: Vec<_> = (0..4).map(|_| start(&own.dir, "queue x 100")).collect();
    processes.iter_mut().for_each(|process| process.go_on());
    let won = processes.into_iter().map(|process| process.finish()[0].parse::<u32>().unwrap());
    assert_eq!(won.sum::<u32>(), 100);
    assert_eq!(own.queued().unwrap().len(), 100);
}

#[test]
fn no_time_left_behind_by_anybody_is_too_late() {
    let own = own();
    for last in ["9223372036854775807.999999999", "18446744073709551615.000000000", "9223372036854775807.000000000"] {
        set_tag(&own.dir.join("queue"), tag::LAST_QUEUED, last.as_bytes());
        own.queue(&id("x")).unwrap();
        own.unqueue(&id("x")).unwrap();
    }
}
