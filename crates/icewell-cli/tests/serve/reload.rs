//! SIGHUP: the settings are read again while the daemon runs, confined as it is.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::fixture::{Ask, Authority, Daemon, Image, Origin, icewell, icewell_command, until};

/// A daemon with a file of settings of its own.
struct WithFile {
    temp: TempDir,
    daemon: Daemon,
    /// How often it was told to reload, and has come to an end with it.
    reloads: usize,
}

impl WithFile {
    fn start(origin: &Origin, settings: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let file = Self::place(&temp);
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, settings).unwrap();
        let dir = temp.path().join("cache");
        let mut command = icewell_command();
        command.arg("serve").arg("--config").arg(file).arg("--dir").arg(&dir).args(["--origin", &origin.url()]);
        let daemon = Daemon::run(command, &dir, &origin.url());
        WithFile { temp, daemon, reloads: 0 }
    }

    fn place(temp: &TempDir) -> PathBuf {
        temp.path().join("etc/icewell.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join("etc").join(name)
    }

    /// Writes the settings anew as an editor does, by a new file in the place of the old one, and waits until they are
    /// taken up or refused.
    #[track_caller]
    fn reload(&mut self, settings: &str) {
        let new = self.path("new");
        fs::write(&new, settings).unwrap();
        fs::rename(new, Self::place(&self.temp)).unwrap();
        self.hang_up();
    }

    #[track_caller]
    fn hang_up(&mut self) {
        self.reloads += 1;
        self.daemon.signal(Signal::HUP);
        let ends = |daemon: &Daemon| {
            daemon.logged("the settings are in force").len() + daemon.logged("all stays as it was").len()
        };
        until("it has reloaded", || ends(&self.daemon) == self.reloads);
    }

    fn limit(&self) -> u64 {
        self.daemon.metric("icewell_limit_bytes")
    }
}

#[test]
fn changed_settings_are_taken_up_and_told() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let mut with = WithFile::start(&origin, "max_size = '1GiB'\nmin_free = 0\nscrub_every = 0\n");
    with.daemon.get("/a").is(&image.bytes);
    until("the request is logged", || with.daemon.logged("request client").len() == 1);
    with.reload("max_size = '2GiB'\nmin_free = 0\nscrub_every = '1h'\nlog = 'warn,icewell::settings=info'\nlisten = '127.0.0.1:1'\n");
    for line in [
        "changed setting=\"max_size\" old=\"1GiB\" new=\"2GiB\"",
        "changed setting=\"scrub_every\" old=\"0\" new=\"1h\"",
        "changed setting=\"log\" old=\"info\" new=\"warn,icewell::settings=info\"",
    ] {
        assert_eq!(with.daemon.logged(line).len(), 1, "{line}");
    }
    until("the limit is the new one", || with.limit() == 2 << 30);
    let told = icewell(["status", "--json", "--dir", with.daemon.dir.to_str().unwrap()]);
    assert!(told.stdout.contains(&(2u64 << 30).to_string()), "{}", told.stdout);
    // What is logged is another matter now.
    with.daemon.get("/a").is(&image.bytes);
    until("the request is counted", || with.daemon.metric("icewell_requests_total") == 2);
    assert_eq!(with.daemon.logged("request client").len(), 1);
    // What the environment says counts before the file, and did not change.
    assert_eq!(with.daemon.logged("setting=\"listen\"").len(), 0);
    with.reload("max_size = '2GiB'\nmin_free = 0\nscrub_every = '1h'\n");
    assert_eq!(with.daemon.logged("setting=\"max_size\"").len(), 1);
}

#[test]
fn what_needs_a_restart_is_told_each_time_and_not_done() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let mut with = WithFile::start(&origin, "min_free = 0\norigin_timeout = '30s'\n");
    for times in 1..3 {
        with.reload("min_free = 0\norigin_timeout = '20s'\n");
        let told = with.daemon.logged("setting=\"origin_timeout\" running=\"30s\" set=\"20s\"");
        assert_eq!(told.len(), times, "{told:?}");
    }
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let mut with = WithFile::start(&origin, "max_size = '1GiB'\nmin_free = 0\n");
    with.reload("max_size = '2GiB'\nmin_free = 0\nauth-ttl = 3\nlisten = 'here'\n");
    assert_eq!(with.daemon.logged("line 3, auth-ttl: there is no such setting; did you mean auth_ttl?").len(), 1);
    assert_eq!(with.daemon.logged("line 4, listen: ").len(), 1);
    assert_eq!(with.limit(), 1 << 30);
    with.daemon.get("/a").is(&image.bytes);
    with.reload("max_size = '2GiB'\nmin_free = 0\n");
    until("the limit is the new one", || with.limit() == 2 << 30);
}

#[test]
fn an_admin_token_is_read_again() {
    let origin = Origin::of(&Image::new(1, 100_000));
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(token.path(), "first\n").unwrap();
    let settings = |more: &str| format!("min_free = 0\nadmin_token_file = '{}'\n{more}", token.path().display());
    let mut with = WithFile::start(&origin, &settings(""));
    let status =
        |with: &WithFile, token: &str| Ask::get("/v1/status").with("X-Auth-Token", token).of(with.daemon.admin).status;
    assert_eq!((status(&with, "first"), status(&with, "second")), (200, 403));
    fs::write(token.path(), "second\n").unwrap();
    with.hang_up();
    assert_eq!((status(&with, "first"), status(&with, "second")), (403, 200));
    // One that cannot be used changes nothing, and neither does what stands beside it.
    fs::write(token.path(), "\n").unwrap();
    with.reload(&settings("max_size = '3GiB'\n"));
    assert_eq!(status(&with, "second"), 200);
    assert_ne!(with.daemon.metric("icewell_limit_bytes"), 3 << 30);
}

#[test]
fn a_certificate_is_read_again() {
    let authority = Authority::new("ca");
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let temp = tempfile::tempdir().unwrap();
    let (cert, key) = (temp.path().join("cert.pem"), temp.path().join("key.pem"));
    let put = |name: &str| {
        let options = authority.issue(name);
        let [_, from_cert, _, from_key] = options.options();
        fs::copy(from_cert, &cert).unwrap();
        fs::copy(from_key, &key).unwrap();
    };
    put("one");
    let settings = format!("min_free = 0\ntls_cert = '{}'\ntls_key = '{}'\n", cert.display(), key.display());
    let mut with = WithFile::start(&origin, &settings);
    fs::write(&cert, "no certificate").unwrap();
    with.hang_up();
    assert_eq!(with.daemon.logged("not reloaded; all stays as it was").len(), 1);
    put("other");
    with.hang_up();
    assert_eq!(with.daemon.logged("the settings are in force").len(), 1);
    assert!(served_by_tls(&with.daemon, &authority.cert));
}

fn served_by_tls(daemon: &Daemon, ca: &Path) -> bool {
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "-m", "60", "-o", "/dev/null", "--cacert"]).arg(ca).arg(daemon.https("/a"));
    curl.output().unwrap().status.success()
}

#[test]
fn more_connections_and_fewer() {
    let image = Image::new(1, 100_000);
    let origin = Origin::of(&image);
    let mut with = WithFile::start(&origin, "min_free = 0\nmax_connections = 2\nidle_timeout = '1h'\n");
    let connect = |with: &WithFile| TcpStream::connect(with.daemon.address).unwrap();
    let mut open = vec![connect(&with), connect(&with)];
    // The third waits to be accepted: until there is room for it.
    let third = Ask::get("/a").sent(with.daemon.address);
    with.reload("min_free = 0\nmax_connections = 4\nidle_timeout = '1h'\n");
    third.head().finish().is(&image.bytes);
    open.push(connect(&with));
    // Fewer: nobody is thrown out, and nobody new served until enough have gone.
    with.reload("min_free = 0\nmax_connections = 1\nidle_timeout = '1h'\n");
    let next = Ask::get("/a").sent(with.daemon.address);
    drop(open);
    next.head().finish().is(&image.bytes);
}
