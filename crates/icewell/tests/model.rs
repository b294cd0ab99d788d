//! Generated operations, crashes in them and meddling from outside among them, on two caches of one directory and on a plain
//! model of it: after each step both must show the same.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "meddling goes past the library")]

mod support;

#[cfg(debug_assertions)]
#[path = "model/crashes.rs"]
mod crashes;
#[path = "model/held.rs"]
mod held;
#[path = "model/operations.rs"]
mod operations;
#[path = "model/reference.rs"]
mod reference;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use operations::Operation::{self, *};
use reference::Harness;

fn check(operations: &[Operation]) {
    let mut harness = Harness::new();
    for (step, operation) in operations.iter().enumerate() {
        harness.apply(operation);
        harness.compare(&format!("after step {step}, {operation:?}, of {operations:?}"));
    }
}

proptest! {
    // The same cases each time: what fails then is the change. Another seed goes through others.
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_cache_is_its_model(operations in prop::collection::vec(operations::operation(), 1..40)) {
        check(&operations);
    }
}

/// A moved image is in the way of a fill of its new name, and must not be lost to its old one.
#[test]
fn regression_moved_there_and_back() {
    check(&[Fill(0, 10), Move(0, 1), Fill(1, 20), Fill(0, 30), Prune(0)]);
}

/// A suspended fill is gone on with, though its image was cached and removed meanwhile by somebody else.
#[test]
fn regression_cached_by_another_while_suspended() {
    check(&[Suspend(0, 10, 20), Plant(0, 5), Resume(0, 20), Remove(0), Resume(0, 20)]);
}

/// A fill that was broken off is gone on with under a limit that is lower by now.
#[test]
fn regression_resumed_under_a_lower_limit() {
    check(&[Fill(0, 16), Suspend(3, 23, 23), Limit(20), Resume(3, 0)]);
}

/// A leftover in `incomplete/` stays for a claim that is given back at once.
#[test]
fn regression_leftover_and_a_claim_given_back() {
    check(&[Leave(0, 7), Queue(0), Claim(0), Queue(0)]);
}
