use crate::env::{TestEnv, run};

#[test]
fn global_options_stand_before_and_after_the_verb() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let dir = env.dir().to_str().unwrap().to_owned();
    for arguments in [["--dir", &dir, "--json", "ls"], ["ls", "--dir", &dir, "--json"], ["--json", "ls", "--dir", &dir]]
    {
        let mut command = env.command(&arguments);
        command.env_remove("ICEWELL_DIR");
        assert_eq!(run(command, b"").exits(0).json()[0]["image_id"], "a");
    }
}

#[test]
fn the_option_counts_before_the_environment() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let other = env.path("other").to_str().unwrap().to_owned();
    assert_eq!(env.json(&["ls", "--dir", &other]), serde_json::json!([]));
}

#[test]
fn a_missing_directory_is_made() {
    let env = TestEnv::new();
    let deep = env.path("some/where/deep").to_str().unwrap().to_owned();
    env.ok(&["ls", "--dir", &deep]);
    assert!(env.path("some/where/deep/queue").is_dir());
}

#[test]
fn quiet_leaves_errors_and_what_was_asked_for() {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    env.run(&["add", "a", &file, "-q"]).exits(0).says_nothing();
    env.run(&["queue", "b", "-q"]).exits(0).says_nothing();
    assert!(!env.ok(&["ls", "-q"]).is_empty());
    env.run(&["rm", "absent", "-q"]).exits(1).tells("absent: it is not cached");
}

#[test]
fn verbose_tells_what_is_done() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.run(&["prune", "--max-size", "0", "-v"]).exits(0).tells("icewell: info: pruned image_id=a size=5\n");
    env.image("a", "hello");
    let mut command = env.command(&["prune", "--max-size", "0"]);
    command.env("ICEWELL_LOG", "icewell=info");
    run(command, b"").exits(0).tells("icewell: info: pruned image_id=a");
    let mut command = env.command(&["ls"]);
    command.env("RUST_LOG", "icewell=loud=er");
    run(command, b"").exits(2).tells("RUST_LOG: ");
}
