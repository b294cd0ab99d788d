use std::os::unix::fs::{PermissionsExt, symlink};

use crate::env::{TestEnv, column, keys};

#[test]
fn a_healthy_cache() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let findings = env.json(&["doctor"]);
    assert_eq!(keys(&findings[0]), ["advice", "message", "path", "severity"]);
    assert!(!column(&findings, "severity").contains(&"problem"));
    assert!(env.ok(&["doctor"]).contains("MiB free"));
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

#[test]
fn what_is_wrong_with_the_settings_and_what_they_name() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.file("icewell.toml", "max-size = 3\n");
    let ran = env.run(&["doctor", "--config", "icewell.toml"]).exits(1);
    assert!(ran.stdout.starts_with("problem: icewell.toml, line 1: max-size: there is no such setting"), "{ran:?}");
    assert!(ran.stdout.contains("do: edit it; then icewell config --check icewell.toml"), "{ran:?}");
    env.file("icewell.toml", "admin_token_file = 'nowhere'\nmax_connections = 18446744073709551615\n");
    let ran = env.run(&["doctor", "--config", "icewell.toml"]).exits(1);
    assert!(ran.stdout.contains("problem: settings: cannot use the admin token"), "{ran:?}");
}

#[test]
fn whether_the_origin_answers() {
    let env = TestEnv::new();
    env.image("a", "hello");
    // Nobody listens there.
    env.file("icewell.toml", "origin = 'http://127.0.0.1:1/'\n");
    let ran = env.run(&["doctor", "--config", "icewell.toml"]).exits(1);
    assert!(ran.stdout.contains("problem: origin: the origin http://127.0.0.1:1 does not answer"), "{ran:?}");
    env.run(&["doctor", "--config", "icewell.toml", "--offline"]).exits(0);
    std::fs::create_dir(env.path("images")).unwrap();
    env.file("icewell.toml", "origin = 'images'\n");
    assert!(env.ok(&["doctor", "--config", "icewell.toml"]).contains("info: origin: it answers"));
}

#[test]
fn images_of_the_future() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let touched = std::process::Command::new("touch").args(["-d", "2100-01-01"]).arg(env.dir().join("a")).status();
    assert!(touched.unwrap().success());
    let said = env.ok(&["doctor"]);
    assert!(said.contains("warning: clock: 1 image was used or written in the future"), "{said}");
    assert!(said.contains("do: timedatectl set-ntp true"), "{said}");
}
