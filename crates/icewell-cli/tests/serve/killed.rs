//! `kill -9` at every named step of the command and of the daemon: no wrong byte, no image lost, every claim free, and
//! the same thing done again comes to its end without a hand.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use icewell::{Adoption, Announced, Cache, Count, ErrorKind, ImageId, Limit, failpoints};
use tempfile::TempDir;

use crate::fixture::{Cut, Daemon, Image, Origin, Reply, bytes_of, icewell_command, until};

const SIZE: usize = 1000;
/// Of what comes from the origin: so long that the mark moves meanwhile.
const LONG: usize = 5_000_000;

fn id(name: &str) -> ImageId {
    ImageId::new(name).unwrap()
}

/// The right bytes of an image; "long" is the origin's.
fn content(name: &str) -> Arc<Vec<u8>> {
    let seed = name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
    bytes_of(seed, if name == "long" { LONG } else { SIZE })
}

/// A cache with "kept", which is pinned, "old" and "new"; "half", broken off; "bad", which failed; "more" on the queue.
/// Beside it a file for each image, and an origin that has "long".
struct Place {
    temp: TempDir,
    origin: Origin,
}

impl Place {
    fn new() -> Self {
        let place = Place { temp: tempfile::tempdir().unwrap(), origin: Origin::of(&long()) };
        let cache = place.cache();
        cache.bind_origin(&place.origin.url(), Adoption::Allowed).unwrap();
        let begin = |name: &str, length: usize| {
            let mut writer = cache.write(&id(name)).unwrap();
            writer.start(Announced { size: Some(SIZE as u64), ..Announced::default() }).unwrap();
            writer.write(&content(name)[..length]).unwrap();
            writer
        };
        for name in ["kept", "old", "new"] {
            begin(name, SIZE).commit().unwrap();
        }
        cache.set_pinned(&id("kept"), true).unwrap();
        begin("half", SIZE / 2).suspend().unwrap();
        begin("bad", SIZE / 10).roll_back("why");
        assert!(cache.queue(&id("more")).unwrap());
        for name in ["more", "half"] {
            fs::write(place.path(name), &*content(name)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn cache(&self) -> Cache {
        Cache::open(self.path("cache")).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = icewell_command();
        command.args(args).current_dir(self.temp.path()).env("ICEWELL_DIR", "cache");
        command.env("ICEWELL_ORIGIN", self.origin.url()).env("ICEWELL_MIN_FREE", "0");
        command
    }

    fn run(&self, args: &[&str], fail: &str) -> Output {
        self.command(args).env("ICEWELL_FAIL", fail).stdout(Stdio::piped()).output().unwrap()
    }

    /// What must hold after a kill at any step: only `may_go` may be missing.
    fn is_sound(&self, may_go: &[&str], told: &str) {
        let cache = self.cache();
        for image in cache.images().unwrap() {
            let mut bytes = vec![0; image.size as usize];
            cache.read(&image.id).unwrap().file().read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes == **content(image.id.as_str()), "wrong bytes: {told}");
        }
        for name in ["kept", "old", "new"] {
            assert!(may_go.contains(&name) || cache.is_cached(&id(name)).unwrap(), "{name} is lost: {told}");
        }
        assert!(cache.incomplete().unwrap().iter().all(|fill| !fill.active), "a claim is held: {told}");
        for name in ["half", "bad", "more", "long", "another"] {
            match cache.write(&id(name)) {
                Ok(writer) => writer.release().unwrap(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyCached, "{told}"),
            }
        }
        let counted = cache.space().unwrap().counted(Count::Size);
        assert!(counted <= cache.limit().unwrap().max_size.max(3 * SIZE as u64 + 600), "{counted}: {told}");
    }

    /// A clean leaves nothing of any fill, and nothing is wrong with the directory.
    fn tidies_up(&self, told: &str) {
        self.cache().clean(Duration::ZERO).unwrap();
        for folder in ["cache/incomplete/.icewell", "cache/invalid"] {
            assert_eq!(fs::read_dir(self.path(folder)).unwrap().count(), 0, "{folder}: {told}");
        }
        assert_eq!(fs::read_dir(self.path("cache/incomplete")).unwrap().count(), 1, "{told}");
        let doctor = self.run(&["doctor"], "");
        assert!(doctor.status.success(), "{doctor:?}: {told}");
    }
}

fn long() -> Image {
    let mut image = Image::new(1, 0);
    image.bytes = content("long");
    image
}

/// A command, and the steps that it may come to, by the first words of their names.
struct Scenario {
    args: &'static [&'static str],
    steps: &'static [&'static str],
    may_go: &'static [&'static str],
    prepare: fn(&Place),
}

const fn scenario(args: &'static [&'static str], steps: &'static [&'static str]) -> Scenario {
    Scenario { args, steps, may_go: &[], prepare: |_| {} }
}

const WRONG: &str = "md5:900150983cd24fb0d6963f7d28e17f72";

/// The origin breaks off, and will not go on.
fn breaks_off(place: &Place) {
    place.origin.now(|request| match request.nth {
        0 => long().answer(request).cut(4_500_000, Cut::Close),
        _ => Reply::status(404),
    });
}

/// As above, and that has happened already.
fn has_broken_off(place: &Place) {
    breaks_off(place);
    assert!(!place.run(&["fetch", "long"], "").status.success());
    assert!(!place.cache().incomplete().unwrap().iter().any(|fill| fill.id == id("long") && fill.written == 0));
    place.origin.now(|request| long().answer(request));
}

fn has_little_room(place: &Place) {
    place.cache().set_limit(Limit { max_size: 3 * SIZE as u64 + 100, ..Limit::default() }).unwrap();
}

fn has_nothing(place: &Place) {
    place.origin.now(|_| Reply::status(404));
}

fn flip_a_bit(place: &Place) {
    let file = fs::File::options().read(true).write(true).open(place.path("cache/new")).unwrap();
    file.write_all_at(&[content("new")[0] ^ 1], 0).unwrap();
}

const SCENARIOS: &[Scenario] = &[
    scenario(&["add", "more", "more"], &["claim", "start", "reserve", "write", "verify", "tag", "commit"]),
    scenario(&["add", "half", "half"], &["start", "commit"]),
    scenario(&["add", "more", "more", "--digest", WRONG], &["fail", "invalidate"]),
    Scenario {
        args: &["add", "more", "more"],
        steps: &["reserve", "room"],
        may_go: &["old", "new"],
        prepare: has_little_room,
    },
    scenario(&["fetch", "long"], &["claim", "start", "reserve", "write", "verify", "tag", "commit"]),
    Scenario { args: &["fetch", "long"], steps: &["suspend"], may_go: &[], prepare: breaks_off },
    Scenario { args: &["fetch", "long"], steps: &["resume", "commit"], may_go: &[], prepare: has_broken_off },
    Scenario { args: &["fetch", "nothing"], steps: &["release"], may_go: &[], prepare: has_nothing },
    scenario(&["get", "new", "copy"], &["hit", "copy"]),
    scenario(&["pin", "new"], &["pin"]),
    scenario(&["unpin", "kept"], &["pin"]),
    Scenario { args: &["prune", "--max-size", "1000"], steps: &["prune"], may_go: &["old", "new"], prepare: |_| {} },
    scenario(&["clean", "--stall-time", "0"], &["clean"]),
    Scenario { args: &["rm", "new"], steps: &["remove"], may_go: &["new"], prepare: |_| {} },
    scenario(&["queue", "another"], &["queue"]),
    scenario(&["unqueue", "more"], &["unqueue"]),
    Scenario { args: &["verify", "new"], steps: &["compare", "invalidate"], may_go: &["new"], prepare: flip_a_bit },
];

/// The steps with one of these first words.
fn steps(words: &[&str]) -> impl Iterator<Item = &'static str> {
    let all = failpoints::steps().iter().copied();
    all.filter(|step| step.split_once('.').is_some_and(|(word, _)| words.contains(&word)))
}

#[test]
fn a_command_at_any_step() {
    let mut killed = BTreeSet::new();
    for Scenario { args, steps: words, may_go, prepare } in SCENARIOS {
        for step in steps(words) {
            let place = Place::new();
            prepare(&place);
            let told = format!("{args:?}, {step}");
            let ran = place.run(args, &format!("{step}=kill"));
            if ran.status.signal() != Some(9) {
                continue;
            }
            killed.insert(step);
            // A bad image that is not yet found is as bad as it was.
            if *args != ["verify", "new"] || step == "invalidate.renamed" {
                place.is_sound(may_go, &told);
            }
            let again = place.run(args, "");
            let nothing_to_do = ["cached already", "not cached", "corrupt", "is announced", "was announced", "404"];
            let said = String::from_utf8_lossy(&again.stderr).into_owned();
            let done = again.status.success() || nothing_to_do.iter().any(|why| said.contains(why));
            assert!(done, "{told}: {again:?}");
            place.is_sound(may_go, &told);
            place.tidies_up(&told);
        }
    }
    // The daemon sets the limit, and does so before it listens.
    let place = Place::new();
    let ran = place.run(&["serve", "--max-size", "1MB", "--listen", "127.0.0.1:0"], "limit.half-set=kill");
    assert_eq!(ran.status.signal(), Some(9), "{ran:?}");
    place.is_sound(&[], "limit");
    killed.insert("limit.half-set");
    let missed: Vec<_> = failpoints::steps().iter().filter(|step| !killed.contains(**step)).collect();
    assert_eq!(missed, [&""; 0]);
}

/// What `curl` makes of "long": whether the answer came to its end, and the bytes.
fn download(place: &Place, daemon: SocketAddr) -> (bool, Vec<u8>) {
    let file = place.path("downloaded");
    fs::write(&file, b"").unwrap();
    let mut curl = Command::new("curl");
    let ran = curl.args(["-s", "--fail", "-o"]).arg(&file).arg(format!("http://{daemon}/long")).status().unwrap();
    (ran.success(), fs::read(&file).unwrap())
}

#[test]
fn the_daemon_at_any_step_of_a_fill_and_of_a_hit() {
    let words = ["claim", "start", "reserve", "write", "verify", "tag", "commit", "hit"];
    // Those that the daemon does not come to here: nothing was left, and hits are written down by the dozen.
    for step in steps(&words).filter(|step| !["start.replaced", "hit.counted"].contains(step)) {
        let place = Place::new();
        // Else the daemon would fetch that, too.
        assert!(place.cache().unqueue(&id("more")).unwrap());
        let serve = |fail: &str| {
            let mut command = place.command(&["serve"]);
            command.env("ICEWELL_FAIL", fail);
            Daemon::run(command, &place.path("cache"), &place.origin.url())
        };
        let mut daemon = serve(&format!("{step}=kill"));
        // It dies of the first or of the second, a hit.
        for _ in 0..2 {
            let (ended_well, got) = download(&place, daemon.address);
            assert!(content("long").starts_with(&got) && (!ended_well || got.len() == LONG), "{step}: {}", got.len());
        }
        assert_eq!(daemon.ended().signal(), Some(9), "{step}");
        place.is_sound(&[], step);
        // It listens at once, and the image comes whole.
        let daemon = serve("");
        daemon.get("/long").is(&content("long"));
        until("it is kept", || place.cache().is_cached(&id("long")).unwrap());
        daemon.idle();
        place.is_sound(&[], step);
        drop(daemon);
        place.tidies_up(step);
    }
}
