//! `icewell status`: the cache at a glance, and the daemon that serves it, if one answers.

mod served_by;
mod text;

use std::time::SystemTime;

use icewell::{Count, Image, Incomplete, Invalid, Usage};
use icewell_server::{Fullness, Level};
use serde::Serialize;
use serde_json::Value;

use self::served_by::daemon_of;
use super::ls::IncompleteRow;
use super::running::Running;
use super::running::seen::Note;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::epoch;

/// Show health, counts, sizes, the limit, hits, fills under way, what goes next, and the daemon
///
/// It is what the directory tells by itself. A running daemon is asked too, if it answers and serves this directory;
/// its address and token are taken from the daemon's settings where no option names them. The exit status says nothing
/// of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    running: Running,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    dir: String,
    /// The origin the cache is bound to.
    origin: Option<String>,
    images: Images,
    incomplete: Fills<'a>,
    invalid: Files,
    queued: usize,
    limit: Limit,
    file_system: FileSystem,
    /// What is not as it should be, the worst first: the daemon's word, or else what the directory tells.
    health: Vec<Note>,
    /// The image that goes first when room is needed.
    next: Option<Next<'a>>,
    daemon: Served,
}

/// The daemon, or why there is none to show.
#[derive(Debug, Serialize)]
struct Served {
    /// All that it tells of itself.
    status: Option<Value>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Next<'a> {
    image_id: &'a str,
    size: u64,
    last_accessed: f64,
}

/// What was found in the directory, and is told in words only.
#[derive(Debug)]
struct Found {
    fills: Vec<Incomplete>,
    invalid: Vec<Invalid>,
    /// The least recently used image of those that may go.
    next: Option<Image>,
    counted: Count,
}

#[derive(Debug, Serialize)]
struct Images {
    #[serde(flatten)]
    files: Files,
    pinned: usize,
    hits: u64,
}

#[derive(Debug, Serialize)]
struct Fills<'a> {
    #[serde(flatten)]
    files: Files,
    active: usize,
    fills: Vec<IncompleteRow<'a>>,
}

#[derive(Debug, Serialize)]
struct Files {
    count: u64,
    size: u64,
    allocated: u64,
}

impl From<Usage> for Files {
    fn from(usage: Usage) -> Self {
        Files { count: usage.files, size: usage.size, allocated: usage.allocated }
    }
}

#[derive(Debug, Serialize)]
struct Limit {
    max_size: u64,
    /// What it counts: `size` or `allocated`.
    count: &'static str,
    /// The bytes that count, of all folders.
    used: u64,
    /// What is to stay free on the file system, as it was set.
    min_free: Option<String>,
    /// The same in bytes.
    floor: u64,
}

#[derive(Debug, Serialize)]
struct FileSystem {
    name: String,
    total: u64,
    available: u64,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let limit = cache.limit()?;
    let space = cache.space()?;
    let images = cache.images()?;
    let fills = cache.incomplete()?;
    let file_system = cache.file_system()?;
    let invalid = cache.invalid()?;
    // Each number is that of what `ls` lists; `space` also counts what lies beside it.
    let add = |mut sum: Usage, size: u64, allocated: u64| {
        sum.files += 1;
        sum.size = sum.size.saturating_add(size);
        sum.allocated = sum.allocated.saturating_add(allocated);
        sum
    };
    let cached = images.iter().fold(Usage::default(), |sum, image| add(sum, image.size, image.allocated));
    let may_go = images.iter().filter(|image| !image.pinned);
    let next = may_go.min_by(|a, b| (a.last_accessed, &a.id).cmp(&(b.last_accessed, &b.id))).cloned();
    let found = Found { fills, invalid, next, counted: limit.count };
    let fullness = Fullness {
        used: space.counted(limit.count),
        limit: limit.max_size,
        available: file_system.available,
        total: file_system.total,
        floor: limit.floor(file_system.total),
        tail_age: found.next.as_ref().and_then(|image| SystemTime::now().duration_since(image.last_accessed).ok()),
    };
    let daemon = daemon_of(cache.dir(), &args.running);
    let status = Status {
        dir: cache.dir().to_string_lossy().into_owned(),
        origin: cache.origin()?,
        images: Images {
            files: cached.into(),
            pinned: images.iter().filter(|image| image.pinned).count(),
            hits: images.iter().fold(0, |hits, image| hits.saturating_add(image.hits)),
        },
        incomplete: Fills {
            files: Files { count: found.fills.len() as u64, ..space.incomplete.into() },
            active: found.fills.iter().filter(|fill| fill.active).count(),
            fills: found.fills.iter().map(IncompleteRow::from).collect(),
        },
        invalid: Files { count: found.invalid.len() as u64, ..space.invalid.into() },
        queued: cache.queued()?.len(),
        limit: Limit {
            max_size: limit.max_size,
            count: limit.count.name(),
            used: fullness.used,
            min_free: limit.min_free.map(|min_free| min_free.to_string()),
            floor: fullness.floor,
        },
        file_system: FileSystem { name: file_system.name, total: file_system.total, available: file_system.available },
        health: daemon.as_ref().map_or_else(|_| notes(fullness), |daemon| daemon.seen.notes.clone()),
        next: found.next.as_ref().map(Next::from),
        daemon: Served {
            status: daemon.as_ref().ok().map(|daemon| daemon.told.clone()),
            error: daemon.as_ref().err().map(ToString::to_string),
        },
    };
    if context.output.is_json() {
        context.output.json(&status)?;
    } else {
        context.output.print(text::describe(&status, &found, &daemon).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn notes(fullness: Fullness) -> Vec<Note> {
    let level = |level| match level {
        Level::Bad => "bad",
        Level::Warning => "warning",
    };
    fullness.notes().into_iter().map(|note| Note { level: level(note.level).into(), text: note.text }).collect()
}

impl<'a> From<&'a Image> for Next<'a> {
    fn from(image: &'a Image) -> Self {
        let (image_id, last_accessed) = (image.id.as_str(), epoch(image.last_accessed));
        Next { image_id, size: image.size, last_accessed }
    }
}
