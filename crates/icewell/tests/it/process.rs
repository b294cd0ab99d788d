//! Other processes: this test binary, started again to play one of the parts below.
//!
//! A part is told what to do by its environment, says a line when it has got there, waits for its standard input to
//! end, and goes on. It can be killed at any time.
#![allow(unreachable_pub, reason = "seen by the other modules of this test binary")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use icewell::{Cache, ErrorKind, Limit, Mode};

use crate::support::{announced, begin, hit, id, noise};

const PART: &str = "ICEWELL_TEST_PART";

pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Starts a part on the cache at `dir`.
pub fn start(dir: &Path, part: &str) -> Process {
    start_as(dir, part, None)
}

/// Starts a part as the user and group `uid`.
pub fn start_as(dir: &Path, part: &str, uid: Option<u32>) -> Process {
    let mut command = playing(dir, part);
    if let Some(uid) = uid {
        command.env("ICEWELL_TEST_UID", uid.to_string());
    }
    spawn(command)
}

/// Starts a part that stops at the first of these steps, until it is woken.
#[cfg(debug_assertions)]
pub fn start_to_stop_at(dir: &Path, part: &str, step: &str) -> Process {
    let mut command = playing(dir, part);
    command.env("ICEWELL_FAIL", format!("{step}=pause"));
    spawn(command)
}

fn playing(dir: &Path, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process::plays_a_part", "--nocapture"]);
    command.env(PART, part).env("ICEWELL_TEST_DIR", dir);
    command
}

fn spawn(mut command: Command) -> Process {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    let output = BufReader::new(child.stdout.take().unwrap());
    Process { child, input, output }
}

/// What is left of it goes with the test.
impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Process {
    /// Waits until the part says something, and returns it.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once("says: ") {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("the part ended and said nothing");
    }

    /// `kill -9`, and waits until it is dead.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the part has stopped where it was told to.
    #[cfg(debug_assertions)]
    pub fn stops(&self) {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            match stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()) {
                Some('T') => return,
                Some('Z') => panic!("the part ended and did not stop"),
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Lets the part go on from where it has stopped.
    #[cfg(debug_assertions)]
    pub fn wake(&self) {
        // SAFETY: plain integers; the child is ours and not yet waited for.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGCONT) }, 0);
    }

    /// Lets the part go on.
    pub fn go_on(&mut self) {
        self.input.take();
    }

    /// Lets the part go on to its end; what else it said.
    pub fn finish(mut self) -> Vec<String> {
        self.go_on();
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "the part failed: {rest}");
        rest.lines().filter_map(|line| Some(line.split_once("says: ")?.1.to_owned())).collect()
    }
}

fn say(what: &str) {
    println!("says: {what}");
}

fn wait() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn plays_a_part() {
    let Ok(part) = std::env::var(PART) else { return };
    if let Ok(uid) = std::env::var("ICEWELL_TEST_UID") {
        let uid: u32 = uid.parse().unwrap();
        // SAFETY: plain integers and a null list of length 0 go in; glibc changes every thread.
        let changed = unsafe {
            libc::setgroups(0, std::ptr::null()) | libc::setresgid(uid, uid, uid) | libc::setresuid(uid, uid, uid)
        };
        assert_eq!(changed, 0);
    }
    let dir = std::path::PathBuf::from(std::env::var_os("ICEWELL_TEST_DIR").unwrap());
    let words: Vec<&str> = part.split(' ').collect();
    let open = || Cache::open(&dir).unwrap();
    match words[..] {
        ["open"] => match Cache::open(&dir) {
            Ok(_) => say("opened"),
            Err(error) => say(&format!("{:?}", error.kind())),
        },
        // Fills 1,000 of 3,000 bytes and holds the claim.
        ["hold", name] => {
            let writer = begin(&open(), name, &noise(1, 1000), 3000);
            say("held");
            wait();
            writer.suspend().unwrap();
        }
        ["list"] => open().images().unwrap().iter().for_each(|image| say(image.id.as_str())),
        ["claim", name] => {
            wait();
            match open().write(&id(name)) {
                Ok(mut writer) => {
                    writer.start(announced(9)).unwrap();
                    writer.write(b"123456789").unwrap();
                    match writer.commit() {
                        Ok(_) => say("filled"),
                        Err(error) => say(&format!("{:?}", error.kind())),
                    }
                }
                Err(error) => say(&format!("{:?}", error.kind())),
            }
        }
        ["hit", name, times] => {
            let cache = open();
            wait();
            (0..times.parse().unwrap()).for_each(|_: u32| hit(&cache, name));
        }
        // Fills images one after the other, as many as it is told, of that many bytes; half of them of unknown size.
        ["fill", prefix, count, size] => {
            let (cache, size) = (open(), size.parse().unwrap());
            wait();
            for n in 0..count.parse::<u64>().unwrap() {
                let mut writer = cache.write(&id(&format!("{prefix}{n}"))).unwrap();
                let filled = fill(&mut writer, (n % 2 == 0).then_some(size as u64), &noise(n, size));
                match filled.and_then(|()| writer.commit().map(drop)) {
                    Err(error) if error.kind() == ErrorKind::NoRoom => say("no room"),
                    other => other.unwrap(),
                }
            }
        }
        ["queue", prefix, count] => {
            let cache = open();
            wait();
            let won = (0..count.parse().unwrap()).filter(|n: &u32| cache.queue(&id(&format!("{prefix}{n}"))).unwrap());
            say(&won.count().to_string());
        }
        ["prune", max_size] => {
            let (cache, limit) = (open(), Limit { max_size: max_size.parse().unwrap(), ..Limit::default() });
            wait();
            say(&cache.prune(limit, Mode::Act).unwrap().files().to_string());
        }
        // As a Glance fills: the file in incomplete/ held open for writing.
        ["glance", name] => {
            use std::io::Write;
            let mut file = std::fs::File::create(dir.join("incomplete").join(name)).unwrap();
            file.write_all(b"from Glance").unwrap();
            say("writing");
            wait();
        }
        _ => panic!("no such part: {part}"),
    }
}

fn fill(writer: &mut icewell::Writer, size: Option<u64>, bytes: &[u8]) -> icewell::Result<()> {
    writer.start(icewell::Announced { size, ..Default::default() })?;
    bytes.chunks(64 << 10).try_for_each(|chunk| writer.write(chunk))
}
