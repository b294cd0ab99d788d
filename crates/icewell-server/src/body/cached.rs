//! The body of a cached image. Where its file cannot be read on, the origin gives the rest, if it surely still has the same
//! image; else the response breaks off.

use std::io;
use std::sync::Arc;

use http::HeaderMap;

use super::past_the_cache::{Part, ask_for_part, next_piece};
use super::{CHUNK, COPIED, Extent, How, LEAST_EXTENT, Piece, Sending, read_chunk};
use crate::daemon::Daemon;
use crate::open_images::OpenImage;
use crate::origin::AnswerBody;
use crate::rot;
use crate::traces::{self, Span};

/// A cached image, and what it takes to get the rest of it elsewhere.
pub(crate) struct Cached {
    daemon: Arc<Daemon>,
    /// What tells a Glance who asks.
    caller: HeaderMap,
    image: Arc<OpenImage>,
    /// What the request is traced by.
    span: Option<Span>,
    /// The origin's own answer, and where it has come to.
    direct: Option<(u64, AnswerBody)>,
    /// Up to here it may have been sent as pages of the file, which the client may not have taken yet.
    uncopied: u64,
}

impl Cached {
    pub(crate) fn new(daemon: Arc<Daemon>, caller: HeaderMap, image: Arc<OpenImage>) -> Self {
        Cached { daemon, caller, image, span: traces::current(), direct: None, uncopied: 0 }
    }

    /// An extent was sent that ends here.
    pub(super) fn was_sent_to(&mut self, end: u64) {
        self.uncopied = self.uncopied.max(end);
    }

    /// The next bytes from `start` on, at most up to `end`, which is where the image ends if nobody says.
    pub(super) async fn read(&mut self, how: How, start: u64, end: Option<u64>) -> io::Result<Option<Piece>> {
        let end = end.or(self.image.head().size).unwrap_or(start);
        if start >= end {
            return Ok(None);
        }
        if let Some((at, body)) = self.direct.as_mut().filter(|(at, _)| *at == start) {
            return Ok(next_piece(at, body, Some(end)).await?.map(Piece::Bytes));
        }
        if self.image.is_corrupt() {
            return Err(io::Error::other("the image was found to be corrupt"));
        }
        if let Some(extent) = self.extent(how, start, end) {
            return Ok(Some(Piece::Extent(extent)));
        }
        match read_chunk(&self.image, how, start, end).await {
            Ok(chunk) => Ok(Some(Piece::Bytes(chunk))),
            Err(error) => {
                rot::cannot_be_read(&self.daemon, &self.image, start, &error).await;
                // What was sent before may have changed on its way.
                if self.image.reader().file().metadata()?.len() < self.uncopied {
                    return Err(error);
                }
                let rest = self.ask_origin(start, end).await.ok_or(error)?;
                let (at, body) = self.direct.insert((start, rest));
                Ok(next_piece(at, body, Some(end)).await?.map(Piece::Bytes))
            }
        }
    }

    /// What may be sent by itself from `start` on: not the last bytes, before which the file's size is looked at.
    fn extent(&self, how: How, start: u64, end: u64) -> Option<Extent> {
        let copied_from = end.saturating_sub(COPIED);
        let may = how.extents_too && how.sending == Sending::Pages;
        let long = copied_from.saturating_sub(start) >= LEAST_EXTENT;
        (may && long).then(|| Extent { image: self.image.clone(), start, copied_from, end: end - CHUNK })
    }

    async fn ask_origin(&mut self, start: u64, end: u64) -> Option<AnswerBody> {
        let key = self.daemon.key_of(self.image.reader().id())?;
        let part = Part { start, end: Some(end), whole_too: true };
        let asked = ask_for_part(&self.daemon, &key, &self.caller, self.image.head(), part);
        let body = Box::pin(traces::within(self.span.clone(), asked)).await?;
        self.daemon.counters.healed.inc();
        Some(body)
    }
}
