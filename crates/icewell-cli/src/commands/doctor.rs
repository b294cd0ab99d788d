//! `icewell doctor`: what is wrong with the cache directory, and what to do about it.

use icewell::{Finding, Severity};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::glance_findings;
use crate::output::escape;

/// Check the directory, its owner, file system, mount options, permissions, foreign files, and what a Glance left
///
/// With --glance-conf it is also held against Glance's configuration. The exit status is 1 if something does not work;
/// what only could be better does not count.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

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

pub(crate) fn run(_: &Args, context: &Context<'_>) -> Result {
    let dir = context.dir(None)?;
    let mut rows: Vec<Row> = icewell::examine(&dir)?.iter().map(Row::from).collect();
    // A cache that cannot be opened is a finding already.
    if let Ok(cache) = icewell::Cache::open(&dir) {
        rows.extend(glance_findings::of(&cache, &context.glance)?);
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

fn describe(row: &Row) -> String {
    let Row { severity, path, message, advice } = row;
    let advice = advice.as_ref().map(|advice| format!("\n    do: {}", escape(advice))).unwrap_or_default();
    format!("{severity}: {}: {}{advice}\n", escape(path), escape(message))
}
