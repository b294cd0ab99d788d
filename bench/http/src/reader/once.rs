//! Each client downloads once.

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

/// The options of `once`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Give up after this long.
    #[arg(long)]
    seconds: f64,
    /// One client more, which asks as soon as one of the others has this many bytes.
    #[arg(long)]
    join_after: Option<u64>,
}

/// What the clients saw. Times are seconds; those of all but the one that joins are since the start.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    /// To the first byte of the body, sorted. What the server held back with its head counts as not come.
    first_byte: Vec<f64>,
    /// To the last, of those that got there, sorted.
    done: Vec<f64>,
    /// From the request of the client that joins to its first byte.
    joined_first_byte: Option<f64>,
    /// To the end of all, or until it was given up.
    seconds: f64,
    bytes: u64,
    errors: BTreeMap<String, u64>,
}

struct Run {
    target: Target,
    begun: Instant,
    give_up: Duration,
    /// Bytes of the client that is furthest.
    furthest: AtomicU64,
    report: Mutex<Report>,
}

/// Runs the clients to their end.
pub(crate) fn run(args: &Args) -> io::Result<Report> {
    let tls = args.target.tls()?;
    let ready = Arc::new(Barrier::new(args.target.clients));
    let run = Arc::new(Run {
        target: args.target.clone(),
        begun: Instant::now(),
        give_up: Duration::from_secs_f64(args.seconds),
        furthest: AtomicU64::new(0),
        report: Mutex::default(),
    });
    let mut clients = Vec::new();
    for _ in 0..args.target.clients {
        let (run, tls, ready) = (run.clone(), tls.clone(), ready.clone());
        clients.push(thread::Builder::new().stack_size(256 << 10).spawn(move || {
            let connection = Connection::open(&run.target, tls.as_ref());
            ready.wait();
            let asked = run.begun.elapsed();
            run.note(connection.and_then(|open| run.download(open, asked, false)));
        })?);
    }
    if let Some(bytes) = args.join_after {
        while run.furthest.load(Ordering::Relaxed) < bytes && run.going_on() {
            thread::sleep(Duration::from_millis(1));
        }
        let connection = Connection::open(&run.target, tls.as_ref());
        let asked = run.begun.elapsed();
        run.note(connection.and_then(|open| run.download(open, asked, true)));
    }
    for client in clients {
        if client.join().is_err() {
            return Err(io::Error::other("a client panicked"));
        }
    }
    let mut report = run.report();
    report.seconds = run.begun.elapsed().as_secs_f64();
    report.first_byte.sort_by(f64::total_cmp);
    report.done.sort_by(f64::total_cmp);
    Ok(std::mem::take(&mut *report))
}

impl Run {
    fn going_on(&self) -> bool {
        self.begun.elapsed() < self.give_up
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        // Poisoned means that a thread panicked while it wrote a number down: nothing here can be believed.
        self.report.lock().unwrap_or_else(|_| process::abort())
    }

    fn note(&self, done: io::Result<()>) {
        if let Err(error) = done {
            *self.report().errors.entry(error.to_string()).or_default() += 1;
        }
    }

    fn download(&self, mut connection: Connection, asked: Duration, joined: bool) -> io::Result<()> {
        let answer = connection.ask(&self.target, None, true, || self.going_on())?;
        let (mut left, mut total) = (answer.left, answer.begun);
        let mut came = total > 0;
        if came {
            self.first_byte(asked, joined);
        }
        while left != Some(0) {
            if !self.going_on() {
                self.report().bytes += total;
                return Err(io::ErrorKind::TimedOut.into());
            }
            let Some(length) = connection.discard(left.unwrap_or(u64::MAX))? else { continue };
            if length == 0 && left.is_none() && total >= self.target.size {
                break;
            }
            if length == 0 {
                return Err(io::Error::other("the answer ended early"));
            }
            if !came {
                came = true;
                self.first_byte(asked, joined);
            }
            total += length;
            left = left.map(|left| left - length);
            self.furthest.fetch_max(total, Ordering::Relaxed);
        }
        let mut report = self.report();
        report.bytes += total;
        if !joined {
            report.done.push(self.begun.elapsed().as_secs_f64());
        }
        Ok(())
    }

    fn first_byte(&self, asked: Duration, joined: bool) {
        let now = self.begun.elapsed();
        let mut report = self.report();
        if joined {
            report.joined_first_byte = Some((now - asked).as_secs_f64());
        } else {
            report.first_byte.push(now.as_secs_f64());
        }
    }
}
