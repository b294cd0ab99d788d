//! One pass over many entries: list, usage and prune, beside `find -printf` over the same directory.
//!
//! `cargo bench -p icewell --bench entries`. `ICEWELL_BENCH_ENTRIES=1000,10000` chooses other numbers of entries,
//! `ICEWELL_BENCH_DIR` another place. Each figure is the median of several rounds.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark is a test of its own kind")]

mod support;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use icewell::layout::tag;
use icewell::{Cache, Limit, Mode};
use rustix::fs::{XattrFlags, fsetxattr};

use support::{median, timed};

const ENTRY_SIZE: u64 = 64;

fn main() {
    if !support::asked_for() {
        return;
    }
    let counts = std::env::var("ICEWELL_BENCH_ENTRIES").unwrap_or("1000,10000,100000".into());
    println!("{:>8}  {:<22} {:>10} {:>12} {:>9}", "entries", "operation", "time", "per entry", "to find");
    for count in counts.split(',') {
        bench(count.trim().parse().expect("ICEWELL_BENCH_ENTRIES is a list of numbers"));
    }
}

fn bench(count: u64) {
    let dir = support::directory();
    let cache = Cache::open(dir.path()).unwrap();
    make(dir.path(), 0..count);
    let rounds = if count > 50_000 { 3 } else { 7 };
    let half = Limit { max_size: count / 2 * ENTRY_SIZE, ..Limit::default() };

    let find = median(rounds, || timed(|| run_find(dir.path())).0);
    let show = |what: &str, time: Duration| {
        let per_entry = time / u32::try_from(count).unwrap();
        let ratio = time.as_secs_f64() / find.as_secs_f64();
        println!("{count:>8}  {what:<22} {:>8.1}ms {per_entry:>12.2?} {ratio:>8.2}x", time.as_secs_f64() * 1e3);
    };
    show("find -printf", find);
    show("images (list)", median(rounds, || timed(|| assert_eq!(cache.images().unwrap().len() as u64, count)).0));
    show("usage", median(rounds, || timed(|| assert_eq!(cache.usage().unwrap().files, count)).0));
    show("space (a reservation)", median(rounds, || timed(|| cache.space().unwrap()).0));
    let dry = || timed(|| assert_eq!(cache.prune(half, Mode::DryRun).unwrap().files(), count - count / 2)).0;
    show("prune half, dry run", median(rounds, dry));
    let prune = || {
        let (time, pruned) = timed(|| cache.prune(half, Mode::Act).unwrap());
        assert_eq!(pruned.files(), count - count / 2);
        // What went are the oldest, which have the lowest numbers.
        make(dir.path(), 0..count - count / 2);
        time
    };
    // These make their entries anew each time, which takes longer than what is measured.
    let rounds = if count > 50_000 { 1 } else { 3 };
    show("prune half", median(rounds, prune));
    let unlink = || {
        let names: Vec<_> = (0..count - count / 2).map(|number| dir.path().join(name(number))).collect();
        let time = timed(|| names.iter().for_each(|name| std::fs::remove_file(name).unwrap())).0;
        make(dir.path(), 0..count - count / 2);
        time
    };
    show("  only its unlink calls", median(rounds, unlink));
    let remove = || timed(|| cache.remove_all(true).unwrap()).0;
    show("remove all", remove());
}

fn name(number: u64) -> String {
    format!("{number:08}-d94f-49cd-a114-e12490b328d9")
}

/// Entries as a commit leaves them, made without its fsyncs.
fn make(dir: &Path, numbers: std::ops::Range<u64>) {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for number in numbers {
        let name = name(number);
        let file = File::create_new(dir.join(&name)).unwrap();
        std::io::Write::write_all(&mut &file, &[b'x'; ENTRY_SIZE as usize]).unwrap();
        let tags = [(tag::HITS, "0"), (tag::IMAGE_ID, &name), (tag::COMPUTED_DIGEST, &digest)];
        for (key, value) in tags {
            fsetxattr(file.as_fd(), key, value.as_bytes(), XattrFlags::empty()).unwrap();
        }
        let accessed = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_nanos(number);
        file.set_times(std::fs::FileTimes::new().set_accessed(accessed)).unwrap();
    }
}

fn run_find(dir: &Path) -> Duration {
    let started = Instant::now();
    let mut find = Command::new("find");
    find.arg(dir).args(["-maxdepth", "1", "-type", "f", "-printf", "%f %s %b %A@ %T@\\n"]);
    assert!(find.stdout(Stdio::null()).status().unwrap().success());
    started.elapsed()
}
