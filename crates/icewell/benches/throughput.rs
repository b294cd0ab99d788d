//! One large image in and out, beside what the system's own tools take for the same bytes.
//!
//! `cargo bench -p icewell --bench throughput`. `ICEWELL_BENCH_SIZE_MB=64` chooses another size than 512, and
//! `ICEWELL_BENCH_ROUNDS` another number of rounds than 3; `ICEWELL_BENCH_DIR` another place. Medians are shown.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a benchmark is a test of its own kind")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use icewell::{Announced, Cache, Digest, ImageId, Limit};

use support::{median, timed};

const PIECE: usize = 1 << 20;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn main() {
    if !support::asked_for() {
        return;
    }
    let size = number("ICEWELL_BENCH_SIZE_MB", 512) << 20;
    let rounds = number("ICEWELL_BENCH_ROUNDS", 3);
    let dir = support::directory();
    let source = dir.path().join("source");
    let copy = dir.path().join("copy");
    make(&source, size);
    let cache = Cache::open(dir.path().join("cache")).unwrap();
    cache.set_limit(Limit { max_size: u64::MAX, ..Limit::default() }).unwrap();
    let id = ImageId::new("image").unwrap();

    let show = |what: &str, time: Duration, beside: Duration| {
        let rate = size as f64 / 1e6 / time.as_secs_f64();
        let ratio = time.as_secs_f64() / beside.as_secs_f64();
        println!("{what:<34} {:>8.3} s {rate:>8.0} MB/s {ratio:>7.2}x", time.as_secs_f64());
    };
    println!("{} MiB, median of {rounds}; the last column is the time, as a multiple of the first line's", size >> 20);
    let cp = median(rounds, || {
        let time = timed(|| {
            run(Command::new("cp").args(["--reflink=never"]).arg(&source).arg(&copy));
            run(Command::new("sync").arg(&copy));
        });
        std::fs::remove_file(&copy).unwrap();
        time.0
    });
    show("cp + sync", cp, cp);
    for algorithm in ["sha256", "sha512", "md5"] {
        let digest = sum(algorithm, &source);
        let tool = median(rounds, || timed(|| sum(algorithm, &source)).0);
        show(&format!("{algorithm}sum"), tool, cp);
        let fill = || {
            cache.remove(&id).unwrap();
            timed(|| fill(&cache, &id, &source, size, digest.clone())).0
        };
        show(&format!("fill, verified with {algorithm}"), median(rounds, fill), cp);
    }
    let plain = || {
        let path = cache.dir().join(id.as_str());
        timed(|| run(Command::new("cat").arg(path).stdout(Stdio::null()))).0
    };
    let cat = median(rounds, plain);
    println!("now as a multiple of cat's");
    show("cat >/dev/null", cat, cat);
    show("hit, read whole and counted", median(rounds, || timed(|| read(&cache, &id, size)).0), cat);
    show("copy out", median(rounds, || timed(|| cache.copy_out(&id, &copy, &mut |_| {}).unwrap()).0), cat);
}

/// Bytes that neither compress nor have holes.
fn make(path: &Path, size: usize) {
    let mut file = File::create(path).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = Vec::with_capacity(PIECE);
    for _ in 0..size.div_ceil(PIECE) {
        piece.clear();
        while piece.len() < PIECE {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece).unwrap();
    }
    file.sync_all().unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

fn sum(algorithm: &str, path: &Path) -> Digest {
    let output = Command::new(format!("{algorithm}sum")).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("{algorithm}:{}", text.split(' ').next().unwrap()).parse().unwrap()
}

fn fill(cache: &Cache, id: &ImageId, source: &Path, size: usize, digest: Digest) {
    let mut source = File::open(source).unwrap();
    let mut writer = cache.write(id).unwrap();
    writer.start(Announced { size: Some(size as u64), digests: vec![digest], ..Announced::default() }).unwrap();
    let mut piece = vec![0; PIECE];
    loop {
        let length = source.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        writer.write(&piece[..length]).unwrap();
    }
    writer.commit().unwrap();
}

fn read(cache: &Cache, id: &ImageId, size: usize) {
    let mut reader = cache.read(id).unwrap();
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        let length = reader.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        total += length;
    }
    assert_eq!(total, size);
    reader.count_hit().unwrap();
}
