//! `icewell adopt`: what Glance's `sqlite` driver noted of its images, into their own tags.

use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_db::{GlanceDb, Standing};
use crate::output::count;

/// Take over the hits and times of last use that Glance's sqlite driver kept in cache.db
///
/// The images stay where they are, and so does the database. An image whose hits are counted here already is left as
/// it is, so that doing it twice changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only tell what would be taken over
    #[arg(short = 'n', long)]
    dry_run: bool,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    images: u64,
    hits: u64,
    already_counted: u64,
    not_cached: u64,
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let cache = context.cache()?;
    let db = GlanceDb::beside(&cache, &context.glance)?.ok_or_else(|| {
        let dir = cache.dir().display();
        Failure::failed(format!(
            "{dir}: there is no database of Glance's sqlite driver in it, and nothing to take over"
        ))
    })?;
    let mut report = Report { dry_run: args.dry_run, ..Report::default() };
    for noted in &db.images {
        match noted.standing(&cache)? {
            Standing::NotCached => report.not_cached += 1,
            Standing::Counted => report.already_counted += 1,
            Standing::Open(reader) if args.dry_run || reader.take_over(noted.hits, noted.last_accessed)? => {
                report.images += 1;
                report.hits = report.hits.saturating_add(noted.hits);
            }
            Standing::Open(_) => report.already_counted += 1,
        }
    }
    if context.output.is_json() {
        context.output.json(&report)?;
        return Ok(Exit::Done);
    }
    let verb = if args.dry_run { "would take over" } else { "took over" };
    let (images, hits) = (count(report.images, "image", "images"), count(report.hits, "hit", "hits"));
    let mut line = format!("{verb} {hits} of {images}");
    if report.already_counted > 0 {
        line += &format!("; {} counted here already", count(report.already_counted, "is", "are"));
    }
    if report.not_cached > 0 {
        line += &format!("; {} not cached any more", count(report.not_cached, "is", "are"));
    }
    if args.dry_run {
        context.output.print_line(&line)?
    } else {
        context.output.say(&line)?
    }
    Ok(Exit::Done)
}
