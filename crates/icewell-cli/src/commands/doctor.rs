//! `icewell doctor`: what is wrong with the cache directory, and what to do about it.

use icewell::{Finding, Severity};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::escape;

/// Check the directory, its owner, file system, mount options, permissions and foreign files
///
/// The exit status is 1 if something does not work; what only could be better does not count.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Debug, Serialize)]
struct Row {
    severity: String,
    path: String,
    message: String,
    advice: Option<String>,
}

impl From<&Finding> for Row {
    fn from(finding: &Finding) -> Self {
        Row {
            severity: finding.severity.to_string(),
            path: finding.path.to_string_lossy().into_owned(),
            message: finding.message.clone(),
            advice: Some(finding.advice.clone()).filter(|advice| !advice.is_empty()),
        }
    }
}

pub(crate) fn run(_: &Args, context: &Context<'_>) -> Result {
    let findings = icewell::examine(&context.dir(None)?)?;
    if context.output.is_json() {
        context.output.json(&findings.iter().map(Row::from).collect::<Vec<_>>())?;
    } else {
        let text: String = findings.iter().map(describe).collect();
        context.output.print(text.as_bytes())?;
    }
    let works = findings.iter().all(|finding| finding.severity != Severity::Problem);
    Ok(if works { Exit::Done } else { Exit::Failed })
}

fn describe(finding: &Finding) -> String {
    let Row { severity, path, message, advice } = Row::from(finding);
    let advice = advice.map(|advice| format!("\n    do: {}", escape(&advice))).unwrap_or_default();
    format!("{severity}: {}: {}{advice}\n", escape(&path), escape(&message))
}
