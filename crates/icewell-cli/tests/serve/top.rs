//! `icewell top` on a real terminal: a pair of pseudo-terminals, of which the test has the other end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::fixture::{Daemon, Gate, Image, Line, Origin, Wire, icewell, icewell_command, until};

fn top(daemon: &Daemon) -> Command {
    let mut command = icewell_command();
    command.args(["top", "--admin", &daemon.admin.to_string(), "--interval", "100ms"]);
    command
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let theirs = open(ptsname(&ours, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    (ours, theirs)
}

#[test]
fn a_terminal_shows_the_daemon_until_q_and_is_given_back_as_it_was() {
    let image = Image::new(1, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let daemon = Daemon::of(&origin);
    let (ours, theirs) = terminal();
    let echoes = |terminal: &OwnedFd| tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    assert!(echoes(&theirs));
    let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut running = top(&daemon).stdin(stream(&theirs)).stdout(stream(&theirs)).spawn().unwrap();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (mut reading, into) = (File::from(ours.try_clone().unwrap()), shown.clone());
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = reading.read(&mut piece) {
            into.lock().unwrap().extend_from_slice(&piece[..length]);
        }
    });
    let has = |text: &str| String::from_utf8_lossy(&shown.lock().unwrap()).contains(text);
    until("it draws on the other screen", || has("\x1b[?1049h") && has("health    good"));
    assert!(!echoes(&theirs), "keys are not shown");
    // What happens is seen.
    let mut download = crate::fixture::Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    until("the fill is shown", || has("FILLS") && has("1 client  filling  a"));
    gate.open();
    download.finish().is(&image.bytes);
    until("the hits are counted", || has("0.0 % from the cache: 0 of 1 request"));
    // No line is longer than the terminal.
    for line in String::from_utf8_lossy(&shown.lock().unwrap()).split("\r\n") {
        let visible = line.rsplit("\x1b[H").next().unwrap().split('\x1b').next().unwrap();
        assert!(visible.chars().count() <= 100, "{visible:?}");
    }
    File::from(ours.try_clone().unwrap()).write_all(b"q").unwrap();
    assert!(running.wait().unwrap().success());
    until("the first screen is back", || has("\x1b[?1049l"));
    assert!(echoes(&theirs));
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_given_back_as_it_was() {
    let origin = Origin::of(&Image::new(1, 1000));
    let daemon = Daemon::of(&origin);
    for signal in [Signal::TERM, Signal::HUP] {
        let (ours, theirs) = terminal();
        let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let mut running = top(&daemon).stdin(stream(&theirs)).stdout(stream(&theirs)).spawn().unwrap();
        let echoes = || tcgetattr(&theirs).unwrap().local_modes.contains(LocalModes::ECHO);
        let mut reading = File::from(ours.try_clone().unwrap());
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains("health") {
            let mut piece = [0; 4096];
            let length = reading.read(&mut piece).unwrap();
            shown.extend_from_slice(&piece[..length]);
        }
        assert!(!echoes());
        kill_process(Pid::from_child(&running), signal).unwrap();
        assert!(running.wait().unwrap().success());
        assert!(echoes());
    }
}

#[test]
fn a_signal_that_comes_while_it_asks_ends_it_before_the_next_question() {
    let daemon = Wire::new();
    let answer = |line: &mut Line| {
        line.head();
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    };
    let (ours, theirs) = terminal();
    let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
    let mut command = icewell_command();
    // It asks at the start, at a key, and again when this test is over.
    command.args(["top", "--admin", &daemon.address().to_string(), "--interval", "1h"]);
    let mut running = command.stdin(stream(&theirs)).stdout(stream(&theirs)).spawn().unwrap();
    answer(&mut daemon.accept());
    let mut terminal = File::from(ours);
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("health") {
        let mut piece = [0; 4096];
        let length = terminal.read(&mut piece).unwrap();
        shown.extend_from_slice(&piece[..length]);
    }
    terminal.write_all(b" ").unwrap();
    let mut asked = daemon.accept();
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
    answer(&mut asked);
    let mut ended = None;
    until("it ends", || {
        ended = running.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
}

#[test]
fn without_a_terminal_it_prints_once() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    let output = top(&daemon).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("icewell ") && text.contains("\nroom      [") && !text.contains('\x1b'), "{text}");
    let output = top(&daemon).arg("--json").output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["counters"]["from_fill"], 1);
}

#[test]
fn the_token_is_read_from_its_file_or_found_by_the_settings() {
    let origin = Origin::of(&Image::new(1, 100_000));
    let temp = tempfile::tempdir().unwrap();
    let token = temp.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let daemon = Daemon::with(&origin, &["--admin-token-file", token.to_str().unwrap()]);
    let output = top(&daemon).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("admin token"), "{output:?}");
    assert!(top(&daemon).arg("--admin-token-file").arg(&token).output().unwrap().status.success());
    let file = temp.path().join("icewell.toml");
    std::fs::write(&file, format!("admin = '{}'\nadmin_token_file = '{}'\n", daemon.admin, token.display())).unwrap();
    let mut command = icewell_command();
    command.args(["top", "--config"]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn where_no_daemon_is_it_says_so() {
    let ran = icewell(["top", "--admin", "127.0.0.1:1"]);
    assert_eq!(ran.status, Some(1));
    assert!(ran.stderr.contains("http://127.0.0.1:1/"), "{}", ran.stderr);
}
