//! Bytes of an image that the origin sends past the cache, to one client: where they come to, and whether they are surely
//! of the same image.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{HeaderMap, HeaderValue, RANGE};
use http::{Method, StatusCode};

use crate::daemon::Daemon;
use crate::image_head::ImageHead;
use crate::key::Key;
use crate::origin::{Answer, AnswerBody, Ask};
use crate::rest::{content_length, is_of, range_from, rest};

/// What is asked for of an origin.
pub(super) struct Part {
    pub(super) start: u64,
    /// Up to here, or to the image's end.
    pub(super) end: Option<u64>,
    /// Whether the whole image, read from its beginning, will do as well.
    pub(super) whole_too: bool,
}

/// The origin's own bytes of this image, if it surely still has the same one.
pub(super) async fn ask_for_part(
    daemon: &Daemon,
    key: &Key,
    caller: &HeaderMap,
    head: &ImageHead,
    part: Part,
) -> Option<AnswerBody> {
    let Part { start, end, whole_too } = part;
    // Without a validator no answer could be told to be of this image.
    let glance = daemon.origin.glance().is_some();
    let mut headers = if glance { range_from(start) } else { rest(start, head)? };
    headers.extend(caller.clone());
    if let Some(end) = end {
        headers.insert(RANGE, HeaderValue::try_from(format!("bytes={start}-{}", end - 1)).ok()?);
    }
    daemon.pseudonym.add_to(&mut headers);
    let path_and_query = key.path_and_query.clone();
    let answer = daemon.origin.ask(&Ask { method: Method::GET, path_and_query, headers }).await.ok()?;
    let same = if glance { whole_size(&answer) == head.size } else { same_image(&answer, head) };
    match answer.status {
        StatusCode::PARTIAL_CONTENT if same && begins_at(&answer.headers, start) => Some(answer.body),
        StatusCode::OK if same && whole_too => Some(skip(answer.body, start)),
        _ => None,
    }
}

/// The next piece of an origin's answer, cut at `end`. An answer that ends before is broken.
pub(super) async fn next_piece(at: &mut u64, body: &mut AnswerBody, end: Option<u64>) -> io::Result<Option<Bytes>> {
    let mut piece = match (body.next().await, end) {
        (Some(piece), _) => piece?,
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the origin's answer ended early")),
    };
    if let Some(end) = end {
        piece.truncate(usize::try_from(end - *at).unwrap_or(usize::MAX));
    }
    *at += piece.len() as u64;
    Ok(Some(piece))
}

fn skip(body: AnswerBody, mut bytes: u64) -> AnswerBody {
    Box::pin(body.filter_map(move |piece| {
        let piece = match piece {
            Ok(mut piece) => {
                let skipped = bytes.min(piece.len() as u64);
                bytes -= skipped;
                let rest = piece.split_off(usize::try_from(skipped).unwrap_or(0));
                (!rest.is_empty()).then_some(Ok(rest))
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(piece)
    }))
}

/// Whether an answer is of the same image: the same validators, and the same size where it tells one.
fn same_image(answer: &Answer, head: &ImageHead) -> bool {
    let size = whole_size(answer);
    is_of(answer, &head.metadata.validators) && (size.is_none() || head.size.is_none() || size == head.size)
}

/// The size of the whole that a part belongs to, or of what is whole.
fn whole_size(answer: &Answer) -> Option<u64> {
    match answer.headers.get(http::header::CONTENT_RANGE) {
        Some(range) => range.to_str().ok()?.rsplit('/').next()?.parse().ok(),
        None => content_length(&answer.headers),
    }
}

fn begins_at(headers: &HeaderMap, start: u64) -> bool {
    let range = headers.get(http::header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()) == Some(start)
}
