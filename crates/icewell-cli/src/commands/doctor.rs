//! `icewell doctor`: what is wrong with the cache directory, and what to do about it.

use std::path::PathBuf;

use icewell::{Finding, Severity};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::glance_findings;
use crate::output::escape;
use crate::service_findings;
use crate::settings::{File, InForce, Typed};

/// Check the directory and its file system, the daemon's settings, the clock, limits, origin and credentials
///
/// Of the directory: its owner, file system, mount options, permissions, foreign files, and what a Glance left. The
/// settings are those that icewell serve would have. With --glance-conf all is also held against Glance's configuration.
/// The exit status is 1 if something does not work; what only could be better does not count.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The daemon's file of settings, or "off" [default: /etc/icewell/icewell.toml, if it is there]
    #[arg(long, value_name = "FILE", env = "ICEWELL_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// Ask nobody on the network
    #[arg(long)]
    offline: bool,
}

/// A finding, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(serialize_with = "in_a_word")]
    pub(crate) severity: Severity,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn in_a_word<S: serde::Serializer>(severity: &Severity, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.collect_str(severity)
}

impl From<&Finding> for Row {
    fn from(finding: &Finding) -> Self {
        Row {
            severity: finding.severity,
            path: finding.path.to_string_lossy().into_owned(),
            message: finding.message.clone(),
            advice: Some(finding.advice.clone()).filter(|advice| !advice.is_empty()),
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> Result {
    let mut rows = Vec::new();
    let in_force = match File::read(File::find(args.config.as_deref())) {
        Ok(file) => Some(InForce::of(&Typed::in_environment().map_err(wrong_usage)?.over(&context.glance), &file)),
        Err(wrong) => {
            rows.extend(wrong.into_iter().map(service_findings::of_file));
            None
        }
    };
    let configured = in_force.as_ref().and_then(InForce::dir);
    let dir = context.dir_of_daemon(configured)?;
    rows.extend(icewell::examine(&dir)?.iter().map(Row::from));
    // A cache that cannot be opened is a finding already.
    let cache = icewell::Cache::open(&dir).ok();
    if let Some(cache) = &cache {
        rows.extend(glance_findings::of(cache, &context.glance)?);
        rows.extend(service_findings::of_clock(cache)?);
    }
    rows.extend(service_findings::of_mount(&dir));
    if let Some(in_force) = &in_force {
        rows.extend(service_findings::of_settings(in_force, cache.as_ref(), !args.offline, context)?);
    }
    rows.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.path.cmp(&b.path)));
    if context.output.is_json() {
        context.output.json(&rows)?;
    } else {
        let text: String = rows.iter().map(describe).collect();
        context.output.print(text.as_bytes())?;
    }
    let works = rows.iter().all(|row| row.severity != Severity::Problem);
    Ok(if works { Exit::Done } else { Exit::Failed })
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn wrong_usage(error: clap::Error) -> Failure {
    Failure::usage(error.render().to_string().trim_start_matches("error: ").trim_end().to_owned())
}

fn describe(row: &Row) -> String {
    let Row { severity, path, message, advice } = row;
    let advice = advice.as_ref().map(|advice| format!("\n    do: {}", escape(advice))).unwrap_or_default();
    format!("{severity}: {}: {}{advice}\n", escape(path), escape(message))
}
