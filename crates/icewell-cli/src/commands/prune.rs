//! `icewell prune`: down to the limit, least recently used first.

mod explain;

use icewell::{Limit, Mode, PrunedImage};
use serde::Serialize;

use self::explain::Explained;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{ago, count, epoch, size};
use crate::units::{Free, Size};

/// Remove the least recently used images until the rest is within the limit, and enough stays free; pinned ones stay
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The limit; 0 empties the cache [default: Glance's, with --glance-conf, else the limit in force]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, env = "ICEWELL_MAX_SIZE", hide_env_values = true)]
    max_size: Option<Size>,

    /// What is to stay free on the file system, as 5% or 20GiB [default: what is in force]
    #[arg(long, value_name = "SHARE", allow_hyphen_values = true, env = "ICEWELL_MIN_FREE", hide_env_values = true)]
    min_free: Option<Free>,

    /// Only tell what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// And why: how much has to go, in which order it goes until that is reached, and what stays
    #[arg(long, requires = "dry_run")]
    explain: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    total_files_pruned: u64,
    total_bytes_pruned: u64,
    dry_run: bool,
    max_size: u64,
    min_free: Option<String>,
    images: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explained>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    image_id: &'a str,
    size: u64,
    last_accessed: f64,
}

impl<'a> From<&'a PrunedImage> for Row<'a> {
    fn from(image: &'a PrunedImage) -> Self {
        Row { image_id: image.id.as_str(), size: image.size, last_accessed: epoch(image.last_accessed) }
    }
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let output = context.output;
    let cache = context.cache()?;
    let in_force = cache.limit()?;
    let wanted = args.max_size.map(|Size(bytes)| bytes).or(context.glance.image_cache_max_size);
    let min_free = args.min_free.map(|Free(min_free)| min_free).or(in_force.min_free);
    let limit = Limit { max_size: wanted.unwrap_or(in_force.max_size), min_free, ..in_force };
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Act };
    let pruned = cache.prune(limit, mode)?;
    let explanation = args.explain.then(|| explain::explain(&cache, limit, &pruned)).transpose()?;
    if output.is_json() {
        output.json(&Report {
            total_files_pruned: pruned.files(),
            total_bytes_pruned: pruned.bytes(),
            dry_run: args.dry_run,
            max_size: limit.max_size,
            min_free: limit.min_free.map(|min_free| min_free.to_string()),
            images: pruned.images.iter().map(Row::from).collect(),
            explanation,
        })?;
        return Ok(Exit::Done);
    }
    if let Some(explanation) = explanation {
        explanation.print(output)?;
        return Ok(Exit::Done);
    }
    let verb = if args.dry_run { "would prune" } else { "pruned" };
    let told = |image: &PrunedImage| format!("{}: {}, used {}", image.id, size(image.size), ago(image.last_accessed));
    let mut lines: Vec<String> = pruned.images.iter().map(told).collect();
    lines.push(format!("{}, {}", count(pruned.files(), "image", "images"), size(pruned.bytes())));
    for line in lines {
        // Of a dry run the lines are all there is.
        let line = format!("{verb} {line}");
        if args.dry_run { output.print_line(&line)? } else { output.say(&line)? }
    }
    Ok(Exit::Done)
}
