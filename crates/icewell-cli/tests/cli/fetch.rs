use std::fs;

use crate::env::{TestEnv, column};

fn with_origin() -> TestEnv {
    let env = TestEnv::new();
    fs::create_dir(env.path("origin")).unwrap();
    for id in ["a", "b", "c"] {
        env.file(&format!("origin/{id}"), format!("image {id}"));
    }
    env
}

#[test]
fn the_images_named() {
    let env = with_origin();
    let origin = env.path("origin").to_str().unwrap().to_owned();
    assert_eq!(env.ok(&["fetch", "--origin", &origin, "a", "b"]), "a: fetched, 7 B\nb: fetched, 7 B\n");
    assert_eq!(fs::read(env.dir().join("a")).unwrap(), b"image a");
    let rows = env.json(&["fetch", "--origin", &origin, "a", "c"]);
    assert_eq!(column(&rows, "result"), ["already_cached", "stored"]);
    assert_eq!(rows[1]["size"], 7);
    assert_eq!(env.hits("a"), 0);
}

#[test]
fn the_queue_from_the_origin_that_the_directory_is_bound_to() {
    let env = with_origin();
    let origin = env.path("origin").to_str().unwrap().to_owned();
    env.ok(&["fetch", "--origin", &origin, "a"]);
    env.ok(&["queue", "c", "b"]);
    let rows = env.json(&["fetch"]);
    assert_eq!(column(&rows, "image_id"), ["c", "b"]);
    assert_eq!(env.listed(&["--queued"]), [""; 0]);
    assert_eq!(env.json(&["fetch"]), serde_json::json!([]));
}

#[test]
fn one_that_fails_stops_nobody() {
    let env = with_origin();
    let origin = env.path("origin").to_str().unwrap().to_owned();
    let rows = env.run(&["fetch", "--origin", &origin, "a", "absent", "b", "--json"]).exits(1).tells("absent: ").json();
    assert_eq!(column(&rows, "result"), ["stored", "failed", "stored"]);
    assert!(!rows[1]["error"].as_str().unwrap().is_empty());
}

#[test]
fn no_origin_or_a_senseless_one_is_wrong_usage() {
    let env = TestEnv::new();
    env.run(&["fetch", "a"]).exits(2).tells("no origin is known");
    env.run(&["fetch", "--origin", "gopher://example.org/", "a"]).exits(2).tells("");
}
