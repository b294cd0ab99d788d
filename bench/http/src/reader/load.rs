//! Clients that ask again and again, for a while.

use std::collections::BTreeMap;
use std::io;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Target;
use crate::connection::Connection;

/// What comes before the window: connections reach their speed.
const SETTLE: Duration = Duration::from_millis(250);

/// The options of `load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// The length of the window.
    #[arg(long)]
    seconds: f64,
    /// Ask for ranges of this many bytes at random places instead of the whole.
    #[arg(long)]
    range: Option<u64>,
}

/// What was counted.
#[derive(Serialize)]
pub(crate) struct Report {
    seconds: f64,
    /// Bytes of bodies within the window.
    bytes: u64,
    /// Answers that ended within the window.
    answers: u64,
    /// Bytes since the start, the time before the window and the answers broken off included.
    all_bytes: u64,
    /// What went wrong, and how often.
    errors: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Counted {
    bytes: AtomicU64,
    answers: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// Runs the clients; they end with the process.
pub(crate) fn run(args: Args) -> io::Result<Report> {
    let args = Arc::new(args);
    let counted = Arc::new(Counted::default());
    let tls = args.target.tls()?;
    let ready = Arc::new(Barrier::new(args.target.clients + 1));
    for number in 0..args.target.clients {
        let (args, counted, tls, ready) = (args.clone(), counted.clone(), tls.clone(), ready.clone());
        thread::Builder::new().stack_size(256 << 10).spawn(move || {
            let mut random = Random::new(number);
            let mut connection = Connection::open(&args.target, tls.as_ref());
            ready.wait();
            loop {
                let done = connection.and_then(|open| ask_on(open, &args, &counted, &mut random));
                if let Err(error) = done {
                    let Ok(mut errors) = counted.errors.lock() else { process::abort() };
                    *errors.entry(error.to_string()).or_default() += 1;
                    // A server that refuses would be asked in a tight loop otherwise.
                    thread::sleep(Duration::from_millis(10));
                }
                connection = Connection::open(&args.target, tls.as_ref());
            }
        })?;
    }
    ready.wait();
    thread::sleep(SETTLE);
    let look = || (Instant::now(), counted.bytes.load(Ordering::Relaxed), counted.answers.load(Ordering::Relaxed));
    let (begun, bytes_before, answers_before) = look();
    thread::sleep(Duration::from_secs_f64(args.seconds));
    let (ended, bytes, answers) = look();
    let Ok(errors) = counted.errors.lock() else { process::abort() };
    Ok(Report {
        seconds: ended.duration_since(begun).as_secs_f64(),
        bytes: bytes - bytes_before,
        answers: answers - answers_before,
        all_bytes: bytes,
        errors: errors.clone(),
    })
}

/// Asks on one connection until the server ends it.
fn ask_on(mut connection: Connection, args: &Args, counted: &Counted, random: &mut Random) -> io::Result<()> {
    loop {
        let range = args.range.map(|length| {
            let first = random.below(args.target.size.saturating_sub(length) + 1);
            (first, first + length - 1)
        });
        let answer = connection.ask(&args.target, range, false, || true)?;
        counted.bytes.fetch_add(answer.begun, Ordering::Relaxed);
        let (mut left, mut total) = (answer.left, answer.begun);
        while left != Some(0) {
            match connection.discard(left.unwrap_or(u64::MAX))? {
                None => {}
                Some(0) if left.is_none() && total >= args.target.size => {
                    counted.answers.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Some(0) => return Err(io::Error::other("the answer ended early")),
                Some(length) => {
                    counted.bytes.fetch_add(length, Ordering::Relaxed);
                    total += length;
                    left = left.map(|left| left - length);
                }
            }
        }
        counted.answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Xorshift, the same places in each run: good enough to jump about in a file.
struct Random(u64);

impl Random {
    fn new(seed: usize) -> Self {
        Random(0x9e37_79b9_7f4a_7c15 ^ ((seed as u64 + 1) << 20))
    }

    /// A multiple of 4096, as disks of machines are read, below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound) & !4095
    }
}
