use std::process::Stdio;
use std::thread;

use crate::env::TestEnv;

#[test]
fn eight_processes_and_twenty_five_gets_of_each() {
    let env = TestEnv::new();
    env.image("a", vec![7; 100_000]);
    thread::scope(|scope| {
        for worker in 0..8 {
            let env = &env;
            scope.spawn(move || {
                for round in 0..25 {
                    let dest = if round % 2 == 0 { "-".into() } else { format!("copy-{worker}") };
                    let mut command = env.command(&["get", "a", &dest]);
                    assert!(command.stdout(Stdio::null()).status().unwrap().success());
                }
            });
        }
    });
    assert_eq!(env.json(&["ls"])[0]["hits"], 200);
}

#[test]
fn looking_is_no_hit_and_no_use() {
    let env = TestEnv::new();
    env.image("a", "hello");
    let before = env.json(&["ls"]);
    for verb in ["ls", "status", "verify", "doctor"] {
        env.ok(&[verb]);
    }
    assert_eq!(env.json(&["ls"]), before);
}
