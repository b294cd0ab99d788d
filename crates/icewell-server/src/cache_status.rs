//! What the cache did, told to the client: the `Cache-Status` field (RFC 9211).
//!
//! ```text
//! Cache-Status: icewell; hit; ttl=52
//! Cache-Status: icewell; fwd=uri-miss; fwd-status=200; stored
//! Cache-Status: icewell; fwd=uri-miss; collapsed
//! Cache-Status: icewell; fwd=stale; fwd-status=304; detail=hit-validated
//! ```

use std::fmt::{self, Write as _};

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::counters::Decision;

/// The field's name.
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How this cache is called in the field (RFC 9211 §2).
const CACHE_NAME: &str = "icewell";

/// The greatest Integer of a structured field (RFC 9651 §3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// Why a request went to the origin (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forward {
    /// Nothing is cached under this key.
    UriMiss,
    /// What is cached is fresh, but the request wanted it from the origin.
    Request,
    /// What is cached was stale.
    Stale,
}

impl Forward {
    fn token(self) -> &'static str {
        match self {
            Forward::UriMiss => "uri-miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
        }
    }
}

/// Icewell's member of the field.
///
/// Its constructors name what happened; `with_…` adds what else is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    /// None is a hit: a response is either one or was forwarded (RFC 9211 §2.2).
    forward: Option<Forward>,
    forward_status: Option<StatusCode>,
    ttl: Option<i64>,
    stored: bool,
    collapsed: bool,
    detail: Option<String>,
}

impl CacheStatus {
    const HIT: CacheStatus =
        CacheStatus { forward: None, forward_status: None, ttl: None, stored: false, collapsed: false, detail: None };

    /// Answered from the cache, without the origin.
    pub(crate) fn hit() -> Self {
        CacheStatus::HIT
    }

    /// Asked from the origin for this reason. A `HEAD` of an image that isn't cached is a plain [`Forward::UriMiss`].
    pub(crate) fn forwarded(reason: Forward) -> Self {
        CacheStatus { forward: Some(reason), ..CacheStatus::HIT }
    }

    /// A miss, whose 200 is being cached while it is sent.
    pub(crate) fn stored_miss() -> Self {
        CacheStatus { stored: true, ..CacheStatus::forwarded(Forward::UriMiss).with_forward_status(StatusCode::OK) }
    }

    /// A miss that joined the fill of an earlier one.
    pub(crate) fn collapsed_miss() -> Self {
        CacheStatus { collapsed: true, ..CacheStatus::forwarded(Forward::UriMiss) }
    }

    /// Stale, but the origin said that it has not changed: answered from the cache.
    pub(crate) fn revalidated() -> Self {
        CacheStatus::forwarded(Forward::Stale)
            .with_forward_status(StatusCode::NOT_MODIFIED)
            .with_detail("hit-validated")
    }

    /// Stale, and the origin sent another image, which is being cached.
    pub(crate) fn refetched() -> Self {
        CacheStatus { stored: true, ..CacheStatus::forwarded(Forward::Stale).with_forward_status(StatusCode::OK) }
    }

    /// Forwarded for another reason.
    pub(crate) fn because(self, reason: Forward) -> Self {
        CacheStatus { forward: Some(reason), ..self }
    }

    /// With the status that the origin answered.
    pub(crate) fn with_forward_status(self, status: StatusCode) -> Self {
        CacheStatus { forward_status: Some(status), ..self }
    }

    /// With the seconds for which the image is still fresh; below zero, since when it is stale.
    pub(crate) fn with_ttl(self, seconds: i64) -> Self {
        CacheStatus { ttl: Some(seconds), ..self }
    }

    /// With more about it, for people: any text.
    pub(crate) fn with_detail(self, detail: &str) -> Self {
        CacheStatus { detail: Some(detail.into()), ..self }
    }

    /// Adds this member after those that caches nearer to the origin have left (RFC 9211 §2).
    pub(crate) fn append_to(&self, headers: &mut HeaderMap) {
        // It is printable ASCII, whatever the detail was, so the second branch is never taken.
        let value = HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static(CACHE_NAME));
        headers.append(CACHE_STATUS, value);
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CACHE_NAME)?;
        match self.forward {
            None => f.write_str("; hit")?,
            Some(reason) => write!(f, "; fwd={}", reason.token())?,
        }
        if let Some(status) = self.forward_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if let Some(ttl) = self.ttl {
            write!(f, "; ttl={}", ttl.clamp(-MAX_INTEGER, MAX_INTEGER))?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        match &self.detail {
            None => Ok(()),
            Some(detail) if is_token(detail) => write!(f, "; detail={detail}"),
            Some(detail) => {
                f.write_str("; detail=")?;
                write_string(f, detail)
            }
        }
    }
}

/// What this cache did for a response, as it tells it: by its own member of the field, which is the last.
pub(crate) fn decision(headers: &HeaderMap) -> Decision {
    let told = headers.get_all(CACHE_STATUS).iter().next_back().map(HeaderValue::as_bytes);
    let Some(member) = told.and_then(|told| told.strip_prefix(CACHE_NAME.as_bytes())) else { return Decision::None };
    let says = |what: &[u8]| member.windows(what.len()).any(|window| window == what);
    let stale = says(b"; fwd=stale");
    if says(b"; hit") {
        if says(b"; detail=stale-origin-failed") { Decision::Stale } else { Decision::Hit }
    } else if says(b"; detail=hit-validated") {
        Decision::Revalidated
    } else if says(b"; stored") {
        if stale { Decision::Refetched } else { Decision::Miss }
    } else if says(b"; collapsed") {
        Decision::Collapsed
    } else {
        Decision::Passed
    }
}

/// Whether the text is a Token of a structured field (RFC 9651 §3.3.4).
fn is_token(text: &str) -> bool {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*') && text.bytes().all(tchar)
}

/// Writes the text as a String of a structured field (RFC 9651 §3.3.3), which is printable ASCII and nothing else.
fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' | '\\' => write!(f, "\\{char}")?,
            ' '..='~' => f.write_char(char)?,
            _ => f.write_char('?')?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        for (status, expected) in [
            (CacheStatus::hit(), "icewell; hit"),
            (CacheStatus::hit().with_ttl(52), "icewell; hit; ttl=52"),
            (CacheStatus::hit().with_ttl(-30), "icewell; hit; ttl=-30"),
            (CacheStatus::hit().with_ttl(i64::MAX), "icewell; hit; ttl=999999999999999"),
            (CacheStatus::hit().with_ttl(i64::MIN), "icewell; hit; ttl=-999999999999999"),
            (CacheStatus::stored_miss(), "icewell; fwd=uri-miss; fwd-status=200; stored"),
            (CacheStatus::stored_miss().with_ttl(60), "icewell; fwd=uri-miss; fwd-status=200; ttl=60; stored"),
            (CacheStatus::collapsed_miss(), "icewell; fwd=uri-miss; collapsed"),
            (CacheStatus::revalidated(), "icewell; fwd=stale; fwd-status=304; detail=hit-validated"),
            (CacheStatus::refetched(), "icewell; fwd=stale; fwd-status=200; stored"),
            (
                CacheStatus::forwarded(Forward::UriMiss).with_forward_status(StatusCode::OK).with_detail("too big"),
                "icewell; fwd=uri-miss; fwd-status=200; detail=\"too big\"",
            ),
            (CacheStatus::forwarded(Forward::Request), "icewell; fwd=request"),
            (
                CacheStatus::forwarded(Forward::UriMiss).with_forward_status(StatusCode::NOT_FOUND),
                "icewell; fwd=uri-miss; fwd-status=404",
            ),
        ] {
            assert_eq!(status.to_string(), expected);
        }
    }

    #[test]
    fn what_was_told_is_what_is_counted() {
        for (status, expected) in [
            (CacheStatus::hit(), Decision::Hit),
            (CacheStatus::hit().with_ttl(-5).with_detail("stale-origin-failed"), Decision::Stale),
            (CacheStatus::revalidated(), Decision::Revalidated),
            (CacheStatus::revalidated().because(Forward::Request), Decision::Revalidated),
            (CacheStatus::stored_miss(), Decision::Miss),
            (CacheStatus::collapsed_miss(), Decision::Collapsed),
            (CacheStatus::refetched(), Decision::Refetched),
            (CacheStatus::forwarded(Forward::UriMiss).with_detail("no-room"), Decision::Passed),
            (CacheStatus::forwarded(Forward::Stale), Decision::Passed),
        ] {
            let mut headers = HeaderMap::new();
            assert_eq!(decision(&headers), Decision::None);
            headers.append(CACHE_STATUS, HeaderValue::from_static("icewell; hit"));
            status.append_to(&mut headers);
            assert_eq!(decision(&headers), expected, "{status}");
        }
        let others = HeaderMap::from_iter([(CACHE_STATUS, HeaderValue::from_static("other; hit"))]);
        assert_eq!(decision(&others), Decision::None);
    }

    #[test]
    fn details_are_tokens_where_they_can_be_and_escaped_where_not() {
        for (detail, expected) in [
            ("hit-validated", "hit-validated"),
            ("*a/b:c", "*a/b:c"),
            ("", "\"\""),
            ("9lives", "\"9lives\""),
            ("-a", "\"-a\""),
            ("a;b=c, d", "\"a;b=c, d\""),
            ("a \"b\" \\c", "\"a \\\"b\\\" \\\\c\""),
            ("a\r\nSet-Cookie: é\0\x7f", "\"a??Set-Cookie: ???\""),
        ] {
            let status = CacheStatus::hit().with_detail(detail);
            assert_eq!(status.to_string(), format!("icewell; hit; detail={expected}"), "{detail:?}");
            let mut headers = HeaderMap::new();
            status.append_to(&mut headers);
            assert_eq!(headers[CACHE_STATUS], status.to_string());
        }
    }

    #[test]
    fn it_comes_after_the_caches_nearer_to_the_origin() {
        let mut headers = HeaderMap::new();
        headers.append(CACHE_STATUS, HeaderValue::from_static("origin-cache; hit; ttl=5, \"CDN\"; fwd=uri-miss"));
        CacheStatus::hit().append_to(&mut headers);
        let members: Vec<_> = headers.get_all(CACHE_STATUS).iter().collect();
        assert_eq!(members, ["origin-cache; hit; ttl=5, \"CDN\"; fwd=uri-miss", "icewell; hit"]);
    }
}
