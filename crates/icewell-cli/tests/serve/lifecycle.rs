//! From the first start to the last byte before the end, and on again.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Signal;

use crate::fixture::{Ask, Cut, Daemon, Gate, Image, Origin, icewell, icewell_command, until};

#[test]
fn without_any_argument_it_serves_a_folder_and_says_what_to_type_next() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let mut command = icewell_command();
    command.arg("serve").current_dir(temp.path()).env("ICEWELL_DIR", &dir);
    let daemon = Daemon::run(command, &dir, "./images");
    assert!(temp.path().join("images").is_dir());
    until("it says what to type next", || !daemon.logged("curl").is_empty());
    assert!(daemon.logged("curl")[0].contains(&format!("http://{}/", daemon.address)));
    fs::write(temp.path().join("images/a.img"), "bytes").unwrap();
    daemon.get("/a.img").is(b"bytes");
    assert_eq!(daemon.get("/b.img").status, 404);
}

#[test]
fn a_stop_lets_a_running_download_come_to_its_end() {
    let image = Image::new(1, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let mut daemon = Daemon::of(&origin);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(1000);
    assert_eq!(Ask::get("/readyz").of(daemon.admin).status, 200);
    daemon.signal(Signal::TERM);
    until("it is not ready any more", || Ask::get("/readyz").of(daemon.admin).status == 503);
    until("nobody new is served", || TcpStream::connect(daemon.address).is_err());
    gate.open();
    download.finish().is(&image.bytes);
    assert!(daemon.ended().success());
    assert!(daemon.is_cached("a"), "what came in whole is kept");
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let image = Image::new(2, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let mut daemon = Daemon::with(&origin, &["--drain-timeout", "200ms"]);
    let download = Ask::get("/a").begin(daemon.address);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success());
    download.finish().is_broken_off(&image.bytes);
    gate.open();
}

/// Breaks a fill off at two thirds of the image by this signal; what the origin is asked and sends afterwards.
fn resumes_after(signal: Signal, left: u64) {
    let image = Image::new(3, 30_000_000);
    let gate = Gate::at(20_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        let reply = told.answer(request);
        if request.nth == 0 { reply.gated(&gated).cut(20_000_001, Cut::Close) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let mut download = Ask::get("/a").begin(daemon.address);
    assert_eq!(download.read_to(20_000_000), 20_000_000);
    drop(download);
    until("the daemon notices that the client has gone", || !daemon.logged("request client").is_empty());
    let daemon = daemon.restarted(signal);
    let incomplete = daemon.ls("--incomplete");
    assert_eq!((incomplete.len(), &incomplete[0]["active"]), (1, &serde_json::Value::from(false)));
    assert_eq!(daemon.ls("").len(), 0);
    let answer = daemon.get("/a");
    answer.is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a"));
    let seen = origin.seen();
    assert_eq!(seen.len(), 2);
    let start = seen[1].range(image.size()).expect("only the rest is asked for").0;
    assert!(start >= left, "from {start} on");
    assert_eq!(seen[1].header("if-range"), image.etag.as_deref());
    assert!(origin.sent() <= image.size() + 20_000_000 - left);
    gate.open();
}

#[test]
fn after_sigterm_a_fill_goes_on_from_its_last_byte() {
    resumes_after(Signal::TERM, 20_000_000);
}

#[test]
fn after_kill_9_a_fill_goes_on_from_near_its_last_byte() {
    resumes_after(Signal::KILL, 15_000_000);
}

#[test]
fn what_a_resumed_fill_finds_on_disk_is_verified_too() {
    use std::os::unix::fs::FileExt;
    let image = Image::new(4, 30_000_000);
    let md5 = crate::fixture::base64(&crate::fixture::digest_of("md5", &image.bytes));
    let gate = Gate::at(20_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| {
        // Only the 200 has it: a Content-MD5 is of the message.
        let reply = told.answer(request);
        if request.nth == 0 { reply.with("Content-MD5", &md5).gated(&gated) } else { reply }
    });
    let daemon = Daemon::of(&origin);
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(19_000_000);
    drop(download);
    let daemon = daemon.restarted(Signal::TERM);
    gate.open();
    let left = fs::OpenOptions::new().write(true).open(daemon.dir.join("incomplete/.icewell/a")).unwrap();
    left.write_all_at(b"rotten", 10_000_000).unwrap();
    let answer = daemon.get("/a");
    assert!(!answer.whole, "a whole answer with rotten bytes");
    daemon.idle();
    assert!(!daemon.is_cached("a"));
}

#[track_caller]
fn refused(args: &[&str], why: &str) {
    let mut command = icewell_command();
    command.env("ICEWELL_LISTEN", "127.0.0.1:0").env("ICEWELL_ADMIN", "off");
    let output = command.arg("serve").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {stderr}", output.status);
    assert!(stderr.contains(why), "{stderr}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_directory_belongs_to_one_origin() {
    let temp = tempfile::tempdir().unwrap();
    let (one, other, dir) = (temp.path().join("one"), temp.path().join("other"), temp.path().join("cache"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(one.join("a"), "one").unwrap();
    fs::write(other.join("a"), "other").unwrap();
    let daemon = Daemon::start(&dir, text(&one), &[]);
    daemon.get("/a").is(b"one");
    drop(daemon);
    refused(&["--dir", text(&dir), "--origin", text(&other)], text(&one));
    refused(&["--dir", text(&dir), "--origin", "http://127.0.0.1:1"], text(&one));
    // The same one by other ways to write it.
    let detour = other.join("../one/");
    Daemon::start(&dir, text(&detour), &[]).get("/a").is(b"one");
    Daemon::start(&dir, &format!("file://{}", text(&one)), &[]).get("/a").is(b"one");
    // Images that came from nobody knows where.
    let filled = temp.path().join("filled");
    let file = one.join("a");
    assert_eq!(icewell(["add", "a", text(&file), "--dir", text(&filled)]).status, Some(0));
    refused(&["--dir", text(&filled), "--origin", text(&one)], text(&filled));
}

#[test]
fn origins_that_would_bite_their_own_tail_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("folder");
    fs::create_dir_all(folder.join("sub")).unwrap();
    let (folder_text, sub) = (text(&folder).to_owned(), folder.join("sub"));
    refused(&["--dir", text(&sub), "--origin", &folder_text], "inside");
    refused(&["--dir", &folder_text, "--origin", text(&sub)], "inside");
    refused(&["--dir", &folder_text, "--origin", &folder_text], "same");
    refused(&["--dir", text(&folder.join("new/cache")), "--origin", &folder_text], "inside");
    std::os::unix::fs::symlink(&folder, temp.path().join("link")).unwrap();
    refused(&["--dir", text(&temp.path().join("link/cache")), "--origin", &folder_text], "inside");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (dir, own) = (temp.path().join("cache"), format!("http://{address}"));
    refused(&["--dir", text(&dir), "--origin", &own, "--listen", &address.to_string()], "itself listens");
    refused(&["--dir", text(&dir), "--origin", "/nowhere/at/all"], "/nowhere/at/all");
}

#[test]
fn a_loop_of_two_is_told_as_such() {
    let temp = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let one = Daemon::start(&temp.path().join("one"), &format!("http://{address}"), &[]);
    let other = Daemon::start(&temp.path().join("other"), &format!("http://{}", one.address), &["--listen", &address]);
    assert_eq!(one.get("/a").status, 508);
    assert_eq!(other.head("/b").status, 508);
    // Also where somebody before them has left a line of his own.
    let far = Ask::get("/c").with("Via", "1.1 far").with("Via", "1.1 near");
    assert_eq!(far.of(one.address).status, 508);
}

#[test]
fn health_and_metrics() {
    let image = Image::new(5, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let admin = |path: &str| Ask::get(path).of(daemon.admin);
    assert_eq!((admin("/healthz").status, admin("/readyz").status), (200, 200));
    assert_eq!(admin("/nothing").status, 404);
    assert_eq!(Ask::new("POST", "/metrics").of(daemon.admin).status, 405);
    assert!(admin("/metrics").header("content-type").starts_with("text/plain; version=0.0.4"));
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 1);
    daemon.head("/a");
    until("all are counted", || daemon.metric("icewell_requests_total") == 3);
    assert_eq!(daemon.metric("icewell_hits_total"), 1);
    assert_eq!(daemon.metric("icewell_sent_bytes_total"), 200_000);
    assert_eq!(daemon.metric("icewell_used_bytes"), 100_000);
    assert_eq!(daemon.metric("icewell_limit_bytes"), 10 << 30);
    // Nothing of it is on the clients' side.
    assert_eq!(daemon.get("/healthz").cache_status(), "icewell; fwd=uri-miss; fwd-status=200; stored");
}

#[test]
fn field_16_what_is_queued_is_fetched() {
    let image = Image::new(6, 100_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    assert_eq!(icewell(["queue", "a", "b%2Fc", "--dir", text(&daemon.dir)]).status, Some(0));
    until("both are cached", || daemon.is_cached("a") && daemon.is_cached("b%2Fc"));
    until("the queue is empty", || daemon.ls("--queued").is_empty());
    assert_eq!(origin.requests(), 2);
    assert_eq!(daemon.hits("a"), Some(0));
}

#[test]
fn an_origin_without_any_time_to_answer_is_wrong_usage() {
    for command in [["serve", "--listen=127.0.0.1:0"], ["fetch", "a"]] {
        let temp = tempfile::tempdir().unwrap();
        let mut icewell = icewell_command();
        icewell.args(["--dir", "cache"]).args(command).args([
            "--origin",
            "http://127.0.0.1:1",
            "--origin-timeout",
            "0",
        ]);
        let output = icewell.current_dir(temp.path()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains("an origin timeout of 0"), "{output:?}");
    }
}
