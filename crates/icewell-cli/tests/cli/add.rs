use std::fs::File;
use std::os::unix::fs::MetadataExt;

use crate::env::{TestEnv, run};

const DIGEST_OF_HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const MD5_OF_HELLO: &str = "md5:5d41402abc4b2a76b9719d911017c592";

#[test]
fn a_file_becomes_a_cached_image() {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    let said = env.ok(&["add", "a", &file]);
    assert_eq!(said, format!("added a: 5 B, {DIGEST_OF_HELLO}\n"));
    assert_eq!(std::fs::read(env.dir().join("a")).unwrap(), b"hello");
}

#[test]
fn what_was_added_is_told_as_json() {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    let image = env.json(&["add", "a", &file, "--name", "Hello", "--digest", MD5_OF_HELLO]);
    assert_eq!(image["image_id"], "a");
    assert_eq!(image["size"], 5);
    assert_eq!(image["hits"], 0);
    assert_eq!(image["name"], "Hello");
    assert_eq!(image["digest"], MD5_OF_HELLO);
    assert_eq!(env.json(&["ls"])[0], image);
}

#[test]
fn standard_input_is_a_pipe_or_the_rest_of_a_file() {
    let env = TestEnv::new();
    env.run_with_input(&["add", "pipe", "-"], b"hello").exits(0);
    assert_eq!(std::fs::read(env.dir().join("pipe")).unwrap(), b"hello");

    let file = env.file("file", "read before, hello");
    let mut file = File::open(file).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(13)).unwrap();
    let mut command = env.command(&["add", "rest", "-"]);
    command.stdin(file);
    run(command, b"").exits(0);
    assert_eq!(std::fs::read(env.dir().join("rest")).unwrap(), b"hello");

    env.ok(&["add", "nothing", "-"]);
    assert_eq!(std::fs::read(env.dir().join("nothing")).unwrap(), b"");
}

#[test]
fn a_wrong_digest_is_refused_and_the_bytes_kept_for_a_look() {
    let env = TestEnv::new();
    let file = env.file("other", "other");
    let ran = env.run(&["add", "a", &file, "--digest", MD5_OF_HELLO]).exits(1);
    ran.tells("it has another digest than the origin vouched for");
    assert_eq!(env.listed(&[]), [""; 0]);
    assert_eq!(env.listed(&["--invalid"]), ["a"]);
    env.run(&["add", "a", &file, "--digest", "md5:zz"]).exits(2).tells("its value is not hex");
}

#[test]
fn what_is_cached_stays() {
    let env = TestEnv::new();
    env.image("a", "old");
    let file = env.file("new", "new");
    env.run(&["add", "a", &file]).exits(1).tells("it is cached already");
    assert_eq!(std::fs::read(env.dir().join("a")).unwrap(), b"old");
}

#[test]
fn what_cannot_be_read_leaves_no_claim() {
    let env = TestEnv::new();
    env.run(&["add", "a", "nowhere"]).exits(1).tells("cannot open \"nowhere\": No such file or directory");
    env.run(&["add", "a", "."]).exits(1).tells("it is a folder");
    assert!(env.cache().is_cacheable(&crate::env::id_of("a")).unwrap());
    assert_eq!(env.listed(&["--invalid"]), [""; 0]);
}

#[test]
fn what_cannot_fit_the_limit_is_refused() {
    let env = TestEnv::new();
    env.cache().set_limit(icewell::Limit { max_size: 10, ..Default::default() }).unwrap();
    env.image("small", "small");
    let file = env.file("large", [b'x'; 11]);
    env.run(&["add", "large", &file]).exits(1).tells("it cannot fit the limit");
    assert_eq!(env.listed(&[]), ["small"]);
}

#[test]
fn zeros_are_kept_as_holes() {
    let env = TestEnv::new();
    let file = env.file("zeros", vec![0; 8 << 20]);
    env.ok(&["add", "a", &file]);
    let image = std::fs::metadata(env.dir().join("a")).unwrap();
    assert_eq!(image.len(), 8 << 20);
    assert!(image.blocks() * 512 < 1 << 20);
}
