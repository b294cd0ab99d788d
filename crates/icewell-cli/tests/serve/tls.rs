//! TLS towards clients.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::fixture::{Authority, Daemon, Gate, Image, Issued, Line, Origin, bundle, icewell_command, openssl, until};

fn curl(ca: &Path, url: &str, into: &Path) -> Command {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-m", "60", "--cacert"]).arg(ca).arg("-o").arg(into).arg(url);
    command
}

/// What curl says when it has got the image, which it compares.
#[track_caller]
fn gets(daemon: &Daemon, ca: &Path, image: &Image) -> String {
    gets_by(daemon, ca, image, "--http1.1")
}

#[track_caller]
fn gets_by(daemon: &Daemon, ca: &Path, image: &Image, version: &str) -> String {
    let temp = tempfile::tempdir().unwrap();
    let copy = temp.path().join("copy");
    let output = curl(ca, &daemon.https("/a"), &copy)
        .args([version, "-w", "%{http_code} %{http_version} %header{cache-status}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(copy).unwrap() == *image.bytes);
    String::from_utf8(output.stdout).unwrap()
}

fn is_trusted(daemon: &Daemon, ca: &Path) -> bool {
    curl(ca, &daemon.https("/a"), Path::new("/dev/null")).output().unwrap().status.success()
}

#[test]
fn images_by_https() {
    let authority = Authority::new("ca");
    let image = Image::new(1, 3_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &authority.issue("server").options());
    assert!(gets_by(&daemon, &authority.cert, &image, "--http1.1").starts_with("200 1.1"));
    daemon.settles_at("a", 0);
    for (hits, version, said) in [(1, "--http1.1", "200 1.1 icewell; hit"), (2, "--http2", "200 2 icewell; hit")] {
        let told = gets_by(&daemon, &authority.cert, &image, version);
        assert!(told.starts_with(said), "{told}");
        daemon.settles_at("a", hits);
    }
    assert_eq!(daemon.logged("https://").len(), 2, "where it serves, and what to try");
    assert_eq!(daemon.logged(" scheme=\"https\"").len(), 1);
    assert!(!is_trusted(&daemon, &Authority::new("another").cert));
}

#[test]
fn both_versions_of_http_can_be_agreed_on() {
    let authority = Authority::new("ca");
    let daemon = Daemon::with(&Origin::of(&Image::new(2, 10)), &authority.issue("server").options());
    let agreed = |offered: &str| {
        let mut command = openssl(&["s_client", "-connect", &daemon.address.to_string(), "-alpn", offered]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (offered, wanted) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")] {
        let (done, text) = agreed(offered);
        assert!(done && text.contains(&format!("ALPN protocol: {wanted}")), "{text}");
    }
    assert!(!agreed("spdy/3").0);
}

#[test]
fn many_images_over_one_connection_of_http_2() {
    let authority = Authority::new("ca");
    let image = Image::new(12, 2_000_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &authority.issue("server").options());
    let temp = tempfile::tempdir().unwrap();
    let copy = |number: usize| temp.path().join(number.to_string());
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-m", "60", "--http2", "-Z", "--cacert"]).arg(&authority.cert);
    command.args(["-w", "%{http_version} %{num_connects}\\n"]);
    for number in 0..20 {
        // The same image by several names, misses and hits.
        command.arg("-o").arg(copy(number)).arg(daemon.https(&format!("/{}", number % 5)));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.lines().all(|line| line.starts_with("2 ")), "{output:?}");
    for number in 0..20 {
        let copied = fs::read(copy(number)).unwrap();
        assert!(copied == *image.bytes, "{number}: {} bytes, {said}", copied.len());
    }
    // curl opens a second one at most while it does not know yet what the first is.
    let connections: u32 = said.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<u32>().ok()).sum();
    assert!(connections < 20, "{said}");
}

#[test]
fn a_client_of_http_2_that_keeps_its_window_shut_is_cut_off() {
    let authority = Authority::new("ca");
    let image = Image::new(13, 3_000_000);
    let origin = Origin::of(&image);
    let issued = authority.issue("server");
    let [cert, cert_file, key, key_file] = issued.options();
    let daemon = Daemon::with(&origin, &[cert, cert_file, key, key_file, "--send-timeout", "300ms"]);
    let mut client = openssl(&["s_client", "-quiet", "-alpn", "h2", "-connect", &daemon.address.to_string()]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS: a window of no bytes for each stream (RFC 9113 §6.5).
    said.extend([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    // HEADERS that end stream 1: GET, https, the path, the host (RFC 7541 §6, without Huffman's code).
    said.extend([0, 0, 9, 1, 5, 0, 0, 0, 1, 0x82, 0x87, 4, 2, b'/', b'a', 1, 1, b'x']);
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&said).unwrap();
    until("it is hung up on", || client.try_wait().unwrap().is_some());
    let logged = daemon.logged("request client");
    assert!(
        logged.len() == 1 && logged[0].contains("status=200") && !logged[0].contains("bytes=3000000"),
        "{logged:?}"
    );
    daemon.idle();
    gets(&daemon, &authority.cert, &image);
}

#[test]
fn plain_http_is_hung_up_on() {
    let authority = Authority::new("ca");
    let image = Image::new(3, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &authority.issue("server").options());
    let mut line = Line::to(daemon.address);
    line.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let told = line.rest();
    assert!(!String::from_utf8_lossy(&told).contains("HTTP"), "{told:?}");
    gets(&daemon, &authority.cert, &image);
}

#[test]
fn every_kind_of_key() {
    let authority = Authority::new("ca");
    let image = Image::new(4, 10_000);
    let (ec, rsa) = (authority.issue("ec"), authority.issue_for("rsa", "subjectAltName=IP:127.0.0.1", "rsa"));
    for (issued, marker) in [
        (ec.clone(), "-----BEGIN PRIVATE KEY"),
        (ec.with_key(&["pkey", "-traditional"]), "-----BEGIN EC PRIVATE KEY"),
        (rsa.clone(), "-----BEGIN PRIVATE KEY"),
        (rsa.with_key(&["pkey", "-traditional"]), "-----BEGIN RSA PRIVATE KEY"),
    ] {
        assert!(fs::read_to_string(&issued.key).unwrap().contains(marker));
        gets(&Daemon::with(&Origin::of(&image), &issued.options()), &authority.cert, &image);
    }
}

#[test]
fn a_chain_is_sent_whole() {
    let root = Authority::new("root");
    let between = root.subordinate("between");
    let issued = between.issue("server");
    let image = Image::new(5, 10_000);
    assert!(!is_trusted(&Daemon::with(&Origin::of(&image), &issued.options()), &root.cert));
    let chain = issued.cert.with_extension("chain");
    bundle(&[&issued.cert, &between.cert], &chain);
    let chained = Issued { cert: chain, key: issued.key };
    gets(&Daemon::with(&Origin::of(&image), &chained.options()), &root.cert, &image);
}

#[track_caller]
fn refused(args: &[&str], file: &Path, why: &str) {
    let temp = tempfile::tempdir().unwrap();
    let mut command = icewell_command();
    command.env("ICEWELL_LISTEN", "127.0.0.1:0").env("ICEWELL_ADMIN", "off").env("ICEWELL_DIR", temp.path());
    let output = command.args(["serve", "--origin", "http://127.0.0.1:1"]).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(file.to_str().unwrap()) && stderr.contains(why), "{stderr}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new("ca");
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        fs::write(temp.path().join(name), text).unwrap();
        temp.path().join(name)
    };
    let nowhere = temp.path().join("nowhere");
    let refuse = |cert: &Path, key: &Path, named: &Path, why| {
        refused(&Issued { cert: cert.into(), key: key.into() }.options(), named, why);
    };
    refused(&one.options()[..2], &one.cert, "--tls-key");
    refused(&one.options()[2..], &one.key, "--tls-cert");
    refuse(&nowhere, &one.key, &nowhere, "No such file");
    refuse(&one.cert, &nowhere, &nowhere, "No such file");
    let empty = file("empty", "");
    refuse(&empty, &one.key, &empty, "no certificate");
    refuse(&one.cert, &empty, &empty, "no private key");
    // The two for one another.
    refuse(&one.key, &one.cert, &one.key, "no certificate");
    let broken = file("broken", "-----BEGIN CERTIFICATE-----\nfoo$\n-----END CERTIFICATE-----\n");
    refuse(&broken, &one.key, &broken, "no PEM file");
    refuse(&one.cert, &other.key, &other.key, "not that of the first certificate");
    for encrypt in [&["ec", "-aes128", "-passout", "pass:x"][..], &["pkcs8", "-topk8", "-passout", "pass:x"]] {
        let encrypted = one.with_key(encrypt);
        refuse(&one.cert, &encrypted.key, &encrypted.key, "openssl pkey -in");
    }
}

#[test]
fn the_origin_may_not_be_this_listener() {
    let authority = Authority::new("ca");
    let issued = authority.issue("server");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for origin in [format!("https://{address}"), format!("glance+https://{address}")] {
        let args = [&["--listen", &address, "--origin", &origin][..], &issued.options()].concat();
        let mut command = icewell_command();
        let temp = tempfile::tempdir().unwrap();
        command.env("ICEWELL_ADMIN", "off").env("ICEWELL_DIR", temp.path());
        let output = command.arg("serve").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("itself listens"));
    }
}

#[test]
fn who_does_not_shake_hands_holds_up_nobody_and_is_hung_up_on() {
    let authority = Authority::new("ca");
    let image = Image::new(6, 10_000);
    let issued = authority.issue("server");
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &issued.options());
    let silent = [Line::to(daemon.address), Line::to(daemon.address)];
    gets(&daemon, &authority.cert, &image);
    drop(silent);
    let args = [&issued.options()[..], &["--idle-timeout", "200ms", "--max-connections", "1"]].concat();
    let daemon = Daemon::with(&origin, &args);
    let silent = Line::to(daemon.address);
    // It holds the only place there is, and then no more.
    gets(&daemon, &authority.cert, &image);
    assert_eq!(silent.rest(), b"");
}

#[test]
fn a_renewed_certificate_is_taken_without_a_restart() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let used = old.issue("server");
    let image = Image::new(7, 10_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::with(&origin, &used.options());
    gets(&daemon, &old.cert, &image);
    // First the one that does not fit the key any more, then its key: as a renewal does it.
    let renewed = new.issue("server");
    fs::copy(&renewed.cert, &used.cert).unwrap();
    until("the certificate alone is seen, and told of", || {
        gets(&daemon, &old.cert, &image);
        !daemon.logged("the old one stays").is_empty()
    });
    fs::rename(&renewed.key, &used.key).unwrap();
    until("both are taken", || is_trusted(&daemon, &new.cert));
    gets(&daemon, &new.cert, &image);
    assert!(!is_trusted(&daemon, &old.cert));
    assert_eq!(daemon.logged("the old one stays").len(), 1, "told once");
    // Files that are gone change nothing.
    fs::remove_file(&used.key).unwrap();
    until("the loss is told of", || {
        gets(&daemon, &new.cert, &image);
        daemon.logged("the old one stays").len() == 2
    });
}

fn begun(daemon: &Daemon, ca: &Path, into: &Path) -> Child {
    let child = curl(ca, &daemon.https("/a"), into).spawn().unwrap();
    until("the download has begun", || fs::metadata(into).is_ok_and(|file| file.len() > 0));
    child
}

#[test]
fn a_stop_lets_a_running_download_come_to_its_end() {
    let authority = Authority::new("ca");
    let image = Image::new(8, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let issued = authority.issue("server");
    let args = [&issued.options()[..], &["--drain-timeout", "1h"]].concat();
    let mut daemon = Daemon::with(&origin, &args);
    let temp = tempfile::tempdir().unwrap();
    let copy = temp.path().join("copy");
    // Who is still shaking hands is not waited for. Accepted before the other, as it came before.
    let silent = Line::to(daemon.address);
    let mut download = begun(&daemon, &authority.cert, &copy);
    daemon.signal(Signal::TERM);
    assert_eq!(silent.rest(), b"");
    gate.open();
    assert!(download.wait().unwrap().success());
    assert!(fs::read(copy).unwrap() == *image.bytes);
    assert!(daemon.ended().success());
}

#[test]
fn a_broken_fill_is_a_broken_answer() {
    let authority = Authority::new("ca");
    let image = Image { sized: false, ..Image::new(9, 5_000_000) };
    for version in ["--http1.1", "--http2"] {
        let told = image.clone();
        let origin = Origin::new(move |request| {
            let reply = told.answer(request);
            if request.nth < 9 { reply.cut(2_000_000, crate::fixture::Cut::Close) } else { reply }
        });
        let daemon = Daemon::with(&origin, &authority.issue("server").options());
        let output = curl(&authority.cert, &daemon.https("/a"), Path::new("/dev/null")).arg(version).output().unwrap();
        assert!(matches!(output.status.code(), Some(18 | 56 | 92)), "{output:?}");
    }
}
