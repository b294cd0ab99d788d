//! The shell that the documents' commands are typed into, and what stands there in the place of a machine of its own.
//!
//! A document names the addresses and folders that its reader will have. So that any number of documents can be tried at
//! once, by anybody, on a machine that has other things to do:
//!
//! - each address with a port, on 127.0.0.1 or one of the addresses for documents (192.0.2.1 to 192.0.2.254), is a free
//!   port on loopback; the daemon's defaults, 127.0.0.1:9292 and 127.0.0.1:9293, too;
//! - folders under `/etc`, `/srv`, `/usr/local` and `/var` are folders of the shell's own folder;
//! - `$DOCUMENTS` is the repository's `docs/`;
//! - further words can be told to stand for others.
//!
//! In what is printed they are the document's again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::documents;
use crate::steps::Step;

/// No document says this.
const MARK: &str = "@@icewell-docs@@";

const FOLDERS: [&str; 4] = ["/etc/", "/srv/", "/usr/local/", "/var/"];

/// What every machine has there.
const MADE: [&str; 5] = ["/etc/nginx/conf.d", "/srv", "/usr/local/bin", "/var/cache", "/var/lib"];

/// Where the images and the admin listener of a daemon are that nobody has told anything else.
const DEFAULTS: [(&str, &str); 2] = [("ICEWELL_LISTEN", "127.0.0.1:9292"), ("ICEWELL_ADMIN", "127.0.0.1:9293")];

/// What stands for what.
pub(crate) struct Places<'a> {
    folder: &'a Path,
    words: Vec<(String, String)>,
    addresses: BTreeMap<String, String>,
    /// Keeps each port from being given out twice.
    taken: Vec<TcpListener>,
}

impl<'a> Places<'a> {
    /// Places below `folder`; `words` are pairs of a document's word and what stands for it.
    pub(crate) fn new(folder: &'a Path, words: Vec<(String, String)>) -> Self {
        Places { folder, words, addresses: BTreeMap::new(), taken: Vec::new() }
    }

    /// A command, with what is here in the place of what the document says.
    pub(crate) fn here(&mut self, command: &str) -> String {
        // A word's stand-in is put in at the end, so that nothing stands in for a part of it.
        let mark = |number: usize| format!("\u{1}{number}\u{1}");
        let words = self.words.clone();
        let marked = words
            .iter()
            .enumerate()
            .fold(command.to_owned(), |text, (number, (word, _))| text.replace(word, &mark(number)));
        let text = self.with_addresses(&marked);
        let folder = self.folder.to_str().unwrap();
        let text = FOLDERS.iter().fold(text, |text, top| {
            let mut pieces = text.split(top);
            let mut moved = pieces.next().unwrap_or_default().to_owned();
            for piece in pieces {
                // Not in the middle of another path.
                let begins = !moved.ends_with(|before: char| before.is_alphanumeric() || "._~})/".contains(before));
                moved.push_str(if begins { folder } else { "" });
                moved.push_str(top);
                moved.push_str(piece);
            }
            moved
        });
        words.iter().enumerate().fold(text, |text, (number, (_, stand_in))| text.replace(&mark(number), stand_in))
    }

    fn with_addresses(&mut self, text: &str) -> String {
        let mut done = String::new();
        let mut rest = text;
        while let Some(start) = ["127.0.0.1", "192.0.2."].iter().filter_map(|begin| rest.find(begin)).min() {
            let (before, from_here) = rest.split_at(start);
            done.push_str(before);
            let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let host = from_here.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from_here.len());
            let (host, after) = from_here.split_at(host);
            let port = after.strip_prefix(':').map_or(0, digits);
            let (address, after) = from_here.split_at(host.len() + if port > 0 { port + 1 } else { 0 });
            done.push_str(&if port > 0 { self.free(address, host) } else { loopback(host) });
            rest = after;
        }
        done + rest
    }

    /// The address that stands for a document's.
    fn free(&mut self, address: &str, host: &str) -> String {
        if let Some(known) = self.addresses.get(address) {
            return known.clone();
        }
        let host = loopback(host);
        let listener =
            std::iter::repeat_with(port).find_map(|port| TcpListener::bind((host.as_str(), port)).ok()).unwrap();
        let found = listener.local_addr().unwrap().to_string();
        self.taken.push(listener);
        self.addresses.insert(address.into(), found.clone());
        found
    }

    /// What was printed, with the document's words.
    fn there(&self, printed: &str) -> String {
        let text = self.words.iter().fold(printed.to_owned(), |text, (word, stand_in)| text.replace(stand_in, word));
        let text = text.replace(self.folder.to_str().unwrap(), "");
        self.addresses.iter().fold(text, |text, (address, found)| text.replace(found, address))
    }
}

/// A port that was not given out here yet. It lies below those that the kernel gives to who asks for any: another program
/// could be given one of those before the example comes to use it.
fn port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(101) + GIVEN.fetch_add(1, Ordering::Relaxed);
    u16::try_from(10_000 + number % 20_000).unwrap()
}

/// 192.0.2.7 is 127.0.0.7 here.
fn loopback(host: &str) -> String {
    host.replace("192.0.2.", "127.0.0.")
}

/// What each command printed, and its exit status.
pub(crate) fn run(steps: &[Step], mut places: Places<'_>) -> Vec<(String, i32)> {
    let mut script = String::from("exec 2>&1 </dev/null\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
    for step in steps {
        write!(script, "{}\nprintf '%s%d\\n' '{MARK}' $?\n", places.here(&step.command)).unwrap();
    }
    for made in MADE {
        std::fs::create_dir_all(format!("{}{made}", places.folder.display())).unwrap();
    }
    let icewell = Path::new(env!("CARGO_BIN_EXE_icewell")).parent().unwrap();
    let mut path = OsString::from(icewell);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).current_dir(places.folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("ICEWELL_") || told.starts_with("OTEL_") || told.ends_with("_proxy") {
            bash.env_remove(name);
        }
    }
    for (variable, address) in DEFAULTS {
        if let Some(found) = places.addresses.get(address) {
            bash.env(variable, found);
        }
    }
    bash.env("DOCUMENTS", documents::root().join("docs"));
    bash.env("PATH", path).env("HOME", places.folder).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env_remove("RUST_LOG");
    // Whoever runs the tests may have a daemon of his own.
    bash.env("ICEWELL_CONFIG", "off");
    places.taken.clear();
    let output = bash.output().unwrap();
    let output = places.there(&String::from_utf8_lossy(&output.stdout));
    let mut printed = Vec::new();
    let mut rest = output.as_str();
    while let Some((before, after)) = rest.split_once(MARK) {
        let (status, after) = after.split_once('\n').unwrap_or((after, ""));
        printed.push((before.to_owned(), status.parse().unwrap()));
        rest = after;
    }
    printed
}

#[test]
fn a_machine_of_its_own() {
    let mut places = Places::new(
        Path::new("/box"),
        vec![("glance.example:9292".into(), "127.0.0.1:5".into()), ("/var/lib/glance".into(), "/var/there".into())],
    );
    for (command, here) in [
        ("ls /var/cache/icewell --dir=/etc/x", "ls /box/var/cache/icewell --dir=/box/etc/x"),
        ("cat here/etc/x http://a/var/b $PWD/etc/c ../etc/d", "cat here/etc/x http://a/var/b $PWD/etc/c ../etc/d"),
        ("curl http://glance.example:9292/v2", "curl http://127.0.0.1:5/v2"),
        ("ls /var/lib/glance /var/lib/other", "ls /var/there /box/var/lib/other"),
        ("ping 192.0.2.10, then 127.0.0.1", "ping 127.0.0.10, then 127.0.0.1"),
    ] {
        assert_eq!(places.here(command), here);
    }
    let here = places.here("curl http://192.0.2.10:9292/a http://127.0.0.1:9292/b http://192.0.2.10:9292/c");
    let ports: Vec<&str> = here.split(&[':', '/'][..]).filter(|part| part.parse::<u16>().is_ok()).collect();
    assert!(here.contains("http://127.0.0.10:") && !here.contains(":9292"), "{here}");
    assert!(ports[0] == ports[2] && ports[0] != ports[1], "{here}");
    assert_eq!(places.there(&here), "curl http://192.0.2.10:9292/a http://127.0.0.1:9292/b http://192.0.2.10:9292/c");
}
