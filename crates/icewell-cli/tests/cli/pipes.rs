use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::env::TestEnv;

/// More than a pipe holds.
fn many_images() -> TestEnv {
    let env = TestEnv::new();
    let cache = env.cache();
    drop(cache);
    for number in 0..1500 {
        std::fs::write(env.dir().join(format!("{number:0200}")), "").unwrap();
    }
    env
}

#[test]
fn a_reader_that_goes_away_is_success() {
    let env = many_images();
    for arguments in [&["ls"][..], &["ls", "--json"], &["verify"]] {
        let mut child = env.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}

#[test]
fn help_for_nobody_is_success() {
    let env = TestEnv::new();
    let mut child = env.command(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn output_that_gets_lost_otherwise_is_a_failure() {
    let env = TestEnv::new();
    env.image("a", "hello");
    for arguments in [&["ls"][..], &["ls", "--json"], &["status"], &["completions", "bash"], &["--help"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = env.command(arguments).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}
