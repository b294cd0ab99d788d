//! TLS towards the origin: a real nginx with certificates good and bad.

use std::fs;

use crate::fixture::{Authority, Daemon, Image, Issued, Nginx, Response, bundle, icewell_command};

/// What a daemon that trusts this authority makes of an origin with this certificate.
fn through(trusted: Option<&Authority>, certificate: &Issued, image: &Image) -> (Daemon, tempfile::TempDir, Response) {
    let nginx = Nginx::new(certificate);
    nginx.holds("a", &image.bytes);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    let ca = trusted.map(|authority| authority.cert.to_str().unwrap());
    let args = ca.map_or(vec![], |ca| vec!["--origin-ca", ca]);
    let daemon = Daemon::start(&dir, &nginx.url(), &args);
    let answer = daemon.get("/a");
    daemon.idle();
    (daemon, temp, answer)
}

#[test]
fn one_whose_ca_is_named() {
    let authority = Authority::new("ca");
    let image = Image::new(1, 3_000_000);
    let (daemon, _temp, cold) = through(Some(&authority), &authority.issue("origin"), &image);
    cold.is(&image.bytes);
    assert!(daemon.is_cached("a"));
}

#[test]
fn one_of_several_cas_in_the_file() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let nginx = Nginx::new(&authority.issue("origin"));
    let image = Image::new(2, 10_000);
    nginx.holds("a", &image.bytes);
    let temp = tempfile::tempdir().unwrap();
    let both = temp.path().join("both.pem");
    bundle(&[&other.cert, &authority.cert], &both);
    let daemon = Daemon::start(&temp.path().join("cache"), &nginx.url(), &["--origin-ca", both.to_str().unwrap()]);
    daemon.get("/a").is(&image.bytes);
}

#[test]
fn one_that_cannot_be_trusted_is_a_502_that_says_why() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let image = Image::new(3, 10_000);
    let elsewhere = authority.issue_for("elsewhere", "subjectAltName=DNS:elsewhere.test", "ec");
    for (trusted, certificate, why) in [
        (None, authority.issue("origin"), "--origin-ca"),
        (Some(&other), authority.issue("origin"), "--origin-ca"),
        (Some(&authority), authority.issue_expired("expired"), "expired"),
        (Some(&authority), elsewhere, "elsewhere.test"),
    ] {
        let (daemon, _temp, answer) = through(trusted, &certificate, &image);
        assert_eq!(answer.status, 502);
        assert!(answer.text().contains("certificate") && answer.text().contains(why), "{why}: {}", answer.text());
        assert!(daemon.ls("").is_empty() && daemon.ls("--incomplete").is_empty());
    }
}

#[test]
fn a_listener_without_tls_is_a_502() {
    let image = Image::new(4, 10_000);
    let origin = crate::fixture::Origin::of(&image);
    let temp = tempfile::tempdir().unwrap();
    let url = origin.url().replace("http://", "https://");
    let answer = Daemon::start(&temp.path().join("cache"), &url, &[]).get("/a");
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[test]
fn files_of_certificates_that_cannot_be_used_are_named() {
    let temp = tempfile::tempdir().unwrap();
    let empty = temp.path().join("empty");
    fs::write(&empty, "").unwrap();
    for (file, why) in [(empty, "no certificate"), (temp.path().join("nowhere"), "No such file")] {
        let mut command = icewell_command();
        command.env("ICEWELL_DIR", temp.path().join("cache")).args(["serve", "--origin", "https://127.0.0.1:1"]);
        let output = command.arg("--origin-ca").arg(&file).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(file.to_str().unwrap()) && stderr.contains(why), "{stderr}");
    }
}

#[test]
fn an_https_address_and_an_http_one_are_different_origins() {
    let authority = Authority::new("ca");
    let nginx = Nginx::new(&authority.issue("origin"));
    nginx.holds("a", b"bytes");
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    Daemon::start(&dir, &nginx.url(), &["--origin-ca", authority.cert.to_str().unwrap()]).get("/a").is(b"bytes");
    let mut command = icewell_command();
    command.env("ICEWELL_LISTEN", "127.0.0.1:0").env("ICEWELL_ADMIN", "off").arg("serve").arg("--dir").arg(&dir);
    let output = command.args(["--origin", &format!("http://{}", nginx.address())]).output().unwrap();
    assert!(!output.status.success());
}
