use crate::env::{TestEnv, column, id_of, keys};

#[test]
fn first_come_first() {
    let env = TestEnv::new();
    assert_eq!(env.ok(&["queue", "c", "a", "b"]), "c: queued\na: queued\nb: queued\n");
    assert_eq!(env.listed(&["--queued"]), ["c", "a", "b"]);
    let rows = env.json(&["ls", "--queued"]);
    assert_eq!(keys(&rows[0]), ["image_id", "queued_at"]);
    assert!(env.ok(&["ls", "--queued"]).starts_with("ID  QUEUED\nc   "));
}

#[test]
fn what_was_not_queued_is_told_with_why_and_is_no_failure() {
    let env = TestEnv::new();
    env.image("cached", "hello");
    let cache = env.cache();
    let _fill = cache.write(&id_of("filling")).unwrap();
    env.ok(&["queue", "queued"]);
    let said = env.ok(&["queue", "cached", "queued", "filling", "new"]);
    assert_eq!(
        said,
        "cached: not queued, for it is cached already\nqueued: not queued, for it is queued already\n\
         filling: not queued, for it is being filled\nnew: queued\n"
    );
    let rows = env.json(&["queue", "cached", "queued", "filling", "newer"]);
    assert_eq!(column(&rows, "result"), ["already_cached", "already_queued", "in_progress", "queued"]);
}

#[test]
fn off_the_queue() {
    let env = TestEnv::new();
    env.ok(&["queue", "a", "b", "c"]);
    env.run(&["unqueue", "b"]).exits(0).says_nothing();
    let rows = env.run(&["unqueue", "b", "a", "--json"]).exits(1).tells("b: it is not queued").json();
    assert_eq!(column(&rows, "result"), ["not_queued", "unqueued"]);
    assert_eq!(env.ok(&["unqueue", "--all"]), "took 1 image off the queue\n");
    assert_eq!(env.json(&["unqueue", "--all"]), serde_json::json!([]));
    env.run(&["unqueue"]).exits(2);
    env.run(&["queue"]).exits(2);
}
