//! One pass over many entries: list, usage, prune and admission, beside `find -printf` over the same directory.
//!
//! `cargo bench -p icewell --bench entries`. `ICEWELL_BENCH_ENTRIES=1000,10000` chooses other numbers of entries,
//! `ICEWELL_BENCH_DIR` another place; `ICEWELL_BENCH_JSON` names a file for the figures. Each is the median of several
//! rounds.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark is a test of its own kind")]

mod support;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use icewell::layout::tag;
use icewell::{Announced, Cache, ImageId, Limit, Mode};
use rustix::fs::{XattrFlags, fsetxattr};

use support::{median, timed};

const ENTRY_SIZE: u64 = 64;

fn main() {
    if !support::asked_for() {
        return;
    }
    let counts = std::env::var("ICEWELL_BENCH_ENTRIES").unwrap_or("1000,10000,100000".into());
    println!("{:>8}  {:<22} {:>10} {:>12} {:>9}", "entries", "operation", "time", "per entry", "to find");
    let mut figures = Vec::new();
    for count in counts.split(',') {
        bench(count.trim().parse().expect("ICEWELL_BENCH_ENTRIES is a list of numbers"), &mut figures);
    }
    if let Some(file) = std::env::var_os("ICEWELL_BENCH_JSON") {
        let date = Command::new("date").arg("+%F").output().unwrap().stdout;
        let date = String::from_utf8(date).unwrap();
        let figures = figures.join(",\n  ");
        std::fs::write(file, format!("{{\"date\": \"{}\", \"figures\": [\n  {figures}\n]}}\n", date.trim())).unwrap();
    }
}

fn bench(count: u64, figures: &mut Vec<String>) {
    let dir = support::directory();
    let cache = Cache::open(dir.path()).unwrap();
    make(dir.path(), 0..count);
    let rounds = if count > 50_000 { 3 } else { 7 };
    let half = Limit { max_size: count / 2 * ENTRY_SIZE, ..Limit::default() };

    let find = median(rounds, || timed(|| run_find(dir.path())).0);
    let mut show = |what: &str, time: Duration| {
        let per_entry = time / u32::try_from(count).unwrap();
        let ratio = time.as_secs_f64() / find.as_secs_f64();
        println!("{count:>8}  {what:<22} {:>8.1}ms {per_entry:>12.2?} {ratio:>8.2}x", time.as_secs_f64() * 1e3);
        let (what, seconds) = (what.trim(), time.as_secs_f64());
        figures.push(format!("{{\"entries\": {count}, \"operation\": \"{what}\", \"seconds\": {seconds:.6}}}"));
    };
    show("find -printf", find);
    show("images (list)", median(rounds, || timed(|| assert_eq!(cache.images().unwrap().len() as u64, count)).0));
    show("usage", median(rounds, || timed(|| assert_eq!(cache.usage().unwrap().files, count)).0));
    show("space (a reservation)", median(rounds, || timed(|| cache.space().unwrap()).0));
    // One image of an entry's size more: with its fsyncs, and where there is no room for it, with an eviction as well.
    let admissions = std::cell::Cell::new(count);
    let admit = || {
        let number = admissions.replace(admissions.get() + 1);
        timed(|| admit(&cache, number)).0
    };
    cache.set_limit(Limit { max_size: u64::MAX, ..Limit::default() }).unwrap();
    show("admission, with room", median(rounds, admit));
    for number in count..admissions.get() {
        std::fs::remove_file(dir.path().join(name(number))).unwrap();
    }
    let (begun, full) = (admissions.get(), Limit { max_size: count * ENTRY_SIZE, ..Limit::default() });
    cache.set_limit(full).unwrap();
    show("admission, evicts one", median(rounds, admit));
    // As it was: the oldest have gone, which have the lowest numbers.
    assert_eq!(cache.usage().unwrap().files, count);
    for number in begun..admissions.get() {
        std::fs::remove_file(dir.path().join(name(number))).unwrap();
    }
    make(dir.path(), 0..admissions.get() - begun);
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

/// Brings one image in.
fn admit(cache: &Cache, number: u64) {
    let mut writer = cache.write(&ImageId::new(&name(number)).unwrap()).unwrap();
    writer.start(Announced { size: Some(ENTRY_SIZE), ..Announced::default() }).unwrap();
    writer.write(&[b'y'; ENTRY_SIZE as usize]).unwrap();
    writer.commit().unwrap();
}

fn run_find(dir: &Path) -> Duration {
    let started = Instant::now();
    let mut find = Command::new("find");
    find.arg(dir).args(["-maxdepth", "1", "-type", "f", "-printf", "%f %s %b %A@ %T@\\n"]);
    assert!(find.stdout(Stdio::null()).status().unwrap().success());
    started.elapsed()
}
