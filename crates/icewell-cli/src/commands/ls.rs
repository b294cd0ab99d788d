//! `icewell ls`: what is in the cache.

use std::path::Path;

use clap::ValueEnum;
use icewell::{Cache, Filler, Image, Incomplete, Invalid, Queued};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{Column, ago, epoch, size};

/// List cached images, or what is queued, incomplete or invalid
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// List images that are wanted, first come first
    #[arg(long, group = "state")]
    queued: bool,

    /// List fills under way, and those that were broken off
    #[arg(long, group = "state")]
    incomplete: bool,

    /// List fills that failed, and why
    #[arg(long, group = "state")]
    invalid: bool,

    /// Order cached images by this
    #[arg(long, value_name = "ORDER", default_value = "id", conflicts_with = "state")]
    sort: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By ID
    Id,
    /// Largest first
    Size,
    /// Most hits first
    Hits,
    /// Most recently used first
    Used,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    match () {
        () if args.queued => queued(&cache, context)?,
        () if args.incomplete => incomplete(&cache, context)?,
        () if args.invalid => invalid(&cache, context)?,
        () => cached(&cache, args.sort, context)?,
    }
    Ok(Exit::Done)
}

fn cached(cache: &Cache, order: Order, context: &Context<'_>) -> Result<()> {
    let mut images = cache.images()?;
    // They come ordered by ID, and sorting is stable.
    match order {
        Order::Id => {}
        Order::Size => images.sort_by_key(|image| std::cmp::Reverse(image.size)),
        Order::Hits => images.sort_by_key(|image| std::cmp::Reverse(image.hits)),
        Order::Used => images.sort_by_key(|image| std::cmp::Reverse(image.last_accessed)),
    }
    if context.output.is_json() {
        return context.output.json(&images.iter().map(ImageRow::from).collect::<Vec<_>>());
    }
    let columns = [
        Column::Text("ID"),
        Column::Number("SIZE"),
        Column::Number("HITS"),
        Column::Text("LAST USED"),
        Column::Text("PINNED"),
        Column::Text("NAME"),
    ];
    let row = |image: Image| {
        let pinned = if image.pinned { "yes" } else { "" };
        let name = image.metadata.name.unwrap_or_default();
        let used = ago(image.last_accessed);
        vec![image.id.to_string(), size(image.size), image.hits.to_string(), used, pinned.into(), name]
    };
    context.output.table(&columns, images.into_iter().map(row).collect(), &nothing("is cached", cache.dir()))
}

fn queued(cache: &Cache, context: &Context<'_>) -> Result<()> {
    let queued = cache.queued()?;
    if context.output.is_json() {
        return context.output.json(&queued.iter().map(QueuedRow::from).collect::<Vec<_>>());
    }
    let columns = [Column::Text("ID"), Column::Text("QUEUED")];
    let rows = queued.iter().map(|queued| vec![queued.id.to_string(), ago(queued.since)]);
    context.output.table(&columns, rows.collect(), &nothing("is queued", cache.dir()))
}

fn incomplete(cache: &Cache, context: &Context<'_>) -> Result<()> {
    let fills = cache.incomplete()?;
    if context.output.is_json() {
        return context.output.json(&fills.iter().map(IncompleteRow::from).collect::<Vec<_>>());
    }
    let columns = [
        Column::Text("ID"),
        Column::Number("WRITTEN"),
        Column::Number("SIZE"),
        Column::Text("FILLED BY"),
        Column::Text("STATE"),
        Column::Text("LAST WRITTEN"),
    ];
    let row = |fill: &Incomplete| {
        let state = if fill.active { "under way" } else { "broken off" };
        let whole = fill.size.map_or_else(|| "unknown".into(), size);
        let written = ago(fill.last_modified);
        vec![fill.id.to_string(), size(fill.written), whole, filler(fill.filler).into(), state.into(), written]
    };
    context.output.table(&columns, fills.iter().map(row).collect(), &nothing("is incomplete", cache.dir()))
}

fn invalid(cache: &Cache, context: &Context<'_>) -> Result<()> {
    let invalid = cache.invalid()?;
    if context.output.is_json() {
        return context.output.json(&invalid.iter().map(InvalidRow::from).collect::<Vec<_>>());
    }
    let columns = [Column::Text("ID"), Column::Number("SIZE"), Column::Text("FAILED"), Column::Text("ERROR")];
    let row = |entry: &Invalid| {
        let error = entry.error.clone().unwrap_or_else(|| "unknown".into());
        vec![entry.id.to_string(), size(entry.size), ago(entry.last_modified), error]
    };
    context.output.table(&columns, invalid.iter().map(row).collect(), &nothing("is invalid", cache.dir()))
}

fn nothing(what: &str, dir: &Path) -> String {
    format!("nothing {what} in {}", dir.display())
}

fn filler(filler: Filler) -> &'static str {
    match filler {
        Filler::Icewell => "icewell",
        Filler::Other => "other",
    }
}

/// A cached image for programs. Times are seconds since the epoch.
#[derive(Debug, Serialize)]
pub(crate) struct ImageRow<'a> {
    image_id: &'a str,
    name: Option<&'a str>,
    size: u64,
    allocated: u64,
    hits: u64,
    last_modified: f64,
    last_accessed: f64,
    pinned: bool,
    digest: Option<String>,
    computed_digest: Option<String>,
    content_type: Option<&'a str>,
    etag: Option<&'a str>,
    origin_last_modified: Option<&'a str>,
}

impl<'a> From<&'a Image> for ImageRow<'a> {
    fn from(image: &'a Image) -> Self {
        ImageRow {
            image_id: image.id.as_str(),
            name: image.metadata.name.as_deref(),
            size: image.size,
            allocated: image.allocated,
            hits: image.hits,
            last_modified: epoch(image.last_modified),
            last_accessed: epoch(image.last_accessed),
            pinned: image.pinned,
            digest: image.digest.as_ref().map(ToString::to_string),
            computed_digest: image.computed_digest.as_ref().map(ToString::to_string),
            content_type: image.metadata.content_type.as_deref(),
            etag: image.metadata.validators.etag.as_deref(),
            origin_last_modified: image.metadata.validators.last_modified.as_deref(),
        }
    }
}

#[derive(Debug, Serialize)]
struct QueuedRow<'a> {
    image_id: &'a str,
    queued_at: f64,
}

impl<'a> From<&'a Queued> for QueuedRow<'a> {
    fn from(queued: &'a Queued) -> Self {
        QueuedRow { image_id: queued.id.as_str(), queued_at: epoch(queued.since) }
    }
}

/// A fill for programs.
#[derive(Debug, Serialize)]
pub(crate) struct IncompleteRow<'a> {
    image_id: &'a str,
    written: u64,
    /// The whole size, where it is known.
    size: Option<u64>,
    filler: &'static str,
    active: bool,
    last_modified: f64,
}

impl<'a> From<&'a Incomplete> for IncompleteRow<'a> {
    fn from(fill: &'a Incomplete) -> Self {
        let last_modified = epoch(fill.last_modified);
        let Incomplete { written, size, active, .. } = *fill;
        IncompleteRow { image_id: fill.id.as_str(), written, size, filler: filler(fill.filler), active, last_modified }
    }
}

#[derive(Debug, Serialize)]
struct InvalidRow<'a> {
    image_id: &'a str,
    size: u64,
    last_modified: f64,
    error: Option<&'a str>,
}

impl<'a> From<&'a Invalid> for InvalidRow<'a> {
    fn from(entry: &'a Invalid) -> Self {
        let last_modified = epoch(entry.last_modified);
        InvalidRow { image_id: entry.id.as_str(), size: entry.size, last_modified, error: entry.error.as_deref() }
    }
}
