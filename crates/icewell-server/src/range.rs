//! Range requests: which bytes are asked for, and the frame of the answer (RFC 9110 §14 and §15.3.7).
//!
//! [`Ranges::from_headers`] reads the `Range` field, [`Ranges::resolve`] holds it against the size of the image, and
//! [`content_range`] and [`Multipart`] word the answer. `Range` has a meaning for `GET` only (§14.2), and only where
//! [`if_range_holds`](crate::conditional::if_range_holds); both are the caller's to see to.
//!
//! What §14.2 leaves to the server: a set of more than [`MAX_RANGES`] ranges is ignored and the whole is sent.
//! In smaller sets, ranges that overlap are made one, so that no byte is sent twice; ranges that merely touch are
//! left as they were asked for, and so is their order.

use std::hash::{BuildHasher, Hasher, RandomState};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RANGE};

/// The most ranges that are answered as such.
pub(crate) const MAX_RANGES: usize = 100;

/// A valid `Range` field with the unit `bytes`: at least one range, at most [`MAX_RANGES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<RangeSpec>);

/// One range, as it was asked for (§14.1.2). Numbers that no `u64` holds are taken as the greatest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeSpec {
    /// `first-last`, both inclusive, or `first-`.
    Int { first: u64, last: Option<u64> },
    /// `-length`: the last bytes.
    Suffix { length: u64 },
}

/// What is to be sent of an image whose size is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// The whole image, as if no range had been asked for: 200.
    Whole,
    /// These bytes, at least one part: 206, as [`Multipart`] if there are several.
    Parts(Vec<Part>),
    /// None of the ranges lies in the image: 416, with [`unsatisfied_content_range`].
    NotSatisfiable,
}

/// Some bytes of an image; never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first byte.
    pub(crate) start: u64,
    /// One past the last byte; greater than `start`.
    pub(crate) end: u64,
}

/// Some bytes of an image of unknown size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenPart {
    /// The first byte. The image may turn out to end before it.
    pub(crate) start: u64,
    /// One past the last byte that was asked for, or none to the image's end, wherever that is.
    pub(crate) end: Option<u64>,
}

impl Ranges {
    /// The ranges a request asks for; none where it asks for none that have to be obeyed: no `Range`, several of
    /// them, another unit, a syntax error, a first position after the last one, too many ranges.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Ranges> {
        let mut values = headers.get_all(RANGE).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Ranges::parse(value.to_str().ok()?),
            _ => None,
        }
    }

    fn parse(value: &str) -> Option<Ranges> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        // A list may have empty elements (§5.6.1.2).
        let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
        let specs = specs.map(RangeSpec::parse).take(MAX_RANGES + 1).collect::<Option<Vec<_>>>()?;
        (1..=MAX_RANGES).contains(&specs.len()).then_some(Ranges(specs))
    }

    /// What is to be sent of an image of this size.
    pub(crate) fn resolve(&self, size: u64) -> Resolved {
        let mut parts: Vec<Part> = Vec::new();
        for spec in &self.0 {
            // A suffix of an empty image is satisfiable, but its Content-Range cannot be written: 200 and no bytes.
            if size == 0 && matches!(spec, RangeSpec::Suffix { length: 1.. }) {
                return Resolved::Whole;
            }
            let Some(mut part) = spec.resolve(size) else { continue };
            // One pass is enough: what `part` takes in did not overlap any other part before.
            parts.retain(|other| {
                let overlaps = part.start < other.end && other.start < part.end;
                if overlaps {
                    part = Part { start: part.start.min(other.start), end: part.end.max(other.end) };
                }
                !overlaps
            });
            parts.push(part);
        }
        if parts.is_empty() { Resolved::NotSatisfiable } else { Resolved::Parts(parts) }
    }

    /// The one range that can be understood without the image's size: a single `first-last` or `first-`.
    pub(crate) fn without_size(&self) -> Option<OpenPart> {
        match self.0[..] {
            [RangeSpec::Int { first, last }] => {
                Some(OpenPart { start: first, end: last.map(|last| last.saturating_add(1)) })
            }
            _ => None,
        }
    }
}

impl RangeSpec {
    fn parse(spec: &str) -> Option<RangeSpec> {
        let (first, last) = spec.split_once('-')?;
        match (first, last) {
            ("", length) => Some(RangeSpec::Suffix { length: number(length)? }),
            (first, "") => Some(RangeSpec::Int { first: number(first)?, last: None }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(RangeSpec::Int { first, last: Some(last) })
            }
        }
    }

    /// The bytes of an image of this size, if there are any.
    fn resolve(self, size: u64) -> Option<Part> {
        let part = match self {
            RangeSpec::Int { first, last } => {
                Part { start: first, end: last.map_or(size, |last| last.saturating_add(1).min(size)) }
            }
            RangeSpec::Suffix { length } => Part { start: size.saturating_sub(length), end: size },
        };
        (part.start < part.end).then_some(part)
    }
}

/// Decimal digits, and nothing but: `u64::from_str` would take a sign.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only too great a number is left to fail.
    Some(digits.parse().unwrap_or(u64::MAX))
}

impl Part {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The `Content-Range` of a part; `size` is none while the image's size is unknown (§14.4).
pub(crate) fn content_range(part: Part, size: Option<u64>) -> String {
    let Part { start, end } = part;
    let last = end.saturating_sub(1);
    match size {
        Some(size) => format!("bytes {start}-{last}/{size}"),
        None => format!("bytes {start}-{last}/*"),
    }
}

/// The `Content-Range` of a 416 (§14.4).
pub(crate) fn unsatisfied_content_range(size: u64) -> String {
    format!("bytes */{size}")
}

/// The frame around several parts: `multipart/byteranges` (§14.6).
///
/// The body is, for each part, its [`head`](Multipart::head) and its bytes, and then the [`tail`](Multipart::tail).
#[derive(Clone, Debug)]
pub(crate) struct Multipart {
    boundary: String,
    parts: Vec<Part>,
    size: u64,
    content_type: Option<HeaderValue>,
}

impl Multipart {
    /// Frames these parts of an image, with a boundary that nobody who made the image could guess.
    pub(crate) fn new(parts: Vec<Part>, size: u64, content_type: Option<HeaderValue>) -> Multipart {
        // The keys of `RandomState` come from the system's random numbers.
        let random = || RandomState::new().build_hasher().finish();
        let boundary = format!("icewell-{:016x}{:016x}", random(), random());
        Multipart { boundary, parts, size, content_type }
    }

    /// The parts, in the order of the body.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The `Content-Type` of the answer.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// What comes before the bytes of `part`, one of [`parts`](Multipart::parts); the first one follows nothing.
    pub(crate) fn head(&self, part: Part) -> Bytes {
        let line_end = if self.parts.first() == Some(&part) { "" } else { "\r\n" };
        let mut head = format!("{line_end}--{}\r\n", self.boundary).into_bytes();
        if let Some(content_type) = &self.content_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(content_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(part, Some(self.size))).as_bytes());
        head.into()
    }

    /// What comes after the bytes of the last part.
    pub(crate) fn tail(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }

    /// The `Content-Length` of the answer.
    pub(crate) fn content_length(&self) -> u64 {
        let parts = self.parts.iter().map(|part| (self.head(*part).len() as u64).saturating_add(part.len()));
        parts.fold(self.tail().len() as u64, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RANGE, HeaderValue::from_bytes(value.as_bytes()).unwrap())])
    }

    fn resolve(value: &str, size: u64) -> Resolved {
        Ranges::from_headers(&headers(value)).map_or(Resolved::Whole, |ranges| ranges.resolve(size))
    }

    fn parts(parts: &[(u64, u64)]) -> Resolved {
        Resolved::Parts(parts.iter().map(|&(start, end)| Part { start, end }).collect())
    }

    #[test]
    fn ranges_of_a_thousand_bytes() {
        for (value, expected) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-499", parts(&[(0, 500)])),
            ("bytes=500-999", parts(&[(500, 1000)])),
            ("bytes=500-5000", parts(&[(500, 1000)])),
            ("bytes=0-", parts(&[(0, 1000)])),
            ("bytes=999-", parts(&[(999, 1000)])),
            ("bytes=-1", parts(&[(999, 1000)])),
            ("bytes=-1000", parts(&[(0, 1000)])),
            ("bytes=-5000", parts(&[(0, 1000)])),
            ("BYTES=1-2", parts(&[(1, 3)])),
            ("bytes= 1-2", parts(&[(1, 3)])),
            ("bytes=007-008", parts(&[(7, 9)])),
            ("bytes=0-99999999999999999999999999", parts(&[(0, 1000)])),
            ("bytes=-99999999999999999999999999", parts(&[(0, 1000)])),
            ("bytes=5-18446744073709551615", parts(&[(5, 1000)])),
            ("bytes=0-9,20-29,-10", parts(&[(0, 10), (20, 30), (990, 1000)])),
            ("bytes=0-9 ,\t20-29 , ,", parts(&[(0, 10), (20, 30)])),
            // In the order they were asked for, without those that lie outside.
            ("bytes=20-29,2000-,0-9,-0", parts(&[(20, 30), (0, 10)])),
            // Touching ranges stay two, overlapping ones become one.
            ("bytes=0-9,10-19", parts(&[(0, 10), (10, 20)])),
            ("bytes=0-9,9-19", parts(&[(0, 20)])),
            ("bytes=0-9,50-59,20-29,5-25", parts(&[(50, 60), (0, 30)])),
            ("bytes=0-,0-,0-,-5", parts(&[(0, 1000)])),
            ("bytes=1000-", Resolved::NotSatisfiable),
            ("bytes=1000-1001,5000-", Resolved::NotSatisfiable),
            ("bytes=-0", Resolved::NotSatisfiable),
            ("bytes=99999999999999999999999999-", Resolved::NotSatisfiable),
        ] {
            assert_eq!(resolve(value, 1000), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_valid_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=0-1,2-1",
            "0-1",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1 - 2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=0x1-",
            "bytes=1.5-",
            "lines=0-1",
            "bytes =0-1 5",
            "bytes=0-1;2-3",
            "bytes=é-",
            "bytes:0-1",
        ] {
            assert_eq!(Ranges::from_headers(&headers(value)), None, "{value}");
        }
        assert_eq!(Ranges::from_headers(&HeaderMap::new()), None);
        let mut twice = headers("bytes=0-1");
        twice.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(Ranges::from_headers(&twice), None);
    }

    #[test]
    fn a_hundred_ranges_are_answered_and_more_are_not() {
        let many = |count: u64| {
            let ranges: Vec<String> = (0..count).map(|i| format!("{}-{}", i * 2, i * 2)).collect();
            resolve(&format!("bytes={}", ranges.join(",")), 1000)
        };
        assert!(matches!(many(100), Resolved::Parts(parts) if parts.len() == 100));
        assert_eq!(many(101), Resolved::Whole);
        assert_eq!(many(300), Resolved::Whole);
    }

    #[test]
    fn an_empty_image_has_no_first_byte_but_a_suffix() {
        for (value, expected) in [
            ("bytes=0-", Resolved::NotSatisfiable),
            ("bytes=0-0", Resolved::NotSatisfiable),
            ("bytes=-0", Resolved::NotSatisfiable),
            ("bytes=-1", Resolved::Whole),
            ("bytes=0-,-1", Resolved::Whole),
        ] {
            assert_eq!(resolve(value, 0), expected, "{value}");
        }
        assert_eq!(resolve("bytes=0-", u64::MAX), parts(&[(0, u64::MAX)]));
    }

    #[test]
    fn without_the_size_only_one_range_from_the_start_is_understood() {
        let open = |start, end| Some(OpenPart { start, end });
        for (value, expected) in [
            ("bytes=0-", open(0, None)),
            ("bytes=5-9", open(5, Some(10))),
            ("bytes=5-99999999999999999999", open(5, Some(u64::MAX))),
            ("bytes=-5", None),
            ("bytes=0-1,5-6", None),
        ] {
            assert_eq!(Ranges::from_headers(&headers(value)).unwrap().without_size(), expected, "{value}");
        }
    }

    #[test]
    fn content_ranges_are_inclusive() {
        let part = Part { start: 0, end: 500 };
        assert_eq!(content_range(part, Some(1234)), "bytes 0-499/1234");
        assert_eq!(content_range(part, None), "bytes 0-499/*");
        assert_eq!(unsatisfied_content_range(0), "bytes */0");
        assert_eq!(part.len(), 500);
    }

    #[test]
    fn a_multipart_body_is_as_long_as_it_says() {
        let image: Vec<u8> = (0..100).collect();
        let wanted = vec![Part { start: 90, end: 100 }, Part { start: 0, end: 1 }];
        for content_type in [None, Some(HeaderValue::from_static("application/x-qcow2"))] {
            let has_type = content_type.is_some();
            let multipart = Multipart::new(wanted.clone(), 100, content_type);
            let mut body = Vec::new();
            for part in multipart.parts() {
                body.extend_from_slice(&multipart.head(*part));
                body.extend_from_slice(&image[part.start as usize..part.end as usize]);
            }
            body.extend_from_slice(&multipart.tail());
            assert_eq!(multipart.content_length(), body.len() as u64);

            let boundary = multipart.content_type().replace("multipart/byteranges; boundary=", "");
            let type_line = if has_type { "Content-Type: application/x-qcow2\r\n" } else { "" };
            let mut expected =
                format!("--{boundary}\r\n{type_line}Content-Range: bytes 90-99/100\r\n\r\n").into_bytes();
            expected.extend(90..100);
            expected.extend(
                format!("\r\n--{boundary}\r\n{type_line}Content-Range: bytes 0-0/100\r\n\r\n\0\r\n--{boundary}--\r\n")
                    .into_bytes(),
            );
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn boundaries_are_legal_and_never_the_same() {
        let boundary = || Multipart::new(Vec::new(), 0, None).boundary;
        let (one, other) = (boundary(), boundary());
        assert_ne!(one, other);
        assert!(one.len() <= 70 && one.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{one}");
        assert_eq!(Multipart::new(vec![Part { start: 0, end: u64::MAX }], u64::MAX, None).content_length(), u64::MAX);
    }
}
