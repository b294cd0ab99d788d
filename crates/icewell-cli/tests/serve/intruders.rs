//! Nothing that a client asks for, an origin answers or somebody plants in DIR gets anything of outside; no token is
//! written down anywhere. What the library does of it is in `icewell/tests/it/intruders.rs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::fixture::{Ask, Daemon, Gate, Image, Line, Origin, Reply, Seen, base64, icewell_command, until};

const SECRET: &[u8] = b"the secret that lies beside";

/// Targets that try to leave the folder, as bytes of a request line.
const TARGETS: [&[u8]; 30] = [
    b"/../secret",
    b"/..%2fsecret",
    b"/..%2Fsecret",
    b"/%2e%2e/secret",
    b"/%2e%2e%2fsecret",
    b"/.%2e/secret",
    b"/%252e%252e%252fsecret",
    b"/a/../../secret",
    b"/a/%2e%2e/%2e%2e/secret",
    b"//../secret",
    b"/./../secret",
    b"/..;/secret",
    b"/..\\secret",
    b"/..%5csecret",
    b"/%c0%ae%c0%ae/secret",
    b"/%c0%ae%c0%ae%c0%afsecret",
    b"/%e0%80%ae%e0%80%ae/secret",
    b"/%uff0e%uff0e/secret",
    b"/\xc0\xae\xc0\xae/secret",
    b"/secret%00.img",
    b"/../secret%00",
    b"/%00../secret",
    b"/link",
    b"/up/secret",
    b"/etc/passwd",
    b"/%2fetc%2fpasswd",
    b"//etc/passwd",
    b"file:///etc/passwd",
    b"http://127.0.0.1/../secret",
    b"/?/../../secret",
];

/// What came back for a target, all of it, whatever it is.
fn raw(daemon: &Daemon, target: &[u8]) -> Vec<u8> {
    let mut line = Line::to(daemon.address);
    let request = [b"GET ", target, b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat();
    line.try_say(&request).unwrap();
    line.rest()
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// The files under a folder, links not followed.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn no_target_leads_out_of_an_origin_that_is_a_folder() {
    // Also without the kernel's help.
    for confine in ["--confine=true", "--confine=false"] {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("images");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), b"an image").unwrap();
        fs::write(temp.path().join("secret"), SECRET).unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        let daemon = Daemon::start(&temp.path().join("cache"), folder.to_str().unwrap(), &[confine]);
        for target in TARGETS {
            let answer = raw(&daemon, target);
            let text = String::from_utf8_lossy(&answer);
            assert!(!holds(&answer, SECRET) && !text.contains("root:"), "{}: {text}", target.escape_ascii());
            assert!(!text.starts_with("HTTP/1.1 2"), "{}: {text}", target.escape_ascii());
        }
        daemon.get("/a").is(b"an image");
        daemon.idle();
        assert_eq!(daemon.ls("").len(), 1);
        assert!(files(&daemon.dir).iter().all(|file| !holds(&fs::read(file).unwrap(), SECRET)));
    }
}

/// Whatever a target names, its file is one plain name in DIR.
#[test]
fn no_target_makes_a_file_outside_the_cache() {
    let image = Image::new(1, 100);
    let origin = Origin::of(&image);
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deep/cache");
    let daemon = Daemon::start(&dir, &origin.url(), &[]);
    for target in TARGETS {
        raw(&daemon, target);
        daemon.idle();
    }
    let manage = |method: &str, id: &str| {
        Ask::new(method, &format!("/v2/cache/{id}")).with("Host", "localhost").of(daemon.admin).status
    };
    fs::write(temp.path().join("deep/victim"), SECRET).unwrap();
    for id in
        ["..%2Fvictim", "%2e%2e%2fvictim", "..%252Fvictim", "%2Fetc%2Fpasswd", "..", "x%00", "incomplete", "queue"]
    {
        for method in ["PUT", "DELETE"] {
            manage(method, id);
        }
    }
    assert_eq!(fs::read(temp.path().join("deep/victim")).unwrap(), SECRET);
    drop(daemon);
    let outside: Vec<_> = files(temp.path()).into_iter().filter(|file| !file.starts_with(&dir)).collect();
    assert_eq!(outside, [temp.path().join("deep/victim")]);
    // One folder deep, as Icewell makes them, and nothing deeper.
    assert!(files(&dir).iter().all(|file| file.strip_prefix(&dir).unwrap().components().count() <= 3));
}

#[test]
fn an_origin_that_redirects_to_a_file_gets_nothing_read() {
    let origin = Origin::new(|_| Reply::status(302).with("Location", "file:///etc/passwd"));
    let daemon = Daemon::of(&origin);
    let answer = daemon.get("/a");
    assert!(!answer.text().contains("root:"), "{}", answer.text());
    assert!(answer.status == 302 || answer.status >= 400, "{}", answer.status);
    daemon.idle();
    assert!(!daemon.is_cached("a"));
}

#[test]
fn what_is_planted_in_the_directory_is_neither_served_nor_touched() {
    for confine in ["--confine=true", "--confine=false"] {
        let image = Image::new(2, 100_000);
        let origin = Origin::of(&image);
        let temp = tempfile::tempdir().unwrap();
        let secret = temp.path().join("secret");
        fs::write(&secret, SECRET).unwrap();
        let daemon = Daemon::start(&temp.path().join("cache"), &origin.url(), &[confine]);
        for folder in ["", "incomplete", "incomplete/.icewell", "invalid", "queue"] {
            let place = |kind: &str| daemon.dir.join(folder).join(format!("{kind}{}", folder.replace('/', "-")));
            symlink(&secret, place("link")).unwrap();
            fs::hard_link(&secret, place("hard")).unwrap();
            mknodat(CWD, place("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
            fs::create_dir(place("folder")).unwrap();
            for kind in ["link", "hard", "fifo", "folder"] {
                // Such a name cannot be cached, and is passed through.
                let target = format!("/{}", place(kind).file_name().unwrap().to_str().unwrap());
                for _ in 0..2 {
                    daemon.get(&target).is(&image.bytes);
                    Ask::get(&target).with("Range", "bytes=0-9").of(daemon.address).is_part(&image.bytes[..10]);
                }
            }
        }
        daemon.idle();
        Ask::new("POST", "/v2/cache/clean").with("Host", "localhost").of(daemon.admin);
        Ask::new("DELETE", "/v2/cache").with("Host", "localhost").of(daemon.admin);
        assert_eq!(fs::read(&secret).unwrap(), SECRET);
        let mut list = [0; 256];
        assert_eq!(rustix::fs::llistxattr(&secret, &mut list).unwrap(), 0, "it got a tag");
    }
}

/// A file of the cache that becomes a link to somewhere else, while it is served.
#[test]
fn an_image_swapped_for_a_link_leads_nowhere() {
    let image = Image::new(3, 5_000_000);
    let gate = Gate::at(1_000_000);
    let (told, gated) = (image.clone(), gate.clone());
    let origin = Origin::new(move |request| told.answer(request).gated(&gated));
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("secret"), SECRET).unwrap();
    let daemon = Daemon::start(&temp.path().join("cache"), &origin.url(), &[]);
    let swap = |name: &str| {
        let path = daemon.dir.join(name);
        fs::remove_file(&path).unwrap();
        symlink(temp.path().join("secret"), &path).unwrap();
    };
    // The bytes of a fill that goes on, and then the image.
    let mut download = Ask::get("/a").begin(daemon.address);
    download.read_to(500_000);
    swap("incomplete/.icewell/a");
    gate.open();
    download.finish().is(&image.bytes);
    daemon.idle();
    daemon.get("/b").is(&image.bytes);
    daemon.settles_at("b", 0);
    daemon.get("/b").is(&image.bytes);
    swap("b");
    daemon.get("/b").is(&image.bytes);
    assert_eq!(fs::read(temp.path().join("secret")).unwrap(), SECRET);
}

#[test]
fn nothing_listens_on_the_network_unless_it_is_told_to() {
    let help = icewell_command().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for option in ["--listen <", "--admin <"] {
        let (_, rest) = help.split_once(option).unwrap();
        let default = rest.split("[default: ").nth(1).unwrap();
        assert!(default.starts_with("127.0.0.1:"), "{option} {default}");
    }
}

const CALLER: &str = "caller-tok-6d2f1c";
const WRONG: &str = "wrong-tok-88aa01";
const SERVICE: &str = "service-tok-4be9d7";
const ADMIN: &str = "admin-tok-1f07cc";
const PASSWORD: &str = "pass-word-93e5b2";

/// A Glance with one image, for whoever has the caller's token.
fn glance(image: &Image, request: &Seen) -> Reply {
    if request.header("x-auth-token") != Some(CALLER) {
        return Reply::text(401, "no");
    }
    if !request.target.starts_with("/v2/images/a") {
        return Reply::text(200, "{}");
    }
    if !request.target.ends_with("/file") {
        return Reply::text(200, &format!("{{\"status\":\"active\",\"size\":{},\"name\":\"x\"}}", image.size()));
    }
    image.answer(request)
}

#[test]
fn tokens_are_neither_logged_nor_kept_nor_told() {
    let image = Image { etag: None, cache_control: None, ..Image::new(4, 200_000) };
    let told = image.clone();
    let origin = Origin::new(move |request| glance(&told, request));
    // A Keystone that refuses, and says why at length.
    let keystone = Origin::new(|request| Reply::text(401, &format!("who are you, {}?", request.target)));
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("cache");
    fs::write(temp.path().join("token"), format!("{ADMIN}\n")).unwrap();
    let mut command = icewell_command();
    command.arg("serve").arg("--dir").arg(&dir).arg(format!("--origin=glance+{}", origin.url()));
    command.arg("--admin-token-file").arg(temp.path().join("token"));
    command.env("ICEWELL_LOG", "trace").env("OS_AUTH_URL", keystone.url()).env("OS_PASSWORD", PASSWORD);
    command.envs([("OS_USERNAME", "icewell"), ("OS_PROJECT_NAME", "service"), ("OS_USER_DOMAIN_NAME", "Default")]);
    command.env("OS_PROJECT_DOMAIN_NAME", "Default");
    let mut daemon = Daemon::run(command, &dir, "");
    let mut answers = Vec::new();
    {
        let mut ask = |ask: Ask| answers.push(ask.of(daemon.address));
        let by = |ask: Ask, token: &str| ask.with("X-Auth-Token", token);
        for _ in 0..2 {
            ask(by(Ask::get("/v2/images/a/file"), CALLER));
            daemon.idle();
        }
        for method in ["GET", "HEAD", "DELETE", "PUT", "POST", "PATCH"] {
            for target in ["/v2/images/a/file", "/v2/images/a", "/v2/images", "/v2/cache", "/v2/cache/a", "/v1/x"] {
                ask(by(Ask::new(method, target).with("Content-Length", "0"), WRONG));
                ask(by(Ask::new(method, target).with("X-Service-Token", SERVICE), CALLER).with("Range", "bytes=1-2"));
            }
        }
        for value in [format!("Bearer {WRONG}"), format!("Basic {}", base64(format!("u:{WRONG}").as_bytes()))] {
            ask(Ask::get("/v2/images/a/file").with("Authorization", &value).with("X-Storage-Token", CALLER));
        }
        for token in [ADMIN, WRONG] {
            let named = by(Ask::new("GET", "/v2/cache").with("Host", "localhost"), token);
            answers.push(named.of(daemon.admin));
            let bearing = Ask::new("PUT", "/v2/cache/b").with("Authorization", &format!("Bearer {token}"));
            answers.push(bearing.of(daemon.admin));
        }
        // What is no request has tokens in it too.
        let mut line = Line::to(daemon.address);
        line.say(&format!("GET /v2/images/a/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {CALLER}\r\nbroken\r\n\r\n"));
        line.rest();
        until("Keystone was asked", || keystone.requests() > 0);
        // An origin that goes away in the middle of all that.
        origin.now(|_| Reply { refused: true, ..Reply::status(500) });
        answers.push(by(Ask::get("/v2/images/c/file"), CALLER).of(daemon.address));
        answers.push(by(Ask::get("/v2/images"), CALLER).of(daemon.address));
        daemon.signal(Signal::TERM);
        daemon.ended();
    }
    let log = daemon.logged("");
    assert!(log.iter().any(|line| line.contains("cached")) && log.len() > 50, "nothing was done: {log:#?}");
    let asked = origin.seen().iter().any(|request| request.header("x-auth-token") == Some(CALLER));
    assert!(asked && answers.iter().any(|answer| answer.status == 200), "nobody got anything by a token");
    let secrets = [CALLER, WRONG, SERVICE, ADMIN, PASSWORD];
    let secrets = secrets.iter().flat_map(|secret| {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        [secret.as_bytes().to_vec(), hex.into_bytes(), base64(secret.as_bytes()).trim_end_matches('=').into()]
    });
    let secrets: Vec<Vec<u8>> = secrets.collect();
    let clean = |bytes: &[u8], place: &str| {
        for secret in &secrets {
            assert!(!holds(bytes, secret), "{} in {place}", String::from_utf8_lossy(secret));
        }
    };
    for line in &log {
        clean(line.as_bytes(), line);
    }
    for answer in &answers {
        clean(&answer.body, &answer.text());
        clean(format!("{:?}", answer.headers).as_bytes(), "the fields of an answer");
    }
    for file in files(&dir) {
        clean(&fs::read(&file).unwrap(), &format!("{file:?}"));
        clean(file.to_str().unwrap().as_bytes(), "a name");
    }
    let folders = ["", "incomplete", "incomplete/.icewell", "invalid", "queue"].map(|folder| dir.join(folder));
    for path in files(&dir).iter().chain(&folders) {
        let (mut list, mut value) = (vec![0; 4096], vec![0; 4096]);
        let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
        for key in list[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
            let length = rustix::fs::lgetxattr(path, key, &mut value[..]).unwrap_or(0);
            clean(&value[..length], &format!("a tag of {path:?}"));
        }
    }
}
