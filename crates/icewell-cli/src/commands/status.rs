//! `icewell status`: the cache at a glance.

use icewell::{Count, Incomplete, Usage};
use serde::Serialize;

use super::ls::IncompleteRow;
use super::plain;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{ago, count, field, size};

/// Show counts, sizes, the limit, hits and fills under way
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

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

pub(crate) fn run(_: &Args, context: &Context<'_>) -> Result {
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
    let status = Status {
        dir: cache.dir().to_string_lossy().into_owned(),
        origin: cache.origin()?,
        images: Images {
            files: cached.into(),
            pinned: images.iter().filter(|image| image.pinned).count(),
            hits: images.iter().fold(0, |hits, image| hits.saturating_add(image.hits)),
        },
        incomplete: Fills {
            files: Files { count: fills.len() as u64, ..space.incomplete.into() },
            active: fills.iter().filter(|fill| fill.active).count(),
            fills: fills.iter().map(IncompleteRow::from).collect(),
        },
        invalid: Files { count: invalid.len() as u64, ..space.invalid.into() },
        queued: cache.queued()?.len(),
        limit: Limit {
            max_size: limit.max_size,
            count: limit.count.name(),
            used: space.counted(limit.count),
            min_free: limit.min_free.map(|min_free| min_free.to_string()),
            floor: limit.floor(file_system.total),
        },
        file_system: FileSystem { name: file_system.name, total: file_system.total, available: file_system.available },
    };
    if context.output.is_json() {
        context.output.json(&status)?;
    } else {
        context.output.print(describe(&status, &fills, limit.count).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn describe(status: &Status<'_>, fills: &[Incomplete], counted: Count) -> String {
    let Status { images, incomplete, invalid, limit, file_system, .. } = status;
    let mut text = String::new();
    field(&mut text, "directory", &status.dir);
    field(&mut text, "origin", status.origin.as_deref().unwrap_or("none yet"));
    let allocated = size(images.files.allocated);
    field(
        &mut text,
        "cached",
        format_args!("{}, {} on disk, {} pinned", files(&images.files), allocated, images.pinned),
    );
    field(&mut text, "hits", images.hits);
    field(&mut text, "incomplete", format_args!("{}, {} under way", files(&incomplete.files), incomplete.active));
    for fill in fills.iter().filter(|fill| fill.active) {
        text.push_str(&format!("  {}: {}\n", plain(&fill.id), progress(fill)));
    }
    field(&mut text, "invalid", files(invalid));
    field(&mut text, "queued", status.queued);
    let what = match counted {
        Count::Size => "sizes",
        Count::Allocated => "bytes allocated on disk",
    };
    let (used, max_size) = (size(limit.used), size(limit.max_size));
    field(&mut text, "limit", format_args!("{used} of {max_size} used, counting {what}"));
    if let Some(min_free) = &limit.min_free {
        let floor = size(limit.floor);
        let told = if min_free.ends_with('%') { format!("{min_free}, {floor}") } else { floor };
        field(&mut text, "min free", format_args!("{told} of the file system"));
    }
    let (available, total) = (size(file_system.available), size(file_system.total));
    field(&mut text, "file system", format_args!("{}, {available} of {total} free", file_system.name));
    text
}

fn files(files: &Files) -> String {
    format!("{}, {}", count(files.count, "image", "images"), size(files.size))
}

fn progress(fill: &Incomplete) -> String {
    let written = size(fill.written);
    match fill.size.filter(|whole| *whole > 0) {
        Some(whole) => {
            let percent = u128::from(fill.written) * 100 / u128::from(whole);
            format!("{written} of {} ({percent} %), last written {}", size(whole), ago(fill.last_modified))
        }
        None => format!("{written}, last written {}", ago(fill.last_modified)),
    }
}
