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
