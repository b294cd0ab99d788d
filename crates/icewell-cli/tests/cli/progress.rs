use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::env::TestEnv;

/// What stands behind all output of the command.
const END: &str = "[the end]";

/// Runs the command with a terminal for standard output and error; what the terminal got. None where there is no
/// `script` to make one.
///
/// `script` leaves ten milliseconds after the command, with whatever the terminal has still to give on a busy machine.
/// So the terminal is kept open until the end of the output has come through.
fn on_a_terminal(env: &TestEnv, arguments: &str, variables: &[(&str, &str)]) -> Option<String> {
    Command::new("script").arg("--version").output().ok()?;
    let command = env.command::<&str>(&[]);
    let path = command.get_program().to_str()?;
    let shell = format!("stty cols 100 -echo; {path} {arguments}; ended=$?; echo '{END}'; read line; exit $ended");
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &shell, "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    script.envs(variables.iter().copied()).current_dir(env.path(""));
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = script.stdout.take().unwrap();
    let mut shown = Vec::new();
    while !shown.windows(END.len()).any(|window| window == END.as_bytes()) {
        let mut more = [0; 4096];
        let length = stdout.read(&mut more).unwrap();
        assert!(length > 0, "{arguments}: the terminal closed early: {:?}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&more[..length]);
    }
    script.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(script.wait().unwrap().success(), "{arguments}: {:?}", String::from_utf8_lossy(&shown));
    Some(String::from_utf8(shown).unwrap())
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
