//! `icewell status` beside a running daemon: what it tells of it, and that it does without.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixture::{Ask, Daemon, Gate, Image, Origin, Reply, icewell, icewell_command, until};

/// What the command prints of a directory, asking the daemon at this address.
fn status(dir: &Path, admin: &str, more: &[&str]) -> String {
    let mut command = icewell_command();
    let output = command.arg("status").arg("--dir").arg(dir).args(["--admin", admin]).args(more).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line:?} not in\n{text}");
    }
}

#[test]
fn the_daemon_of_the_directory_is_told_with_its_health_and_last_failure() {
    let image = Image::new(1, 1_000_000);
    let gate = Gate::at(400_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| match request.target.as_str() {
        "/busy" => Reply::status(503),
        "/slow" => told.answer(request).gated(&gated),
        "/a" => told.answer(request),
        _ => Reply::status(404),
    });
    let daemon = Daemon::of(&origin);
    let admin = daemon.admin.to_string();
    let text = status(&daemon.dir, &admin, &[]);
    has(
        &text,
        &[
            &format!("daemon:        {} at http://{admin}/, up since 20", env!("CARGO_PKG_VERSION")),
            "\n  requests:    - from the cache: 0 of 0 requests",
            "\n  fetching:    0 images for 0 clients\n",
            "\n  failure:     none since the start\n",
            "\n  scrub:       each image in 30 days; 0 images due, 0 sound and 0 corrupt since the start\n",
        ],
    );
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    daemon.get("/a").is(&image.bytes);
    assert_eq!(daemon.get("/busy").status, 503);
    daemon.idle();
    let mut download = Ask::get("/slow").begin(daemon.address);
    download.read_to(1000);
    let mut text = String::new();
    until("the three requests are counted", || {
        text = status(&daemon.dir, &admin, &[]);
        text.contains(" of 3 requests")
    });
    has(
        &text,
        &[
            "\nhealth:        WARNING: One fill has failed at the origin",
            "\n  requests:    33.3 % from the cache: 1 of 3 requests, ",
            "\n  fetching:    1 image for 1 client\n",
            " ago, busy: origin_error: ",
            "\nnext to go:    a, 976.56 KiB, ",
        ],
    );
    let told: Value = serde_json::from_str(&status(&daemon.dir, &admin, &["--json"])).unwrap();
    assert_eq!((&told["health"][0]["level"], &told["daemon"]["error"]), (&"warning".into(), &Value::Null));
    assert_eq!(told["daemon"]["status"]["counters"]["from_cache"], 1);
    assert_eq!(told["images"]["count"], 1);
    gate.open();
    download.finish().is(&image.bytes);
}

#[test]
fn a_full_cache_is_said_to_be_full_and_one_that_nothing_is_known_of_yet_is_not() {
    let image = Image::new(1, 1_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &["--max-size", "1000000"]);
    let admin = daemon.admin.to_string();
    let text = status(&daemon.dir, &admin, &[]);
    assert!(!text.contains("\nfull:"), "{text}");
    daemon.get("/a").is(&image.bytes);
    daemon.settles_at("a", 0);
    until("it is said to be full", || {
        status(&daemon.dir, &admin, &[])
            .contains("\nfull:          now: what comes takes the place of what was not used for longest\n")
    });
}

#[test]
fn a_directory_named_in_another_way_is_the_daemons_own_and_another_one_is_not() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("images")).unwrap();
    let dir = temp.path().join("cache");
    let mut command = icewell_command();
    command.current_dir(temp.path()).args(["serve", "--dir", "cache", "--origin", "images", "--min-free", "0"]);
    let daemon = Daemon::run(command, &dir, "images");
    let admin = daemon.admin.to_string();
    std::os::unix::fs::symlink(&dir, temp.path().join("link")).unwrap();
    has(&status(&temp.path().join("link"), &admin, &[]), &["\n  traffic:     0 B to clients, 0 B from the origin\n"]);
    let text = status(&temp.path().join("other"), &admin, &[]);
    has(&text, &[&format!("\ndaemon:        none seen: the one at http://{admin}/ serves {dir:?}\n")]);
    assert!(!text.contains("traffic:"), "{text}");
}

#[test]
fn without_a_daemon_it_says_so_in_a_line_and_tells_the_rest() {
    let temp = tempfile::tempdir().unwrap();
    let text = status(temp.path(), "127.0.0.1:1", &[]);
    has(&text, &["\ncached:        0 images, ", "\ndaemon:        none seen: no status from http://127.0.0.1:1/: "]);
    assert!(text.ends_with('\n') && text.lines().last().unwrap().starts_with("daemon:"), "{text}");
    let told: Value = serde_json::from_str(&status(temp.path(), "127.0.0.1:1", &["--json"])).unwrap();
    assert_eq!(told["daemon"]["status"], Value::Null);
    assert!(told["daemon"]["error"].as_str().unwrap().contains("http://127.0.0.1:1/"), "{told}");
}

#[test]
fn what_keeps_it_from_asking_the_daemon_keeps_it_from_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let file = temp.path().join("icewell.toml");
    for (settings, why) in [
        ("admin = 'off'\n", "none seen: the daemon's settings have no admin listener"),
        ("admin_token_file = '/nowhere/token'\n", "none seen: cannot read the admin token in \"/nowhere/token\""),
        ("max_sise = 1\n", "none seen: "),
    ] {
        fs::write(&file, settings).unwrap();
        let mut command = icewell_command();
        let output = command.arg("status").arg("--dir").arg(&dir).env("ICEWELL_CONFIG", &file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        has(&String::from_utf8(output.stdout).unwrap(), &["\nqueued:        0\n", why]);
    }
    let token = temp.path().join("token");
    fs::write(&token, "secret\n").unwrap();
    let origin = Origin::of(&Image::new(1, 1000));
    let daemon = Daemon::with(&origin, &["--admin-token-file", token.to_str().unwrap()]);
    let admin = daemon.admin.to_string();
    has(&status(&daemon.dir, &admin, &[]), &["\ndaemon:        none seen: no status from ", "403"]);
    let text = status(&daemon.dir, &admin, &["--admin-token-file", token.to_str().unwrap()]);
    has(&text, &["\n  requests:    "]);
    assert_eq!(icewell(["status", "--admin", "nonsense"]).status, Some(2));
}
