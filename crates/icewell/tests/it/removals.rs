//! What was removed can be asked for afterwards, with the reason.

use std::time::Duration;

use icewell::{Limit, Mode, Removal, Removed, Why};

use crate::support::{at, begin, id, own, put};

fn limit(max_size: u64) -> Limit {
    Limit { max_size, ..Limit::default() }
}

fn told(removals: Vec<Removal>) -> Vec<(String, Removed, Why, u64)> {
    removals.into_iter().map(|gone| (gone.name, gone.what, gone.why, gone.bytes)).collect()
}

#[test]
fn what_went_for_room_by_a_prune_and_by_a_clean() {
    let own = own();
    for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
        own.clock.set(at(n as u64));
        put(&own, name, &[b'x'; 10]);
    }
    assert!(own.removals().is_empty());
    own.set_limit(limit(30)).unwrap();
    put(&own, "d", &[b'x'; 5]);
    own.prune(limit(20), Mode::DryRun).unwrap();
    own.prune(limit(20), Mode::Act).unwrap();
    begin(&own, "e", b"by", 5).roll_back("why");
    own.reap_invalid(Duration::ZERO).unwrap();
    // The same directory, opened once more, has removed nothing itself; a clone has.
    assert!(icewell::Cache::open(&own.dir).unwrap().removals().is_empty());
    let removals = own.cache.clone().removals();
    assert_eq!(removals[2].last_used, at(0));
    let expected = [
        ("e".to_owned(), Removed::InvalidFill, Why::Old, 2),
        ("b".to_owned(), Removed::Image, Why::Prune, 10),
        ("a".to_owned(), Removed::Image, Why::Limit, 10),
    ];
    assert_eq!(told(removals), expected);
    assert_eq!(own.removed(Removed::Image, Why::Limit).files, 1);
    assert_eq!(own.removed(Removed::Image, Why::Prune).bytes, 10);
    assert_eq!(own.removed(Removed::Image, Why::DiskFull).files, 0);
    // Who removes an image by its name knows why.
    own.remove(&id("c")).unwrap();
    assert_eq!(own.removals().len(), 3);
}
