use crate::env::{TestEnv, column};

const MD5_OF_HELLO: &str = "md5:5d41402abc4b2a76b9719d911017c592";

/// `good`, one whose digest Icewell computed, and one of Glance's without any.
fn three_images() -> TestEnv {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    env.ok(&["add", "good", &file, "--digest", MD5_OF_HELLO]);
    env.image("own", "hello");
    std::fs::write(env.dir().join("glance"), "hello").unwrap();
    env
}

#[test]
fn good_is_only_what_the_origin_vouched_for() {
    let env = three_images();
    let rows = env.json(&["verify"]);
    assert_eq!(column(&rows, "image_id"), ["glance", "good", "own"]);
    assert_eq!(column(&rows, "result"), ["unverifiable", "good", "unverifiable"]);
    assert_eq!(rows[1]["digest"], MD5_OF_HELLO);
    let said = env.ok(&["verify"]);
    assert!(said.contains("glance: unverifiable, it has no digest\n"), "{said}");
    assert!(said.contains(&format!("good: good, 5 B, {MD5_OF_HELLO}\n")), "{said}");
    assert!(said.contains("own: unverifiable, its origin vouched for no digest; unchanged"), "{said}");
}

#[test]
fn a_bad_one_goes_to_invalid_and_stops_nobody() {
    let env = three_images();
    for id in ["good", "own"] {
        let image = std::fs::OpenOptions::new().write(true).open(env.dir().join(id)).unwrap();
        std::os::unix::fs::FileExt::write_at(&image, b"J", 0).unwrap();
    }
    let ran = env.run(&["verify", "--json"]).exits(1).tells("good: corrupt, moved to invalid/");
    assert_eq!(column(&ran.json(), "result"), ["unverifiable", "corrupt", "corrupt"]);
    assert!(ran.json()[1]["error"].as_str().unwrap().contains("the digest was"));
    assert_eq!(env.listed(&[]), ["glance"]);
    assert_eq!(env.listed(&["--invalid"]), ["good", "own"]);
}

#[test]
fn only_those_named() {
    let env = three_images();
    let rows = env.run(&["verify", "good", "absent", "--json"]).exits(1).tells("absent: it is not cached").json();
    assert_eq!(column(&rows, "result"), ["good", "not_cached"]);
    assert_eq!(TestEnv::new().json(&["verify"]), serde_json::json!([]));
}
