use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::env::{TestEnv, run};

#[test]
fn a_copy_and_a_hit() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let dest = env.file("dest", "something longer than the image");
    env.run(&["get", "a", &dest]).exits(0).says_nothing();
    assert_eq!(fs::read(&dest).unwrap(), b"hello");
    assert_eq!(env.hits("a"), 1);
}

#[test]
fn into_a_folder_it_goes_under_its_id() {
    let env = TestEnv::new();
    env.image("a", "hello");
    fs::create_dir(env.path("folder")).unwrap();
    let told = env.json(&["get", "a", "folder"]);
    assert_eq!(fs::read(env.path("folder/a")).unwrap(), b"hello");
    assert_eq!(told["destination"], "folder/a");
    assert_eq!((&told["image_id"], &told["size"]), (&"a".into(), &5.into()));
    assert!(["reflink", "sparse"].contains(&told["copied"].as_str().unwrap()));
}

#[test]
fn a_copy_takes_no_more_room_than_the_image() {
    let env = TestEnv::new();
    let mut bytes = vec![0; 8 << 20];
    bytes[5 << 20] = 1;
    env.image("a", &bytes);
    let told = env.json(&["get", "a", "copy"]);
    assert!(fs::read(env.path("copy")).unwrap() == bytes);
    let copy = fs::metadata(env.path("copy")).unwrap();
    // A shared block counts at both files.
    assert!(copy.blocks() * 512 < 1 << 20, "{told}: {} blocks", copy.blocks());
}

#[test]
fn to_standard_output_whether_pipe_or_file() {
    let env = TestEnv::new();
    let bytes = "0123456789abcdef".repeat(1 << 16);
    env.image("a", &bytes);
    assert!(env.ok(&["get", "a", "-"]) == bytes);
    let mut command = env.command(&["get", "a", "-"]);
    let file = fs::File::create(env.path("out")).unwrap();
    assert!(command.stdout(file).status().unwrap().success());
    assert!(fs::read(env.path("out")).unwrap() == bytes.as_bytes());
    assert_eq!(env.hits("a"), 2);
}

#[test]
fn a_reader_that_has_enough_is_no_failure_and_no_hit() {
    let env = TestEnv::new();
    env.image("a", vec![1; 4 << 20]);
    let mut command = env.command(&["get", "a", "-"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert_eq!(env.hits("a"), 0);
}

#[test]
fn standard_output_is_for_one_thing() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.run(&["get", "a", "-", "--json"]).exits(2).tells("both want standard output");
}

#[test]
fn nothing_is_copied_into_the_cache_directory() {
    let env = TestEnv::new();
    env.image("a", "hello");
    fs::hard_link(env.dir().join("a"), env.path("link")).unwrap();
    for dest in ["cache/a", "cache/b", "cache", "cache/queue/q", "link"] {
        env.run(&["get", "a", dest]).exits(2).tells("is in the cache directory");
    }
    assert_eq!(fs::read(env.dir().join("a")).unwrap(), b"hello");
    assert_eq!(env.listed(&[]), ["a"]);
    assert_eq!(env.hits("a"), 0);
}

#[test]
fn what_is_not_there_or_cannot_be_written() {
    let env = TestEnv::new();
    env.run(&["get", "a", "dest"]).exits(1).tells("it is not cached");
    assert!(!env.path("dest").exists());
    env.image("a", "hello");
    env.run(&["get", "a", "no/such/folder"]).exits(1).tells("No such file or directory");
    let mut command = env.command(&["get", "a", "-"]);
    command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(env.hits("a"), 0);
}

#[test]
fn to_something_that_is_no_file() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let mut command = env.command(&["get", "a", "/dev/stdout"]);
    command.stdin(Stdio::null());
    assert_eq!(run(command, b"").exits(0).stdout, "hello");
}
