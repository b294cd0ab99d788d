use crate::env::{TestEnv, column};

#[test]
fn cached_copies_go_and_nothing_else() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.image("b", "hello");
    env.ok(&["queue", "q"]);
    env.invalid("bad", "why");
    env.run(&["rm", "a"]).exits(0).says_nothing();
    assert_eq!(env.listed(&[]), ["b"]);
    env.run(&["rm", "q", "bad"]).exits(1);
    assert_eq!(env.listed(&["--queued"]), ["q"]);
    assert_eq!(env.listed(&["--invalid"]), ["bad"]);
}

#[test]
fn an_absent_one_is_a_failure_and_stops_nobody() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.image("b", "hello");
    let rows = env.run(&["rm", "a", "absent", "b", "--json"]).exits(1).tells("absent: it is not cached").json();
    assert_eq!(column(&rows, "image_id"), ["a", "absent", "b"]);
    assert_eq!(column(&rows, "result"), ["removed", "not_cached", "removed"]);
    assert_eq!(env.listed(&[]), [""; 0]);
    env.run(&["rm", "--force", "absent"]).exits(0).says_nothing();
}

#[test]
fn all_spares_pinned_ones_unless_forced() {
    let env = TestEnv::new();
    for id in ["a", "b", "c"] {
        env.image(id, "hello");
    }
    env.ok(&["pin", "b"]);
    assert_eq!(env.ok(&["rm", "--all"]), "removed 2 images, 10 B; 1 pinned stay, but for --force\n");
    assert_eq!(env.listed(&[]), ["b"]);
    let rows = env.json(&["rm", "--all", "--force"]);
    assert_eq!(column(&rows, "result"), ["removed"]);
    assert_eq!(env.listed(&[]), [""; 0]);
    assert_eq!(env.run(&["rm", "--all", "--json"]).exits(0).stdout, "[]\n");
}

#[test]
fn a_file_that_is_not_the_image_it_is_named_goes_only_by_force() {
    let env = TestEnv::new();
    env.image("a", "hello");
    std::fs::rename(env.dir().join("a"), env.dir().join("b")).unwrap();
    env.run(&["rm", "b"]).exits(1);
    assert!(env.dir().join("b").exists());
    env.run(&["rm", "--force", "b"]).exits(0);
    assert!(!env.dir().join("b").exists());
}

#[test]
fn something_must_be_named_and_not_twice() {
    let env = TestEnv::new();
    env.run(&["rm"]).exits(2);
    env.run(&["rm", "--all", "a"]).exits(2);
}
