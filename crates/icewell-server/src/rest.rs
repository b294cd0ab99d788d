//! Going on where an earlier answer ended: how to ask for the rest of an image, and which answer is one.

use std::ops::Range;
use std::time::SystemTime;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, IF_RANGE, RANGE};

use crate::conditional;
use crate::image_head::ImageHead;
use crate::origin::Answer;

/// The request's fields for the bytes from `offset` on of this image; none where its validators are not strong enough to
/// tell it from another (RFC 9110 §13.1.5): a weak tag, or a date in the very second of which it may have changed again.
pub(crate) fn rest(offset: u64, head: &ImageHead) -> Option<HeaderMap> {
    let validators = head.validators();
    let strong_tag = validators.etag.filter(|etag| etag.starts_with('"'));
    let strong_date = validators.last_modified.filter(|_| conditional::has_strong_date(&validators));
    let validator = HeaderValue::from_str(strong_tag.or(strong_date)?).ok()?;
    let range = HeaderValue::try_from(format!("bytes={offset}-")).ok()?;
    Some(HeaderMap::from_iter([(IF_RANGE, validator), (RANGE, range)]))
}

/// The request's field for the bytes from `offset` on, of an image that cannot change.
pub(crate) fn range_from(offset: u64) -> HeaderMap {
    HeaderValue::try_from(format!("bytes={offset}-"))
        .map(|range| HeaderMap::from_iter([(RANGE, range)]))
        .unwrap_or_default()
}

/// Where a 206 begins and how large the whole is; none for a 200. An error for a 206 that nobody can go on from.
pub(crate) fn resumed_at(answer: &Answer) -> Result<Option<(u64, u64)>, &'static str> {
    if answer.status != StatusCode::PARTIAL_CONTENT {
        return Ok(None);
    }
    let parse = || {
        let (part, size) = content_range(&answer.headers)?;
        let size: u64 = size.parse().ok()?;
        (part.end == size).then_some((part.start, size))
    };
    parse().map(Some).ok_or("wrong-range")
}

/// The bytes of the whole that a 206 of one part says it has; it tells how many come where nothing else does.
pub(crate) fn part(status: StatusCode, headers: &HeaderMap) -> Option<Range<u64>> {
    (status == StatusCode::PARTIAL_CONTENT).then(|| content_range(headers)).flatten().map(|(part, _)| part)
}

/// `bytes START-LAST/WHOLE`: the part, and the whole's size as it stands there.
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, &str)> {
    let value = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last): (u64, u64) = (start.parse().ok()?, last.parse().ok()?);
    let end = last.checked_add(1)?;
    (start < end).then_some((start..end, size))
}

/// Whether a 206 is the rest, from `offset` on, of the image with these validators and, where it is known, of this size.
pub(crate) fn goes_on(answer: &Answer, offset: u64, size: Option<u64>, validators: &icewell::Validators) -> bool {
    let Ok(Some((start, whole))) = resumed_at(answer) else { return false };
    start == offset && size.is_none_or(|size| size == whole) && is_of(answer, validators)
}

/// Whether an answer is of the image that has these validators. A server that does not know `If-Range` sends a part of
/// whatever it has now, and so tells.
pub(crate) fn is_of(answer: &Answer, known: &icewell::Validators) -> bool {
    let told = ImageHead::of_answer(&answer.headers, None, SystemTime::UNIX_EPOCH).metadata.validators;
    if known.etag.as_deref().is_some_and(|etag| etag.starts_with('"')) {
        return told.etag == known.etag;
    }
    // In answer to an `If-Range` the date may be left out (RFC 9110 §15.3.7), the weak tag may not.
    let left_out = answer.status == StatusCode::PARTIAL_CONTENT && told.last_modified.is_none();
    known.last_modified.is_some() && told.etag == known.etag && (left_out || told.last_modified == known.last_modified)
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
