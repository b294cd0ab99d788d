//! What the daemon gave up it cannot take back, and it needs nothing of that. These hold where the kernel has Landlock.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fixture::{Authority, Daemon, Image, Issued, Origin, bundle, openssl, until};

/// Whether the kernel of this machine confines the daemon.
fn is_confined(daemon: &Daemon) -> bool {
    let told = daemon.logged(" confined: ").into_iter().chain(daemon.logged(" this kernel has no Landlock"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "it says which: {told:?}");
    told[0].contains(" confined: ")
}

/// The certificate that the daemon shows now.
fn shown(daemon: &Daemon) -> String {
    let mut command = openssl(&["s_client", "-connect", &daemon.address.to_string(), "-showcerts"]);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find(|line| line.starts_with("subject=")).unwrap_or_default().to_owned()
}

/// Certificates are read by path, and paths are followed: here a link is enough to make the daemon open anything.
#[test]
fn a_settings_file_swapped_for_a_link_to_elsewhere_cannot_be_opened() {
    let (authority, elsewhere) = (Authority::new("ca"), Authority::new("elsewhere"));
    let (first, foreign) = (authority.issue("first"), elsewhere.issue("foreign"));
    for confine in [true, false] {
        let temp = tempfile::tempdir().unwrap();
        let own = Issued { cert: temp.path().join("live.pem"), key: temp.path().join("live.key") };
        let copy = |issued: &Issued| {
            fs::copy(&issued.cert, &own.cert).unwrap();
            fs::copy(&issued.key, &own.key).unwrap();
        };
        copy(&first);
        let confine_option = format!("--confine={confine}");
        let origin = Origin::of(&Image::new(1, 10));
        let daemon = Daemon::with(&origin, &[&own.options()[..], &[&confine_option]].concat());
        if confine && !is_confined(&daemon) {
            return;
        }
        assert!(shown(&daemon).contains("first"));
        for (link, target) in [(&own.cert, &foreign.cert), (&own.key, &foreign.key)] {
            fs::remove_file(link).unwrap();
            symlink(target, link).unwrap();
        }
        if confine {
            until("it looks again", || {
                shown(&daemon);
                !daemon.logged("cannot be used").is_empty()
            });
            assert!(daemon.logged("cannot be used")[0].contains("ermission denied"), "{:?}", daemon.logged("cannot"));
            assert!(shown(&daemon).contains("first"), "the old one stays");
            // In its place it may be renewed, as certificates are: by new files.
            fs::remove_file(&own.cert).unwrap();
            fs::remove_file(&own.key).unwrap();
            copy(&authority.issue("second"));
            until("the new one is taken up", || shown(&daemon).contains("second"));
        } else {
            until("without it the link is followed", || shown(&daemon).contains("foreign"));
        }
    }
}

/// As `certbot` renews: the name is a link, which is set anew to a new file beside the old one.
#[test]
fn a_certificate_behind_a_link_is_renewed() {
    let authority = Authority::new("ca");
    let temp = tempfile::tempdir().unwrap();
    let (live, archive) = (temp.path().join("live"), temp.path().join("archive"));
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let pem = live.join("pem");
    let renew = |name: &str| {
        let issued = authority.issue(name);
        bundle(&[&issued.cert, &issued.key], &archive.join(name));
        fs::remove_file(&pem).ok();
        symlink(format!("../archive/{name}"), &pem).unwrap();
    };
    renew("first");
    let origin = Origin::of(&Image::new(2, 10));
    let pem_text = pem.to_str().unwrap();
    let daemon = Daemon::with(&origin, &["--tls-cert", pem_text, "--tls-key", pem_text]);
    assert!(shown(&daemon).contains("first"));
    renew("second");
    until("the new one is taken up", || shown(&daemon).contains("second"));
}

#[test]
fn every_thread_has_given_up_new_privileges() {
    for (confine, expected) in [("--confine=true", "1"), ("--confine=false", "0")] {
        let image = Image::new(3, 3_000_000);
        let origin = Origin::of(&image);
        let daemon = Daemon::with(&origin, &[confine]);
        // Threads that are started later inherit it.
        daemon.get("/a").is(&image.bytes);
        let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let mut looked = 0;
        for task in tasks.map(Result::unwrap) {
            let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
            let line = status.lines().find(|line| line.starts_with("NoNewPrivs:")).unwrap();
            assert_eq!(line.split_whitespace().nth(1), Some(expected), "{status}");
            looked += 1;
        }
        assert!(looked > 2);
    }
}

/// The name of the host has to be found after all that.
#[test]
fn a_host_is_still_found_by_its_name() {
    let image = Image::new(4, 100_000);
    let origin = Origin::of(&image);
    let temp = tempfile::tempdir().unwrap();
    let url = origin.url().replace("127.0.0.1", "localhost");
    let daemon = Daemon::start(&temp.path().join("cache"), &url, &[]);
    daemon.get("/a").is(&image.bytes);
    daemon.idle();
    assert!(daemon.is_cached("a"));
}
