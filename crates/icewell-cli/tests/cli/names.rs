use crate::env::TestEnv;

const EVIL: &str = "new\nline \u{1b}]0;title\u{7} \u{202e}ü";

#[test]
fn names_that_would_steer_a_terminal_are_escaped_in_text_and_whole_in_json() {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    let mut texts = env.ok(&["add", EVIL, &file, "--name", EVIL]);
    texts += &env.ok(&["ls"]);
    texts += &env.ok(&["queue", EVIL, "q\n"]);
    texts += &env.ok(&["ls", "--queued"]);
    texts += &env.ok(&["verify"]);
    texts += &env.ok(&["prune", "-n", "--max-size", "0"]);
    texts += &env.run(&["add", EVIL, &file]).exits(1).stderr;
    texts += &env.run(&["prune", "-v", "--max-size", "0"]).exits(0).stderr;
    texts += &env.run(&["rm", EVIL]).exits(1).stderr;
    texts += &env.run(&["rm", &format!("/{EVIL}")]).exits(2).stderr;
    texts += &env.run(&["ls", "--sort", EVIL]).exits(2).stderr;
    texts += &env.run(&[EVIL]).exits(2).stderr;
    texts += &env.run(&["ls", &format!("--{EVIL}")]).exits(2).stderr;
    for char in texts.chars().filter(|char| *char != '\n') {
        assert!(!char.is_control() && char != '\u{202e}', "{char:?} in {texts:?}");
    }
    assert!(!texts.contains("new\nline"), "{texts}");
    assert!(texts.contains('ü'));

    env.ok(&["add", EVIL, &file, "--name", EVIL]);
    let rows = env.json(&["ls"]);
    assert_eq!((&rows[0]["image_id"], &rows[0]["name"]), (&EVIL.into(), &EVIL.into()));
}

#[test]
fn names_that_look_like_options() {
    let env = TestEnv::new();
    let file = env.file("hello", "hello");
    env.ok(&["add", "--", "--all", &file]);
    assert_eq!(env.listed(&[]), ["--all"]);
    env.ok(&["rm", "--", "--all"]);
    assert_eq!(env.listed(&[]), [""; 0]);
}
