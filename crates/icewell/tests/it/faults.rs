//! Every call to the system fails, at each of its times, in every operation; and every operation ends before each of its
//! calls, as by a crash. What failed is told or made good, no image is wrong or lost, and afterwards all works.

mod operations;
mod scene;

use std::collections::BTreeSet;

use icewell::failpoints::{self, arm};

use operations::{OPERATIONS, Operation};
use scene::{Scene, Seen, State, look, tidies_up};

/// What a call may say besides `EIO`, which each may. What means something to the library, as "no such file" does, is not said
/// falsely: no system does that.
const BESIDES: &[(&str, &[&str])] = &[
    ("copy_file_range", &["ENOSPC"]),
    ("fcntl_setlk", &["ENOLCK"]),
    ("fdatasync", &["ENOSPC"]),
    ("fgetxattr", &["EACCES"]),
    ("flock", &["ENOLCK"]),
    ("fsetxattr", &["EACCES", "EDQUOT", "ENOSPC"]),
    ("fsync", &["ENOSPC"]),
    ("ftruncate", &["ENOSPC"]),
    ("getxattrat", &["EACCES"]),
    ("linkat", &["EACCES", "ENOSPC"]),
    ("mkdirat", &["EACCES", "ENOSPC", "EROFS"]),
    ("openat", &["EACCES", "EMFILE", "ENOSPC", "EROFS"]),
    ("pwrite", &["EDQUOT", "ENOSPC"]),
    ("renameat", &["EACCES", "ENOSPC"]),
    ("renameat2", &["EACCES", "ENOSPC"]),
    ("unlinkat", &["EACCES", "ENOSPC", "EROFS"]),
    ("utimensat", &["EACCES", "EPERM"]),
];
/// Made only on file systems that tell late what is free: `it::floor` has them.
const ELSEWHERE: [&str; 1] = ["syncfs"];

/// What an operation is without a fault.
struct Plain {
    reached: Vec<(&'static str, u64)>,
    before: State,
    after: State,
}

fn plain(operation: &Operation) -> Plain {
    let scene = Scene::new();
    (operation.prepare)(&scene);
    let before = look(&scene.dir);
    let armed = arm(operation.under).unwrap();
    (operation.act)(&scene).unwrap();
    let reached = armed.reached();
    drop(armed);
    let after = look(&scene.dir);
    tidies_up(&scene.dir);
    Plain { reached, before, after }
}

/// Does the operation with a fault, and holds what comes of it against what it is without one.
fn with(operation: &Operation, plain: &Plain, fault: &str) {
    let scene = Scene::new();
    (operation.prepare)(&scene);
    let unarmed = arm(&format!("{},{fault}", operation.under)).unwrap();
    let outcome = (operation.act)(&scene);
    let followed = unarmed.followed();
    drop(unarmed);
    let seen = look(&scene.dir);
    let told = format!("{}, {fault}: {outcome:?}\nbefore {:?}\nnow {seen:?}", operation.name, plain.before);
    assert!(followed > 0, "{told}");
    // On a full disk images go to make room.
    let full = fault.ends_with("ENOSPC") || fault.ends_with("EDQUOT");

    let (before, after) = (&plain.before.images, &plain.after.images);
    for (name, image) in &seen.images {
        assert!(image.right || before.get(name).is_some_and(|before| !before.right), "wrong bytes: {told}");
        let known = || before.get(name).into_iter().chain(after.get(name));
        let is_known = |what: fn(&Seen) -> u64| known().any(|known| what(known) == what(image));
        assert!(is_known(|image| image.hits) && is_known(|image| image.pinned.into()), "it was never so: {told}");
    }
    for (name, image) in before {
        let may_go = operation.takes.contains(&name.as_str()) || full && !image.pinned;
        assert!(may_go || seen.images.contains_key(name), "lost: {told}");
    }
    if outcome.is_ok() && !full {
        let is_so = |(name, image): (&String, &Seen)| match seen.images.get(name) {
            Some(seen) if operation.counts_if_it_can => (seen.right, seen.pinned) == (image.right, image.pinned),
            Some(seen) => seen == image,
            None => operation.takes.contains(&name.as_str()),
        };
        assert!(after.iter().all(is_so), "not told: {told}");
    }
    // Where one comes in that was not told it has, is left open.
    let mut wanted = plain.before.queue.iter();
    let was_wanted = |name: &&String| plain.before.queue.contains(name);
    assert!(seen.queue.iter().filter(was_wanted).all(|name| wanted.any(|wanted| wanted == name)), "queued: {told}");
    assert!(seen.queue.iter().all(|name| was_wanted(&name) || plain.after.queue.contains(name)), "queued: {told}");
    assert!(seen.counted <= plain.before.counted.max(seen.limit), "over the limit: {told}");

    tidies_up(&scene.dir);
    if let Err(error) = (operation.act)(&scene) {
        let nothing_to_do = ["it is cached already", "it is not cached"];
        assert!(nothing_to_do.iter().any(|why| error.to_string().contains(why)), "{told}\nafterwards {error}");
    }
    let again = look(&scene.dir);
    assert!(again.images.values().all(|image| image.right), "{told}\nafterwards {again:?}");
}

/// Every other operation, so that tests run side by side.
fn every_call_of_half_of_all(begin: usize) {
    for operation in OPERATIONS.iter().skip(begin).step_by(2).filter(|operation| !operation.only_steps) {
        let plain = plain(operation);
        let calls = plain.reached.iter().filter(|(point, _)| failpoints::calls().contains(point));
        for (point, times) in calls {
            let besides = BESIDES.iter().find(|(call, _)| call == point).map_or(&[][..], |(_, errors)| errors);
            for time in 1..=*times {
                for error in besides.iter().chain(&["EIO"]) {
                    with(operation, &plain, &format!("{point}:{time}={error}"));
                }
            }
            with(operation, &plain, &format!("{point}+=EIO"));
        }
    }
}

#[test]
fn every_call_that_fails_is_told_or_made_good() {
    every_call_of_half_of_all(0);
}

#[test]
fn every_call_that_fails_is_told_or_made_good_in_the_other_operations() {
    every_call_of_half_of_all(1);
}

#[test]
fn an_end_before_any_call_or_at_any_step_leaves_nothing_wrong() {
    for operation in OPERATIONS {
        let plain = plain(operation);
        let all = plain.reached.iter().filter(|(point, _)| *point != "any");
        for (point, times) in all {
            for time in (1..=*times).filter(|_| !operation.only_steps || failpoints::steps().contains(point)) {
                with(operation, &plain, &format!("{point}:{time}=gone"));
            }
        }
    }
}

#[test]
fn every_call_and_every_step_is_reached() {
    let mut reached: BTreeSet<&str> = ELSEWHERE.into();
    OPERATIONS.iter().for_each(|operation| reached.extend(plain(operation).reached.iter().map(|(point, _)| *point)));
    let all = failpoints::calls().iter().chain(failpoints::steps());
    let missed: Vec<_> = all.filter(|point| !reached.contains(**point)).collect();
    assert_eq!(missed, [&""; 0]);
}
