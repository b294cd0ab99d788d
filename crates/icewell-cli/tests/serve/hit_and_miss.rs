//! The first request of an image is a miss that is stored; the next is a hit, with the same bytes.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fixture::{Daemon, Image, Origin, bytes_of, until};

const STORED: &str = "icewell; fwd=uri-miss; fwd-status=200; stored";

#[test]
fn a_web_server_is_asked_once() {
    let image = Image::new(1, 300_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    let miss = daemon.get("/a.img");
    miss.is(&image.bytes);
    assert_eq!(miss.cache_status(), STORED);
    let hit = daemon.get("/a.img");
    hit.is(&image.bytes);
    assert!(hit.cache_status().starts_with("icewell; hit"), "{}", hit.cache_status());
    assert_eq!((origin.requests(), origin.sent()), (1, image.size()));
}

#[test]
fn a_folder_answers_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = bytes_of(2, 5_000_000);
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/a.img"), &*bytes).unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    let daemon = Daemon::of_folder(folder.path());
    for (name, bytes) in [("/sub/a.img", &bytes[..]), ("/empty", &[])] {
        let miss = daemon.get(name);
        miss.is(bytes);
        assert_eq!(miss.cache_status(), STORED);
        if bytes.is_empty() {
            // No last byte tells that it is verified.
            daemon.idle();
        }
        let hit = daemon.get(name);
        hit.is(bytes);
        assert_eq!(hit.cache_status(), "icewell; hit");
        assert_eq!(hit.header("etag"), miss.header("etag"));
        assert_eq!(hit.header("last-modified"), miss.header("last-modified"));
    }
    until("both are cached", || daemon.is_cached("sub%2Fa.img") && daemon.is_cached("empty"));
    let missing = daemon.get("/missing");
    assert_eq!((missing.status, missing.whole), (404, true));
}

#[test]
fn another_process_sees_it_within_a_second() {
    let image = Image::new(3, 400_000);
    let origin = Origin::of(&image);
    let daemon = Daemon::of(&origin);
    daemon.get("/a.img").is(&image.bytes);
    let second = std::time::Duration::from_secs(1);
    let asked = SystemTime::now();
    until("the entry is there", || daemon.hits("a.img") == Some(0));
    assert!(asked.elapsed().unwrap() < second);
    daemon.get("/a.img").is(&image.bytes);
    let asked = SystemTime::now();
    until("the hit is counted", || daemon.hits("a.img") == Some(1));
    assert!(asked.elapsed().unwrap() < second);

    let images = daemon.ls("");
    assert_eq!(images.len(), 1);
    let image = images[0].as_object().unwrap();
    assert_eq!(image["image_id"], "a.img");
    assert_eq!(image["size"], 400_000);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    for name in ["last_modified", "last_accessed"] {
        let then = image[name].as_f64().unwrap();
        assert!((now - 60.0..=now).contains(&then), "{name}: {then} and now is {now}");
    }
    assert!(image["last_accessed"].as_f64() > image["last_modified"].as_f64());
}

/// The web server that most origins are.
struct Nginx(Child);

impl Nginx {
    fn start(root: &Path, temp: &Path) -> (Self, String) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (root, temp) = (root.display(), temp.display());
        let config = format!(
            "daemon off; master_process off; pid {temp}/pid; error_log {temp}/error.log;
             events {{}}
             http {{
               access_log {temp}/access.log;
               client_body_temp_path {temp}/b; proxy_temp_path {temp}/p; fastcgi_temp_path {temp}/f;
               uwsgi_temp_path {temp}/u; scgi_temp_path {temp}/s;
               server {{ listen 127.0.0.1:{port}; root {root};
                 location /fresh/ {{ expires 1h; }}
               }}
             }}"
        );
        let file = format!("{temp}/nginx.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", &format!("{temp}/error.log"), "-c", &file]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let nginx = Nginx(child.expect("nginx runs: scripts/setup.sh installs it"));
        until("nginx listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        (nginx, format!("http://127.0.0.1:{port}"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn nginx_as_the_origin() {
    let temp = tempfile::tempdir().unwrap();
    // Its worker may run as another user.
    fs::set_permissions(temp.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("fresh")).unwrap();
    let bytes = bytes_of(4, 6_000_000);
    fs::write(root.join("a.img"), &*bytes).unwrap();
    fs::write(root.join("fresh/a.img"), &*bytes).unwrap();
    let (_nginx, url) = Nginx::start(&root, temp.path());
    let daemon = Daemon::start(&temp.path().join("cache"), &url, &[]);

    let miss = daemon.get("/fresh/a.img");
    miss.is(&bytes);
    assert_eq!(miss.cache_status(), STORED);
    let hit = daemon.get("/fresh/a.img");
    hit.is(&bytes);
    assert!(hit.cache_status().starts_with("icewell; hit; ttl="), "{}", hit.cache_status());
    assert_eq!(hit.header("etag"), miss.header("etag"));

    // It says nothing of freshness here, so it is asked each time, and the bytes come from the cache.
    daemon.get("/a.img").is(&bytes);
    daemon.idle();
    let validated = daemon.get("/a.img");
    validated.is(&bytes);
    assert_eq!(validated.cache_status(), "icewell; fwd=stale; fwd-status=304; detail=hit-validated");
    daemon.settles_at("a.img", 1);

    fs::write(root.join("a.img"), "new").unwrap();
    let changed = daemon.get("/a.img");
    changed.is(b"new");
    assert_eq!(changed.cache_status(), "icewell; fwd=stale; fwd-status=200; stored");
    // Until it has its name, what was fetched just now is given out without a question.
    daemon.idle();
    fs::remove_file(root.join("a.img")).unwrap();
    assert_eq!(daemon.get("/a.img").status, 404);
    assert_eq!(daemon.get("/none.img").status, 404);
}
