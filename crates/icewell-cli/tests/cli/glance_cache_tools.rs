//! Called by the names of Glance's tools. That they say what those say is tested beside them in tests/glance.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::env::{Ran, TestEnv, run};

/// Runs the binary by a link of that name.
fn tool(env: &TestEnv, name: &str, arguments: &[&str], input: Option<&str>) -> Ran {
    let link = env.path(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_icewell"), &link).unwrap();
    }
    let mut command = Command::new(&link);
    command.env_clear().env("HOME", env.path("")).current_dir(env.path("")).args(arguments);
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    run(command, input.unwrap_or_default().as_bytes())
}

fn conf(env: &TestEnv, name: &str, more: &str) {
    env.file(name, format!("[DEFAULT]\nimage_cache_dir = {}\n{more}", env.dir().display()));
}

/// The status and standard output, and that standard error is the one line that Glance's tool prints at each run.
#[track_caller]
fn quiet(ran: &Ran) -> (i32, &str) {
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("deprecated"), "{ran:?}");
    (ran.code, &ran.stdout)
}

#[test]
fn pruner_keeps_to_the_files_in_the_usual_places() {
    let env = TestEnv::new();
    for id in ["a", "b", "c"] {
        env.image(id, [b'x'; 1000]);
    }
    conf(&env, "glance-api.conf", "image_cache_max_size = 1\n");
    conf(&env, "glance-cache.conf", "image_cache_max_size = 2500\n");
    assert_eq!(quiet(&tool(&env, "glance-cache-pruner", &[], None)), (0, ""));
    assert_eq!(env.listed(&[]).len(), 2, "the later file counts");
    conf(&env, "named.conf", "image_cache_max_size = 1500\n");
    assert_eq!(quiet(&tool(&env, "glance-cache-pruner", &["--config-file", "named.conf"], None)), (0, ""));
    assert_eq!(env.listed(&[]).len(), 1);
}

#[test]
fn cleaner_removes_what_failed_and_what_stalled() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.invalid("failed", "why");
    let left = std::fs::File::create(env.dir().join("incomplete/left")).unwrap();
    left.set_modified(SystemTime::now() - Duration::from_secs(120)).unwrap();
    drop(left);
    conf(&env, "conf", "image_cache_stall_time = 60\n");
    assert_eq!(quiet(&tool(&env, "glance-cache-cleaner", &["--config-file=conf"], None)), (0, ""));
    assert_eq!((env.listed(&["--invalid"]).len(), env.listed(&["--incomplete"]).len()), (0, 0));
    assert_eq!(env.listed(&[]), ["a"]);
}

#[test]
fn prefetcher_says_what_it_lacks() {
    let env = TestEnv::new();
    env.cache();
    conf(&env, "conf", "");
    assert_eq!(quiet(&tool(&env, "glance-cache-prefetcher", &["--config-file", "conf"], None)), (0, ""));
    env.ok(&["queue", "a"]);
    let ran = tool(&env, "glance-cache-prefetcher", &["--config-file", "conf"], None).exits(1);
    assert!(ran.stderr.contains("ERROR: no credentials for Glance: set OS_AUTH_URL"), "{ran:?}");
}

#[test]
fn a_directory_that_nobody_names_is_a_failure() {
    let env = TestEnv::new();
    for name in ["glance-cache-pruner", "glance-cache-cleaner", "glance-cache-prefetcher"] {
        let ran = tool(&env, name, &[], None).exits(1);
        assert!(ran.stderr.contains("ERROR: Failed to read image_cache_dir from config"), "{ran:?}");
        let ran = tool(&env, name, &["--config-file", "nowhere"], None).exits(1);
        assert!(ran.stderr.contains("nowhere: cannot be read"), "{ran:?}");
        let ran = tool(&env, name, &["--bogus"], None).exits(2);
        assert!(ran.stderr.contains(&format!("{name}: error: ")), "{ran:?}");
        let ran = tool(&env, name, &["--version"], None);
        assert_eq!(
            quiet(&ran),
            (0, concat!("NAME (Icewell) ", env!("CARGO_PKG_VERSION"), "\n").replace("NAME", name).as_str())
        );
    }
}

#[test]
fn manage_asks_before_it_does_anything() {
    let env = TestEnv::new();
    let id = "71c675ab-d94f-49cd-a114-e12490b328d9";
    let manage = |arguments: &[&str], input| tool(&env, "glance-cache-manage", arguments, input);
    let asked = format!("Delete cached image {id}? [y/N] ");
    assert_eq!(quiet(&manage(&["delete-cached-image", id], Some("n\n"))), (0, asked.as_str()));
    let ended = format!("{asked}Failed to delete the specified cached image. Got error:\nEOF when reading a line\n");
    assert_eq!(quiet(&manage(&["delete-cached-image", id], None)), (1, ended.as_str()));
    // Nobody listens on port 1.
    let refused = "Failed to queue the specified image for caching. Got error:\n[Errno 111] Connection refused\n";
    assert_eq!(quiet(&manage(&["-p1", "-A", "token", "--force", "queue-image", id], None)), (1, refused));
    assert_eq!(quiet(&manage(&["queue-image", "abc"], None)), (1, "Image ID 'abc' is not a valid UUID.\n"));
}

#[test]
fn manage_lets_no_name_steer_the_terminal() {
    let env = TestEnv::new();
    let ran = tool(&env, "glance-cache-manage", &["bo\u{1b}[2Jgus"], None).exits(1);
    assert!(ran.stdout.contains("Error: \"bo\\u{1b}[2Jgus\" is not a valid command."), "{ran:?}");
    assert!(ran.stderr.ends_with("Unknown command: bo\\u{1b}[2Jgus\n"), "{ran:?}");
}
