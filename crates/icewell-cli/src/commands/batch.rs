//! The same done to several images: one that fails stops nobody, and the exit status tells it at the end.

use std::fmt::Display;

use icewell::ImageId;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Result;
use crate::output::Output;

/// What became of one image.
#[derive(Debug, Serialize)]
struct Outcome {
    image_id: String,
    /// One word, with underscores.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What became of each image so far.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    output: &'a Output,
    outcomes: Vec<Outcome>,
    failed: bool,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        Batch { output, outcomes: Vec::new(), failed: false }
    }

    /// Something went as it should, or needed not be done.
    pub(crate) fn done(&mut self, id: &ImageId, result: &'static str) {
        self.outcomes.push(Outcome { image_id: id.to_string(), result, size: None, digest: None, error: None });
    }

    /// As [`done`](Batch::done), with the bytes it was about.
    pub(crate) fn done_with_size(&mut self, id: &ImageId, result: &'static str, size: u64) {
        self.done(id, result);
        if let Some(outcome) = self.outcomes.last_mut() {
            outcome.size = Some(size);
        }
    }

    /// As [`done`](Batch::done), with the digest the bytes have.
    pub(crate) fn done_with_digest(&mut self, id: &ImageId, result: &'static str, digest: &icewell::Digest) {
        self.done(id, result);
        if let Some(outcome) = self.outcomes.last_mut() {
            outcome.digest = Some(digest.to_string());
        }
    }

    /// Something failed; `why` goes to standard error with the image's ID before it.
    pub(crate) fn failed(&mut self, id: &ImageId, result: &'static str, why: impl Display) {
        self.failed = true;
        self.output.note(format_args!("{id}: {why}"));
        self.done(id, result);
        if let Some(outcome) = self.outcomes.last_mut() {
            outcome.error = Some(why.to_string());
        }
    }

    /// Prints the JSON, if there is to be some, and tells how it went.
    pub(crate) fn finish(self) -> Result {
        if self.output.is_json() {
            self.output.json(&self.outcomes)?;
        }
        Ok(if self.failed { Exit::Failed } else { Exit::Done })
    }
}
