use crate::env::TestEnv;

#[test]
fn wrong_usage_is_2_and_does_nothing() {
    let env = TestEnv::new();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["ls", "--frobnicate"],
        &["ls", "extra"],
        &["get", "a"],
        &["add", "a"],
        &["prune", "--max-size", "much"],
        &["clean", "--stall-time", "long"],
        &["ls", "-v", "-q"],
        &["completions", "tcsh-of-old"],
        &["rm", "../etc/passwd"],
        &["get", "queue", "-"],
        &["add", "", "/dev/null"],
        &["--dir", "", "ls"],
    ] {
        let ran = env.run(arguments).exits(2).tells("");
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
    assert!(!env.dir().exists());
}

#[test]
fn an_id_that_is_none_is_quoted_with_why() {
    let env = TestEnv::new();
    let ran = env.run(&["rm", "a/\u{1b}[2J"]).exits(2).tells("is not an image ID: it contains '/'");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
}

#[test]
fn a_value_with_a_sign_is_told_what_is_wrong_with_it() {
    let env = TestEnv::new();
    for (arguments, told) in [
        (&["prune", "--max-size", "-1"][..], "\"-1\" is not a size"),
        (&["serve", "--max-size", "-1G"], "\"-1G\" is not a size"),
        (&["prune", "--min-free", "-5%"], "\"-5%\" is neither a share"),
        (&["clean", "--stall-time", "-1h"], "\"-1h\" is not a time"),
        (&["fetch", "a", "--origin-timeout", "-1"], "\"-1\" is not a time"),
        (&["top", "--interval", "-1"], "\"-1\" is not a time"),
        (&["serve", "--max-connections", "-1"], "invalid value '-1' for '--max-connections"),
    ] {
        env.run(arguments).exits(2).tells(told);
    }
    assert!(!env.dir().exists());
}

#[test]
fn failure_is_1() {
    let env = TestEnv::new();
    let file = env.file("file", "");
    env.run(&["ls", "--dir", &file]).exits(1).tells("cannot make the cache directory ").tells("Not a directory");
    env.run(&["get", "absent", "-"]).exits(1).tells("it is not cached");
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    let env = TestEnv::new();
    for arguments in [&["--help"][..], &["-h"], &["help", "ls"], &["ls", "--help"], &["--version"]] {
        let ran = env.run(arguments).exits(0);
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
    }
}
