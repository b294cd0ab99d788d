use icewell::Announced;

use crate::env::{TestEnv, id_of, keys};

#[test]
fn an_empty_cache_is_nothing_or_an_empty_array() {
    let env = TestEnv::new();
    for state in [&[][..], &["--queued"], &["--incomplete"], &["--invalid"]] {
        let arguments = [&["ls"], state].concat();
        env.run(&arguments).exits(0).says_nothing();
        assert_eq!(env.run(&[&arguments[..], &["--json"]].concat()).exits(0).stdout, "[]\n");
    }
}

#[test]
fn images_are_objects_of_a_top_level_array() {
    let env = TestEnv::new();
    env.image("b", "hello");
    env.image("a", "hi");
    env.ok(&["get", "b", "copy"]);
    env.ok(&["pin", "a"]);
    let rows = env.json(&["ls"]);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let (a, b) = (&rows[0], &rows[1]);
    let expected = [
        "allocated",
        "computed_digest",
        "content_type",
        "digest",
        "etag",
        "hits",
        "image_id",
        "last_accessed",
        "last_modified",
        "name",
        "origin_last_modified",
        "pinned",
        "size",
    ];
    assert_eq!(keys(a), expected);
    assert_eq!(
        (&a["image_id"], &a["size"], &a["hits"], &a["pinned"]),
        (&"a".into(), &2.into(), &0.into(), &true.into())
    );
    assert_eq!(
        (&b["image_id"], &b["size"], &b["hits"], &b["pinned"]),
        (&"b".into(), &5.into(), &1.into(), &false.into())
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for row in [a, b] {
        for key in ["last_modified", "last_accessed"] {
            let time = row[key].as_f64().unwrap();
            assert!((now - time).abs() < 60.0 && time.fract() != 0.0, "{key}: {time}");
        }
    }
}

#[test]
fn a_table_for_people() {
    let env = TestEnv::new();
    let file = env.file("image", vec![1; 3 << 20]);
    env.ok(&["add", "a", &file, "--name", "A name"]);
    env.ok(&["pin", "a"]);
    let table = env.ok(&["ls"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>().join(" "), "ID SIZE HITS LAST USED PINNED NAME");
    assert!(lines[1].starts_with("a   3.00 MiB     0  "), "{table}");
    assert!(lines[1].ends_with("yes     A name"), "{table}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn ordered_as_asked() {
    let env = TestEnv::new();
    env.image("a", "12");
    env.image("b", "123");
    env.image("c", "1");
    env.ok(&["get", "a", "copy"]);
    assert_eq!(env.listed(&[]), ["a", "b", "c"]);
    assert_eq!(env.listed(&["--sort", "size"]), ["b", "a", "c"]);
    assert_eq!(env.listed(&["--sort", "hits"]), ["a", "b", "c"]);
    assert_eq!(env.listed(&["--sort", "used"]), ["a", "c", "b"]);
    env.run(&["ls", "--sort", "colour"]).exits(2);
}

#[test]
fn fills_under_way_and_broken_off() {
    let env = TestEnv::new();
    let cache = env.cache();
    let announced = || Announced { size: Some(1 << 20), ..Announced::default() };
    let mut alive = cache.write(&id_of("alive")).unwrap();
    alive.start(announced()).unwrap();
    let mut broken = cache.write(&id_of("broken")).unwrap();
    broken.start(announced()).unwrap();
    broken.write(b"12345").unwrap();
    broken.suspend().unwrap();
    std::fs::write(env.dir().join("incomplete/glance"), "123").unwrap();

    let rows = env.json(&["ls", "--incomplete"]);
    assert_eq!(keys(&rows[0]), ["active", "filler", "image_id", "last_modified", "size", "written"]);
    let told = |row: usize| {
        let row = &rows[row];
        (row["image_id"].as_str().unwrap(), row["active"] == true, row["written"].as_u64(), row["size"].as_u64())
    };
    assert_eq!(told(0), ("alive", true, Some(0), Some(1 << 20)));
    assert_eq!(told(1), ("broken", false, Some(5), Some(1 << 20)));
    assert_eq!(told(2), ("glance", false, Some(3), None));
    assert_eq!((&rows[1]["filler"], &rows[2]["filler"]), (&"icewell".into(), &"other".into()));

    let table = env.ok(&["ls", "--incomplete"]);
    assert!(table.contains("under way") && table.contains("broken off") && table.contains("unknown"), "{table}");
}

#[test]
fn failed_fills_and_why() {
    let env = TestEnv::new();
    env.invalid("bad", "it was\nbad");
    let rows = env.json(&["ls", "--invalid"]);
    assert_eq!(keys(&rows[0]), ["error", "image_id", "last_modified", "size"]);
    assert_eq!((&rows[0]["image_id"], &rows[0]["size"]), (&"bad".into(), &3.into()));
    assert_eq!(rows[0]["error"], "it was\nbad");
    assert!(env.ok(&["ls", "--invalid"]).contains("it was\\nbad\n"));
}

#[test]
fn one_state_at_a_time() {
    let env = TestEnv::new();
    env.run(&["ls", "--queued", "--invalid"]).exits(2);
    env.run(&["ls", "--queued", "--sort", "size"]).exits(2);
}
