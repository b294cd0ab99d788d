//! Clean removes what failed and what stalled, and never a fill that is alive.

use std::time::{Duration, SystemTime};

use icewell::{DEFAULT_STALL_TIME, Verdict};

use crate::process::start;
use crate::support::{Own, Stop, begin, failed, id, names, own, put, set_modified};

const HOUR: Duration = Duration::from_secs(3600);

/// The files' times are the machine's, so the clock starts there.
fn today() -> Own {
    let own = own();
    own.clock.set(SystemTime::now());
    own
}

#[test]
fn failed_fills_go_at_once_or_after_a_grace() {
    let own = today();
    begin(&own, "x", b"by", 5).roll_back("why");
    begin(&own, "y", b"by", 5).roll_back("why");
    assert_eq!(own.reap_invalid(HOUR).unwrap(), 0);
    own.clock.advance(HOUR * 2);
    begin(&own, "z", b"by", 5).roll_back("why");
    set_modified(&own.dir.join("invalid/z"), SystemTime::now() + HOUR * 2);
    assert_eq!(own.reap_invalid(HOUR).unwrap(), 2);
    assert!(failed(&own).contains_key("z"));
    assert_eq!(own.reap_invalid(Duration::ZERO).unwrap(), 1);
    assert_eq!(own.reap_invalid(Duration::ZERO).unwrap(), 0);
}

/// The grace is for people to have a look: it begins when the image failed, not when it was written.
#[test]
fn a_grace_begins_with_the_failure() {
    let own = today();
    put(&own, "x", b"bytes");
    std::fs::write(own.dir.join("x"), b"bytez").unwrap();
    set_modified(&own.dir.join("x"), SystemTime::now() - HOUR * 1000);
    own.clock.advance(HOUR * 10);
    assert!(matches!(own.verify(&id("x"), &mut |_| {}).unwrap(), Verdict::Corrupt(_)));
    own.clock.advance(HOUR / 2);
    assert_eq!(own.reap_invalid(HOUR).unwrap(), 0);
    own.clock.advance(HOUR);
    assert_eq!(own.reap_invalid(HOUR).unwrap(), 1);
}

#[test]
fn fills_that_nobody_goes_on_with_stall() {
    let own = today();
    begin(&own, "suspended", b"by", 5).suspend().unwrap();
    let mut killed = start(&own.dir, "hold killed");
    killed.says();
    killed.kill();
    let _alive = begin(&own, "alive", b"by", 5);
    let mut other = start(&own.dir, "hold other");
    other.says();
    assert_eq!(own.reap_stalled(DEFAULT_STALL_TIME).unwrap(), 0);
    own.clock.advance(DEFAULT_STALL_TIME * 2);
    assert_eq!(own.reap_stalled(DEFAULT_STALL_TIME).unwrap(), 2);
    own.clock.advance(DEFAULT_STALL_TIME * 1000);
    assert_eq!(own.reap_stalled(Duration::ZERO).unwrap(), 0);
    assert_eq!(names(&own.dir.join("incomplete")), [".icewell", "alive", "other"]);
    assert_eq!(names(&own.dir.join("incomplete/.icewell")), ["alive", "other"]);
    assert!(own.incomplete().unwrap().iter().all(|fill| fill.active));
    other.finish();
}

#[test]
fn both_at_once_are_told_apart() {
    let own = today();
    begin(&own, "x", b"by", 5).roll_back("why");
    begin(&own, "y", b"by", 5).suspend().unwrap();
    put(&own, "z", b"bytes");
    let cleaned = own.clean(Duration::ZERO).unwrap();
    assert_eq!((cleaned.invalid, cleaned.stalled), (1, 1));
    assert!(own.is_cached(&id("z")).unwrap());
}

/// A fill that is claimed again while a cleaner or a prune looks at it must not lose its file.
#[test]
fn field_15_a_fill_claimed_meanwhile_is_spared() {
    let own = today();
    let stop = Stop::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.is_set() {
                    own.reap_stalled(Duration::ZERO).unwrap();
                }
            });
        }
        let _set_at_the_end = stop.setter();
        for round in 0..300 {
            begin(&own, "x", b"by", 5).suspend().unwrap();
            let mut writer = own.write(&id("x")).unwrap();
            writer.resume(crate::support::announced(5)).unwrap();
            let rest = &b"bytes"[writer.written() as usize..];
            writer.write(rest).unwrap();
            writer.commit().unwrap_or_else(|error| panic!("round {round}: {error:?}"));
            own.remove(&id("x")).unwrap();
        }
    });
}
