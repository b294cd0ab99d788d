//! The body of a cached image. Where its file cannot be read on, the origin gives the rest, if it surely still has the same
//! image; else the response breaks off.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use rustix::fs::{Advice, fadvise};

use super::past_the_cache::{Part, ask_for_part, next_piece};
use super::{How, read_chunk};
use crate::daemon::Daemon;
use crate::open_images::OpenImage;
use crate::origin::AnswerBody;
use crate::rot;
use crate::traces::{self, Span};

/// So much is read ahead of what is sent.
const AHEAD: u64 = 8 << 20;

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
    /// Whether some of it had to be waited for: it is not in memory.
    cold: bool,
    /// The disk was asked for the bytes before this.
    asked: u64,
}

impl Cached {
    pub(crate) fn new(daemon: Arc<Daemon>, caller: HeaderMap, image: Arc<OpenImage>) -> Self {
        Cached { daemon, caller, image, span: traces::current(), direct: None, cold: false, asked: 0 }
    }

    /// The next bytes from `start` on, at most up to `end`, which is where the image ends if nobody says.
    pub(super) async fn read(&mut self, how: How, start: u64, end: Option<u64>) -> io::Result<Option<Bytes>> {
        let end = end.or(self.image.head().size).unwrap_or(start);
        if start >= end {
            return Ok(None);
        }
        if let Some((at, body)) = self.direct.as_mut().filter(|(at, _)| *at == start) {
            return next_piece(at, body, Some(end)).await;
        }
        if self.image.is_corrupt() {
            return Err(io::Error::other("the image was found to be corrupt"));
        }
        self.read_ahead(start, end);
        match read_chunk(&self.image, how, start, end, &mut self.cold).await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) => {
                rot::cannot_be_read(&self.daemon, &self.image, start, &error).await;
                let rest = self.ask_origin(start, end).await.ok_or(error)?;
                let (at, body) = self.direct.insert((start, rest));
                next_piece(at, body, Some(end)).await
            }
        }
    }

    /// Has the disk read on while what is there already is sent. Only for who has met bytes that were not there: asking for
    /// others costs as much as sending them.
    fn read_ahead(&mut self, start: u64, end: u64) {
        let to = end.min(start.saturating_add(AHEAD));
        if !self.cold || self.asked >= to {
            return;
        }
        let from = self.asked.max(start);
        self.asked = to;
        let image = self.image.clone();
        tokio::task::spawn_blocking(move || {
            let length = NonZeroU64::new(to - from);
            // Advice; that it is not taken is no error.
            fadvise(image.reader().file(), from, length, Advice::WillNeed).ok();
        });
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
