//! What fuzzing calls: each function takes any bytes and panics where a promise about them does not hold. The tests here are
//! its short run; `fuzz/README.md` tells of the long one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE, TRANSFER_ENCODING};
use http::{Method, StatusCode};
use icewell::layout;

use crate::conditional::{Decision, Validators, evaluate, if_range_holds};
use crate::connection::request::{Head, Next, parse};
use crate::digest_fields::vouched_digests;
use crate::freshness::{Freshness, State, storable};
use crate::image_head::ImageHead;
use crate::key::Key;
use crate::origin::{Answer, Description};
use crate::range::{MAX_RANGES, Ranges, Resolved};
use crate::rest::{content_length, goes_on, is_of, resumed_at};

/// A request's target is one plain file name with one way back, or refused.
pub fn key(data: &[u8]) {
    let target = String::from_utf8_lossy(data);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*target, None),
    };
    let Ok(key) = Key::from_target(path, query) else { return };
    let name = key.id.as_str();
    assert!(name.len() <= 255 && !name.starts_with('.'), "BUG: no plain name: {name:?}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%:".contains(&byte)), "BUG: {name:?}");
    assert!(!layout::RESERVED.contains(&name), "BUG: a name of the cache's own");
    let asked = &key.path_and_query;
    assert!(asked.starts_with('/') && asked.is_ascii(), "BUG: no path for an origin: {asked:?}");
    let asked_path = asked.split('?').next().unwrap_or_default();
    assert!(!asked_path.split('/').any(|segment| segment == "." || segment == ".."), "BUG: a dot segment: {asked:?}");
    assert!(asked.parse::<http::uri::PathAndQuery>().is_ok(), "BUG: it cannot be asked for: {asked:?}");
    let (path, query) = asked.split_once('?').map_or((asked.as_str(), None), |(path, query)| (path, Some(query)));
    assert_eq!(Key::from_target(path, query).as_ref(), Ok(&key), "BUG: normalising twice is not normalising once");
    match Key::from_id(&key.id) {
        Some(back) => assert_eq!(back, key, "BUG: its name is another's"),
        None => assert!(name.starts_with("sha256:"), "BUG: no way back from {name:?}"),
    }
}

/// The bytes of a connection: each head that is taken off is whole, has no body behind it, and comes out the same however
/// its bytes arrived.
pub fn head(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let before @ 1.. = buffer.len() {
        let bytes = buffer.clone().freeze();
        let Some(Next::Plain(Head { parts, .. })) = parse(&mut buffer) else { return };
        let length = before - buffer.len();
        assert!(length > 0 && bytes[..length].ends_with(b"\n"), "BUG: a head without an end");
        assert_eq!(bytes[length..], buffer[..], "BUG: what follows the head is lost or changed");
        for framing in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            assert!(!parts.headers.contains_key(&framing), "BUG: the body would be taken for the next request");
        }
        let fields = parts.headers.len();
        assert!(fields <= 100, "BUG: {fields} fields");
        // Cut short it is no head yet, whatever comes later.
        for cut in [length / 2, length - 1] {
            let early = parse(&mut BytesMut::from(&bytes[..cut]));
            assert!(!matches!(early, Some(Next::Plain(_))), "BUG: a head is taken before its end");
        }
    }
}

/// Ranges lie in the image, overlap nowhere and are not many.
pub fn ranges(data: &[u8]) {
    let (size, field) = data.split_at(data.len().min(3));
    let size = size.iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    let Ok(value) = HeaderValue::from_bytes(field) else { return };
    let Some(ranges) = Ranges::from_headers(&HeaderMap::from_iter([(RANGE, value)])) else { return };
    for size in [size, 0, 1, u64::MAX] {
        let Resolved::Parts(parts) = ranges.resolve(size) else { continue };
        assert!((1..=MAX_RANGES).contains(&parts.len()), "BUG: {} parts", parts.len());
        for (place, part) in parts.iter().enumerate() {
            assert!(part.start < part.end && part.end <= size, "BUG: {part:?} of {size} bytes");
            let overlaps = |other: &crate::range::Part| part.start < other.end && other.start < part.end;
            assert!(!parts[..place].iter().any(overlaps), "BUG: a byte would be sent twice: {parts:?}");
        }
    }
    if let Some(open) = ranges.without_size() {
        assert!(open.end.is_none_or(|end| open.start < end || end == u64::MAX), "BUG: {open:?}");
    }
}

/// Fields as lines of `name: value`; what is no field is left out.
fn fields(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// The conditions of a request, against an image with and without validators.
pub fn conditions(data: &[u8]) {
    let headers = fields(data);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let later = "Sun, 06 Nov 1994 08:49:47 GMT";
    for etag in [None, Some("\"a\""), Some("W/\"a\""), Some("a,b")] {
        for last_modified in [None, Some(date), Some("never")] {
            let known = Validators { etag, last_modified, date: Some(later) };
            let decision = evaluate(&headers, &known);
            if_range_holds(&headers, &known);
            let any = headers.get_all(IF_NONE_MATCH).iter().any(|value| value.as_bytes() == b"*");
            assert!(!any || decision != Decision::Proceed, "BUG: an image is sent that nobody was to have");
            if !headers.keys().any(|name| name.as_str().starts_with("if-")) {
                assert_eq!(decision, Decision::Proceed, "BUG: a condition that nobody made");
                assert!(if_range_holds(&headers, &known), "BUG: a range is ignored without If-Range");
            }
        }
    }
}

/// The head of an origin's answer: a status in the first line, then fields.
pub fn answer(data: &[u8]) {
    let (status, rest) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let status = std::str::from_utf8(status).ok().and_then(|text| text.trim().parse::<u16>().ok());
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else { return };
    let headers = fields(rest);
    let keepable = storable(&Method::GET, &HeaderMap::new(), status, &headers).is_ok();
    assert!(!keepable || status == StatusCode::OK, "BUG: an answer {status} would be kept");
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    for now in [now, UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) << 20)] {
        let freshness = Freshness::new(&headers, now);
        for later in [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(1 << 40)] {
            let state = freshness.state(now + later);
            if let State::Fresh { ttl_secs } = state {
                assert!(ttl_secs > 0, "BUG: fresh for {ttl_secs} s");
            }
            freshness.age(now + later);
        }
        if let Some(json) = freshness.to_json() {
            assert_eq!(Freshness::from_json(json.as_bytes()), freshness, "BUG: the record changes on its way: {json}");
        }
        freshness.revalidated(&headers, now);
    }
    vouched_digests(status, &headers);
    let size = content_length(&headers);
    let head = ImageHead::of_answer(&headers, size, now);
    head.fields(SystemTime::UNIX_EPOCH);
    let validators = head.metadata.validators;
    let answer = Answer { status, headers, body: Box::pin(stream::empty()), delimited: true };
    is_of(&answer, &validators);
    if let Ok(Some((start, whole))) = resumed_at(&answer) {
        assert!(status == StatusCode::PARTIAL_CONTENT && start < whole, "BUG: a rest of nothing");
        assert!(
            !goes_on(&answer, start + 1, Some(whole), &validators),
            "BUG: bytes would be put where they are not from"
        );
        assert!(!goes_on(&answer, start, Some(whole + 1), &validators), "BUG: a rest of another image");
    }
}

/// Records that lie in tags and may be anybody's, and what a Glance says of an image.
pub fn json(data: &[u8]) {
    let freshness = Freshness::from_json(data);
    freshness.state(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    freshness.age(UNIX_EPOCH);
    freshness.date();
    if let Ok(description) = serde_json::from_slice::<Description>(data) {
        description.digest();
    }
}

#[cfg(test)]
#[path = "../../../fuzz/short.rs"]
mod short;

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn keys() {
        short::run("key", 20_000, super::key);
    }

    #[test]
    fn heads() {
        short::run("request", 10_000, super::head);
    }

    #[test]
    fn ranges() {
        short::run("ranges", 20_000, super::ranges);
    }

    #[test]
    fn conditions() {
        short::run("conditions", 10_000, super::conditions);
    }

    #[test]
    fn answers() {
        short::run("answer", 10_000, super::answer);
    }

    #[test]
    fn records() {
        short::run("json", 10_000, super::json);
    }
}
