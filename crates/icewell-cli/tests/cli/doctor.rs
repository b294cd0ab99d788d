use std::os::unix::fs::{PermissionsExt, symlink};

use crate::env::{TestEnv, column, keys};

#[test]
fn a_healthy_cache() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let findings = env.json(&["doctor"]);
    assert_eq!(keys(&findings[0]), ["advice", "message", "path", "severity"]);
    assert!(!column(&findings, "severity").contains(&"problem"));
    assert!(env.ok(&["doctor"]).contains("bytes free"));
}

#[test]
fn a_stranger_is_told_with_what_to_do_and_is_no_failure() {
    let env = TestEnv::new();
    env.image("a", "hello");
    symlink("/etc/passwd", env.dir().join("evil\u{1b}[2J")).unwrap();
    let said = env.ok(&["doctor"]);
    assert!(said.contains("evil\\u{1b}[2J: a symbolic link"), "{said}");
    assert!(said.contains("\n    do: move it out of the cache directory\n"), "{said}");
}

#[test]
fn a_problem_is_a_failure() {
    let env = TestEnv::new();
    env.image("a", "hello");
    std::fs::set_permissions(env.dir(), PermissionsExt::from_mode(0o777)).unwrap();
    let findings = env.run(&["doctor", "--json"]).exits(1).json();
    assert_eq!(column(&findings, "severity")[0], "problem");
    let file = env.file("file", "");
    let ran = env.run(&["doctor", "--dir", &file]).exits(1);
    assert!(ran.stdout.starts_with("problem: "), "{ran:?}");
}
