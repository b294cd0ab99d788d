use icewell::Limit;

use crate::env::{TestEnv, column, keys};

fn three_images() -> TestEnv {
    let env = TestEnv::new();
    for id in ["a", "b", "c"] {
        env.image(id, [b'x'; 1000]);
    }
    env.ok(&["get", "a", "copy"]);
    env
}

#[test]
fn least_recently_used_first() {
    let env = three_images();
    let report = env.json(&["prune", "--max-size", "1kB"]);
    assert_eq!(
        keys(&report),
        ["dry_run", "images", "max_size", "min_free", "total_bytes_pruned", "total_files_pruned"]
    );
    assert_eq!((&report["total_files_pruned"], &report["total_bytes_pruned"]), (&2.into(), &2000.into()));
    assert_eq!(column(&report["images"], "image_id"), ["b", "c"]);
    assert_eq!(env.listed(&[]), ["a"]);
}

#[test]
fn for_people_each_and_the_sum() {
    let env = three_images();
    let said = env.ok(&["prune", "--max-size", "2KiB"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("pruned b: 1000 B, used "), "{said}");
    assert_eq!(lines[1..], ["pruned 1 image, 1000 B"]);
    assert_eq!(env.ok(&["prune", "--max-size", "2KiB"]), "pruned 0 images, 0 B\n");
    env.run(&["prune", "--max-size", "0", "--quiet"]).exits(0).says_nothing();
}

#[test]
fn a_dry_run_only_tells() {
    let env = three_images();
    let report = env.json(&["prune", "--max-size", "0", "--dry-run"]);
    assert_eq!((&report["total_files_pruned"], &report["dry_run"]), (&3.into(), &true.into()));
    assert!(env.ok(&["prune", "--max-size", "0", "-n", "-q"]).ends_with("would prune 3 images, 2.93 KiB\n"));
    assert_eq!(env.listed(&[]).len(), 3);
}

#[test]
fn without_a_size_the_limit_in_force() {
    let env = three_images();
    assert_eq!(env.json(&["prune"])["max_size"], 10_u64 << 30);
    env.cache().set_limit(Limit { max_size: 1500, ..Limit::default() }).unwrap();
    assert_eq!(env.json(&["prune"])["total_files_pruned"], 2);
}

#[test]
fn the_environment_counts_before_the_limit_in_force_and_after_the_option() {
    let env = three_images();
    let prune = |arguments: &[&str]| {
        let mut command = env.command(&[&["prune", "--json"], arguments].concat());
        command.env("ICEWELL_MAX_SIZE", "2kB");
        crate::env::run(command, b"").exits(0).json()["max_size"].clone()
    };
    assert_eq!(prune(&[]), 2000);
    assert_eq!(prune(&["--max-size", "1MiB"]), 1 << 20);
}

#[test]
fn what_is_to_stay_free_is_made_good_as_well() {
    let env = three_images();
    let nothing = env.json(&["prune", "--min-free", "0"]);
    assert_eq!((&nothing["total_files_pruned"], &nothing["min_free"]), (&0.into(), &"0".into()));
    // No file system is all free.
    let report = env.json(&["prune", "--min-free", "100%", "--dry-run"]);
    assert_eq!((&report["total_files_pruned"], &report["min_free"]), (&3.into(), &"100%".into()));
    env.cache().set_limit(Limit { min_free: "100%".parse().ok(), ..Limit::default() }).unwrap();
    assert_eq!(env.json(&["prune"])["total_files_pruned"], 3);
    env.run(&["prune", "--min-free", "101%"]).exits(2);
}

#[test]
fn add_obeys_what_is_to_stay_free() {
    let env = three_images();
    env.cache().set_limit(Limit { min_free: "100%".parse().ok(), ..Limit::default() }).unwrap();
    let file = env.file("file", "bytes");
    let said = env.run(&["add", "x", &file]).exits(1).stderr;
    assert!(said.contains("with 100% of the file system to stay free"), "{said}");
}

#[test]
fn a_dry_run_explains_itself() {
    let env = three_images();
    env.image("old", [b'x'; 500]);
    env.ok(&["pin", "c"]);
    // The pinned one and the last used stay, whatever else has to go.
    let said = env.ok(&["prune", "--max-size", "2kB", "--min-free", "0", "--dry-run", "--explain"]);
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "limit: 3.42 KiB are used of 1.95 KiB, counting size: 1.46 KiB have to go");
    assert_eq!(lines[1].join(" "), "order: the least recently used first, until both are met");
    assert_eq!(lines[3][..4], ["b", "1000", "B", "0"], "{said}");
    assert!(said.contains("\na "), "{said}");
    assert!(said.contains("pinned: 1 image, 1000 B, stays whatever the age\n"), "{said}");
    assert!(said.contains("kept: 1 other image stays; next would be old, used "), "{said}");
    assert_eq!(env.listed(&[]).len(), 4);
    let report = env.json(&["prune", "--max-size", "2kB", "--min-free", "0", "-n", "--explain"]);
    let told = &report["explanation"];
    assert_eq!((&told["used"], &told["over_limit"], &told["enough"]), (&3500.into(), &1500.into(), &true.into()));
    assert_eq!(column(&told["steps"], "image_id"), ["b", "a"]);
    assert_eq!((&told["steps"][0]["left"], &told["steps"][1]["left"]), (&2500.into(), &1500.into()));
    assert_eq!((&told["kept"], &told["next"]["image_id"]), (&1.into(), &"old".into()));
    // Nothing to explain but that there is nothing to do.
    let said = env.ok(&["prune", "--max-size", "1MB", "--min-free", "0", "--dry-run", "--explain"]);
    assert!(said.contains("nothing has to go for it") && !said.contains("order:"), "{said}");
    // And where pinned ones leave no way.
    let said = env.ok(&["prune", "--max-size", "1", "--min-free", "0", "--dry-run", "--explain"]);
    assert!(said.contains("not enough: what is left is pinned"), "{said}");
    env.run(&["prune", "--explain"]).exits(2);
}
