//! The daemon as a service of systemd: what it tells, the sockets it is given, and its end and new start under load.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, icewell_command, until};

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next message to systemd that begins so. Others are passed over, signs of life too, which do not end.
#[track_caller]
fn told(systemd: &UnixDatagram, begins: &str) -> String {
    let (mut message, since) = ([0; 4096], Instant::now());
    loop {
        assert!(since.elapsed() < PATIENCE, "{begins} was not told");
        let length = systemd.recv(&mut message).unwrap_or_else(|error| panic!("{begins} was not told: {error}"));
        let text = String::from_utf8(message[..length].to_vec()).unwrap();
        if text.starts_with(begins) {
            return text;
        }
    }
}

fn listening_systemd(path: &Path) -> UnixDatagram {
    let systemd = UnixDatagram::bind(path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    systemd
}

fn serve(dir: &Path, origin: &str) -> Command {
    let mut command = icewell_command();
    command.arg("serve").arg("--dir").arg(dir).args(["--origin", origin]).env("ICEWELL_MIN_FREE", "0");
    command
}

#[test]
fn systemd_hears_of_the_start_of_life_of_reloads_and_of_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, socket) = (temp.path().join("cache"), temp.path().join("notify"));
    let systemd = listening_systemd(&socket);
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let mut command = serve(&dir, &origin.url());
    // 200 ms: a sign of life every 100 ms.
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000").args(["--drain-timeout", "7s"]);
    let mut daemon = Daemon::run(command, &dir, &origin.url());
    assert_eq!(told(&systemd, "READY=1"), "READY=1");
    assert_eq!(told(&systemd, "WATCHDOG=1"), "WATCHDOG=1");
    assert_eq!(told(&systemd, "WATCHDOG=1"), "WATCHDOG=1");
    daemon.signal(Signal::HUP);
    let reloading = told(&systemd, "RELOADING=1");
    let since: u64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!(since > 0);
    assert_eq!(told(&systemd, "READY=1"), "READY=1");
    daemon.signal(Signal::TERM);
    // What a drain may take, and what comes after it.
    assert_eq!(told(&systemd, "STOPPING=1"), "STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC=22000000");
    assert!(daemon.ended().success());
}

#[test]
fn systemctl_status_shows_what_the_cache_does() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    // As systemd in a container has it: a name in the abstract namespace.
    let name = format!("icewell-test-{}", std::process::id());
    let systemd = UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let origin = Origin::of(&Image::new(1, 100_000));
    let mut command = serve(&dir, &origin.url());
    command.env("NOTIFY_SOCKET", format!("@{name}")).args(["--max-size", "3GiB"]);
    let _daemon = Daemon::run(command, &dir, &origin.url());
    assert_eq!(told(&systemd, "STATUS="), "STATUS=0 images, 0.0 of 3.0 GiB");
}

/// The command with these sockets handed over, as systemd does it: from descriptor 3 on, and with the process's own ID.
fn handed_over(command: &Command, sockets: &[&TcpListener], names: &str) -> Command {
    let mut redirections = String::new();
    for (number, socket) in sockets.iter().enumerate() {
        fcntl_setfd(socket, FdFlags::empty()).unwrap();
        redirections += &format!(" {}<&{}", number + 3, socket.as_raw_fd());
    }
    let script = format!("exec{redirections}; export LISTEN_PID=$$; exec \"$@\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "bash"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    bash.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names).stdin(std::process::Stdio::null());
    bash
}

#[test]
fn sockets_that_are_handed_over_are_served_by_their_names() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let [admin, one, other] = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let command = handed_over(&serve(&dir, &origin.url()), &[&admin, &one, &other], "admin:http:http");
    let daemon = Daemon::run(command, &dir, &origin.url());
    assert_eq!(daemon.address, one.local_addr().unwrap());
    assert_eq!(daemon.admin, admin.local_addr().unwrap());
    assert_eq!(Ask::get("/healthz").of(admin.local_addr().unwrap()).status, 200);
    for socket in [&one, &other] {
        Ask::get("/a").of(socket.local_addr().unwrap()).is(&image.bytes);
    }
}

#[test]
fn systemd_socket_activate_starts_it_at_the_first_request() {
    let Ok(path) = Command::new("systemd-socket-activate").arg("--version").output().map(|_| "systemd-socket-activate")
    else {
        return eprintln!("skipped: there is no systemd-socket-activate");
    };
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    // Found free a moment ago.
    let [listen, admin] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let mut command = Command::new(path);
    command.args(["-l", &listen.to_string(), "-l", &admin.to_string(), "--fdname=http:admin"]);
    command.args(["-E", "ICEWELL_CONFIG=off"]).arg(env!("CARGO_BIN_EXE_icewell")).args(["serve", "--min-free", "0"]);
    command.arg("--dir").arg(&dir).args(["--origin", &origin.url()]);
    let first = thread::spawn(move || {
        until("somebody listens", || TcpStream::connect(listen).is_ok());
        Ask::get("/a").of(listen)
    });
    let daemon = Daemon::run(command, &dir, &origin.url());
    first.join().unwrap().is(&image.bytes);
    assert_eq!((daemon.address, daemon.admin), (listen, admin));
}

/// How many answers curl has got, each whole; and what it said of one that failed.
fn curled(url: &str, times: usize, copy: &Path) -> Result<usize, String> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--noproxy", "*", "-m", "60"]);
    // One after the other on one connection, if that is kept.
    for _ in 0..times {
        curl.arg("-o").arg(copy).arg(url);
    }
    let output = curl.output().unwrap();
    if output.status.success() { Ok(times) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn no_request_is_lost_over_restarts_with_a_socket_that_stays() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let image = Image::new(1, 300_000);
    let origin = Origin::of(&image);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a", socket.local_addr().unwrap());
    let start = || Daemon::run(handed_over(&serve(&dir, &origin.url()), &[&socket], "http"), &dir, &origin.url());
    let mut daemon = start();
    daemon.get("/a").is(&image.bytes);
    let (done, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = [1, 1, 20].into_iter().enumerate().map(|(number, at_once)| {
        let (url, done, answers) = (url.clone(), done.clone(), answers.clone());
        let copy = temp.path().join(format!("copy{number}"));
        let whole = image.bytes.clone();
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                answers.fetch_add(curled(&url, at_once, &copy)?, Ordering::Relaxed);
                if fs::read(&copy).unwrap() != *whole {
                    return Err("another image".to_owned());
                }
            }
            Ok(())
        })
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..3 {
        let so_far = answers.load(Ordering::Relaxed);
        until("clients are served", || {
            clients.iter().any(thread::JoinHandle::is_finished) || answers.load(Ordering::Relaxed) > so_far + 30
        });
        daemon.signal(Signal::TERM);
        assert!(daemon.ended().success());
        daemon = start();
    }
    let so_far = answers.load(Ordering::Relaxed);
    until("clients are served", || {
        clients.iter().any(thread::JoinHandle::is_finished) || answers.load(Ordering::Relaxed) > so_far + 30
    });
    done.store(true, Ordering::Relaxed);
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()));
    }
}

#[test]
fn who_is_connected_when_the_end_comes_is_served_and_told_that_the_connection_ends() {
    let image = Image::new(1, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let draining = Gate::at(0);
    let drained = draining.clone();
    let origin = Origin::new(move |request| {
        if request.target == "/b" {
            // So that the answer has not begun before the daemon knows of its end.
            drained.wait(0);
        }
        told.answer(request).gated(&gated)
    });
    let mut daemon = Daemon::of(&origin);
    // Its download keeps the daemon from its end.
    let download = Ask::get("/a").begin(daemon.address);
    let address: SocketAddr = daemon.address;
    // While the daemon stands still, a client connects and asks, and the end is called for.
    daemon.signal(Signal::STOP);
    let mut waiting = TcpStream::connect(address).unwrap();
    // He would like to go on after the answer.
    waiting.write_all(b"GET /b HTTP/1.1\r\nHost: icewell.test\r\n\r\n").unwrap();
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::CONT);
    until("it drains", || !daemon.logged("SIGTERM: draining").is_empty());
    draining.open();
    gate.open();
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).unwrap();
    let head = String::from_utf8_lossy(&answer[..answer.len() - image.bytes.len()]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("connection: close\r\n"), "{head}");
    assert!(answer.ends_with(&image.bytes));
    download.finish().is(&image.bytes);
    assert!(daemon.ended().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let image = Image::new(1, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let mut daemon = Daemon::with(&origin, &["--drain-timeout", "1h"]);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    daemon.signal(Signal::TERM);
    until("it drains", || Ask::get("/readyz").of(daemon.admin).status == 503);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    assert_eq!(daemon.logged("a second SIGTERM").len(), 1);
    download.finish().is_broken_off(&image.bytes);
    // What came in so far is kept for the next start.
    let incomplete = daemon.ls("--incomplete");
    assert_eq!((incomplete.len(), &incomplete[0]["active"]), (1, &serde_json::Value::from(false)));
    gate.open();
}
