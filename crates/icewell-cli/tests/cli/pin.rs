use crate::env::{TestEnv, column};

#[test]
fn pinned_images_stay_when_others_are_pruned() {
    let env = TestEnv::new();
    for id in ["a", "b"] {
        env.image(id, "hello");
    }
    env.run(&["pin", "a"]).exits(0).says_nothing();
    env.ok(&["prune", "--max-size", "0"]);
    assert_eq!(env.listed(&[]), ["a"]);
    env.run(&["unpin", "a"]).exits(0).says_nothing();
    env.ok(&["prune", "--max-size", "0"]);
    assert_eq!(env.listed(&[]), [""; 0]);
}

#[test]
fn what_is_not_cached_cannot_be_pinned() {
    let env = TestEnv::new();
    env.image("a", "hello");
    for (verb, result) in [("pin", "pinned"), ("unpin", "unpinned")] {
        let rows = env.run(&[verb, "absent", "a", "--json"]).exits(1).tells("absent: it is not cached").json();
        assert_eq!(column(&rows, "result"), ["not_cached", result]);
        env.run(&[verb]).exits(2);
    }
}
