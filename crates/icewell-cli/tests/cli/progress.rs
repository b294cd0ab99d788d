use std::process::Command;

use crate::env::{TestEnv, run};

/// Runs the command with a terminal for standard output and error; what the terminal got. None where there is no
/// `script` to make one.
fn on_a_terminal(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> Option<String> {
    Command::new("script").arg("--version").output().ok()?;
    let mut command = env.command::<&str>(&[]);
    let path = command.get_program().to_owned();
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &format!("stty cols 100; {} {arguments}", path.to_str()?), "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    script.envs(variables.iter().copied()).current_dir(env.path(""));
    command = script;
    Some(run(command, b"").exits(0).stdout)
}

#[test]
fn bars_on_a_terminal_without_colours() {
    let env = TestEnv::new();
    env.file("image", vec![7; 64 << 20]);
    for arguments in ["add a image", "verify", "get a copy", "get a - >/dev/null"] {
        let Some(shown) = on_a_terminal(&env, arguments, &[]) else { return };
        if arguments != "get a copy" {
            assert!(shown.contains("64.00 MiB") && shown.contains('['), "{arguments}: {shown:?}");
        }
        assert!(!shown.contains("\u{1b}[3"), "{arguments}: {shown:?}");
    }
}

#[test]
fn no_bars_where_they_are_not_wanted() {
    let env = TestEnv::new();
    env.file("image", vec![7; 16 << 20]);
    for (arguments, variables) in [("add a image -q", &[][..]), ("add b image", &[("TERM", "dumb")])] {
        let Some(shown) = on_a_terminal(&env, arguments, variables) else { return };
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    assert_eq!(env.run(&["add", "c", "image"]).exits(0).stderr, "");
}

#[test]
fn an_empty_list_says_so_on_a_terminal() {
    let env = TestEnv::new();
    let Some(shown) = on_a_terminal(&env, "ls", &[]) else { return };
    assert!(shown.contains("icewell: nothing is cached in "), "{shown:?}");
}
