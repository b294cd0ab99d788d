//! `icewell clean`: away with failed fills and those that stopped.

use icewell::DEFAULT_STALL_TIME;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::count;
use crate::units::Span;

/// Remove failed fills, and those that stood still for too long; one that is alive stays
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long is too long; 0 for any time [default: Glance's, with --glance-conf, else 24h]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, env = "ICEWELL_STALL_TIME", hide_env_values = true)]
    stall_time: Option<Span>,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let wanted = args.stall_time.map(|Span(time)| time).or(context.glance.image_cache_stall_time);
    let cleaned = context.cache()?.clean(wanted.unwrap_or(DEFAULT_STALL_TIME))?;
    if context.output.is_json() {
        context.output.json(&json!({ "invalid": cleaned.invalid, "stalled": cleaned.stalled }))?;
    } else {
        let invalid = count(cleaned.invalid, "failed fill", "failed fills");
        context.output.say(&format!("removed {invalid} and {} that stalled", cleaned.stalled))?;
    }
    Ok(Exit::Done)
}
