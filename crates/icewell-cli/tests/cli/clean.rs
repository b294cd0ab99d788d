use crate::env::{TestEnv, id_of, keys};

#[test]
fn failed_fills_and_stalled_ones() {
    let env = TestEnv::new();
    env.invalid("bad", "why");
    let mut fill = env.cache().write(&id_of("broken")).unwrap();
    fill.write(b"hello").unwrap();
    fill.suspend().unwrap();
    let cache = env.cache();
    let _alive = cache.write(&id_of("alive")).unwrap();

    let report = env.json(&["clean"]);
    assert_eq!(keys(&report), ["invalid", "stalled"]);
    assert_eq!((&report["invalid"], &report["stalled"]), (&1.into(), &0.into()));
    assert_eq!(env.ok(&["clean", "--stall-time", "0"]), "removed 0 failed fills and 1 that stalled\n");
    assert!(cache.is_being_cached(&id_of("alive")).unwrap());
}

#[test]
fn how_long_is_too_long() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.dir().join("incomplete")).unwrap();
    let left = std::fs::File::create(env.dir().join("incomplete/left")).unwrap();
    left.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    drop(left);
    assert_eq!(env.json(&["clean", "--stall-time", "2h"])["stalled"], 0);
    let mut command = env.command(&["clean", "--json"]);
    command.env("ICEWELL_STALL_TIME", "30m");
    assert_eq!(crate::env::run(command, b"").exits(0).json()["stalled"], 1);
}
