use icewell::{Announced, Limit};

use crate::env::{TestEnv, id_of, keys};

#[test]
fn everything_in_one_object() {
    let env = TestEnv::new();
    env.image("a", "hello");
    env.image("b", "hi");
    env.ok(&["get", "a", "copy"]);
    env.ok(&["get", "b", "copy"]);
    env.ok(&["pin", "a"]);
    env.ok(&["queue", "x", "y", "z"]);
    env.invalid("bad", "why");
    let cache = env.cache();
    cache.set_limit(Limit { max_size: 1 << 20, ..Limit::default() }).unwrap();
    let mut fill = cache.write(&id_of("fill")).unwrap();
    fill.start(Announced { size: Some(1000), ..Announced::default() }).unwrap();

    let status = env.json(&["status"]);
    assert_eq!(
        keys(&status),
        [
            "daemon",
            "dir",
            "file_system",
            "health",
            "images",
            "incomplete",
            "invalid",
            "limit",
            "next",
            "origin",
            "queued"
        ]
    );
    assert_eq!(status["dir"], env.dir().to_str().unwrap());
    assert_eq!(status["origin"], serde_json::Value::Null);
    let images = &status["images"];
    assert_eq!(keys(images), ["allocated", "count", "hits", "pinned", "size"]);
    assert_eq!((&images["count"], &images["size"]), (&2.into(), &7.into()));
    assert_eq!((&images["hits"], &images["pinned"]), (&2.into(), &1.into()));
    assert_eq!((&status["incomplete"]["count"], &status["incomplete"]["active"]), (&1.into(), &1.into()));
    assert_eq!(status["incomplete"]["fills"][0]["image_id"], "fill");
    assert_eq!((&status["invalid"]["count"], &status["invalid"]["size"]), (&1.into(), &3.into()));
    assert_eq!(status["queued"], 3);
    assert_eq!((&status["limit"]["max_size"], &status["limit"]["count"]), (&(1 << 20).into(), &"size".into()));
    assert_eq!(status["limit"]["used"], 7 + 3 + 1000);
    assert!(status["file_system"]["available"].as_u64().unwrap() <= status["file_system"]["total"].as_u64().unwrap());

    let text = env.ok(&["status"]);
    for line in [
        "cached:        2 images, 7 B, ",
        "hits:          2\n",
        "  fill: 0 B of 1000 B (0 %), last written ",
        "queued:        3\n",
        "limit:         1010 B of 1.00 MiB used (0 %), counting sizes\n",
    ] {
        assert!(text.contains(line), "{line:?} not in {text}");
    }
}

#[test]
fn the_origin_it_is_bound_to() {
    let env = TestEnv::new();
    env.cache().bind_origin("https://example.org/images", icewell::Adoption::Refused).unwrap();
    assert_eq!(env.json(&["status"])["origin"], "https://example.org/images");
    assert!(env.ok(&["status"]).contains("origin:        https://example.org/images\n"));
}

#[test]
fn what_is_to_stay_free() {
    let env = TestEnv::new();
    let cache = env.cache();
    assert_eq!(env.json(&["status"])["limit"]["min_free"], serde_json::Value::Null);
    assert!(!env.ok(&["status"]).contains("min free:"));
    for (min_free, line) in
        [("100%", "min free:      100%, "), ("1048576", "min free:      1.00 MiB of the file system\n")]
    {
        cache.set_limit(Limit { min_free: min_free.parse().ok(), ..Limit::default() }).unwrap();
        let status = env.json(&["status"]);
        assert_eq!(status["limit"]["min_free"], min_free);
        let floor = if min_free == "100%" { status["file_system"]["total"].clone() } else { (1 << 20).into() };
        assert_eq!(status["limit"]["floor"], floor);
        let text = env.ok(&["status"]);
        assert!(text.contains(line), "{line:?} not in {text}");
    }
}

#[test]
fn what_goes_next_and_why_the_last_fill_failed() {
    let env = TestEnv::new();
    assert!(env.ok(&["status"]).contains("next to go:    nothing\n"));
    for id in ["older", "newer", "pinned"] {
        env.image(id, "hello");
    }
    env.ok(&["pin", "pinned"]);
    env.ok(&["get", "newer", "copy"]);
    assert_eq!(env.json(&["status"])["next"]["image_id"], "older");
    assert!(env.ok(&["status"]).contains("next to go:    older, 5 B, last used just now\n"));
    env.invalid("bad", "its digest\nis another");
    let text = env.ok(&["status"]);
    for line in [
        "invalid:       1 image, 3 B\n  bad, just now: its digest\\nis another\n",
        "next to go:    1 fill broken off or failed; then older, 5 B, ",
    ] {
        assert!(text.contains(line), "{line:?} not in {text}");
    }
    env.ok(&["clean"]);
    env.ok(&["rm", "older", "newer"]);
    assert!(env.ok(&["status"]).contains("next to go:    nothing: what is cached is pinned\n"));
    assert_eq!(env.json(&["status"])["next"], serde_json::Value::Null);
}

#[test]
fn whether_it_is_well_as_far_as_the_directory_tells() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let cache = env.cache();
    for (max_size, told) in
        [(3, "The cache is over its limit"), (1 << 60, "The limit is more than the file system has")]
    {
        cache.set_limit(Limit { max_size, ..Limit::default() }).unwrap();
        let text = env.ok(&["status"]);
        assert!(text.contains("\nhealth:        WARNING: "), "{text}");
        assert!(text.contains(told), "{told:?} not in {text}");
        let notes = env.json(&["status"])["health"].clone();
        let found =
            |note: &serde_json::Value| note["text"].as_str().unwrap().contains(told) && note["level"] == "warning";
        assert!(notes.as_array().unwrap().iter().any(found), "{notes}");
    }
}

#[test]
fn a_limit_that_what_is_to_stay_free_stands_in_for_is_no_worry() {
    let env = TestEnv::new();
    let cache = env.cache();
    let told = |min_free: &str| {
        cache.set_limit(Limit { max_size: 1 << 60, min_free: min_free.parse().ok(), ..Limit::default() }).unwrap();
        env.ok(&["status"])
    };
    let text = told("1");
    assert!(text.contains("\nhealth:        good, as far as the directory tells\n"), "{text}");
    let text = told("100%");
    assert!(text.contains("\nhealth:        WARNING: Less is free on the file system than is to stay so"), "{text}");
}
