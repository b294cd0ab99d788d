//! Conditional requests: may the image be sent, need it be sent (RFC 9110 §13).
//!
//! [`evaluate`] takes the steps of §13.2.2 for `GET` and `HEAD` of an image that exists; `If-Range`, the last of them,
//! is [`if_range_holds`], because it decides not whether to answer but whether to look at `Range`.
//!
//! A date that is none, or is given twice, is ignored (§13.1.3, §13.1.4). An entity tag that is malformed equals only
//! its own spelling, so that an origin which forgets the quotes still gets its clients a 304.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};

/// What the origin said when it sent the image, as it said it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validators<'a> {
    /// `ETag`, with its quotes and a `W/` if it has one.
    pub(crate) etag: Option<&'a str>,
    /// `Last-Modified`.
    pub(crate) last_modified: Option<&'a str>,
    /// `Date`: when the origin said so. Without it nobody can tell whether the image was still changing in the very
    /// second of `last_modified`, and then that date is too weak for an `If-Range` (§8.8.2.2).
    pub(crate) date: Option<&'a str>,
}

/// What a request's conditions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Answer as if there were no conditions.
    Proceed,
    /// The client has the image already: 304.
    NotModified,
    /// The client wants another image than this one: 412.
    PreconditionFailed,
}

/// Evaluates the conditions of a `GET` or `HEAD`, in the order of §13.2.2.
pub(crate) fn evaluate(headers: &HeaderMap, validators: &Validators<'_>) -> Decision {
    let last_modified = validators.last_modified.and_then(parse_date);

    if headers.contains_key(IF_MATCH) {
        if !any_entity_tag(headers, IF_MATCH, validators.etag, strongly_equal) {
            return Decision::PreconditionFailed;
        }
    } else if let (Some(date), Some(modified)) = (date(headers, IF_UNMODIFIED_SINCE), last_modified)
        && modified > date
    {
        return Decision::PreconditionFailed;
    }

    if headers.contains_key(IF_NONE_MATCH) {
        if any_entity_tag(headers, IF_NONE_MATCH, validators.etag, weakly_equal) {
            return Decision::NotModified;
        }
    } else if let (Some(date), Some(modified)) = (date(headers, IF_MODIFIED_SINCE), last_modified)
        && modified <= date
    {
        return Decision::NotModified;
    }

    Decision::Proceed
}

/// Whether the `Range` of the request counts: there is no `If-Range`, or what it names is surely this image (§13.1.5).
pub(crate) fn if_range_holds(headers: &HeaderMap, validators: &Validators<'_>) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return !headers.contains_key(IF_RANGE);
    };
    if let Some(asked) = value.to_str().ok().and_then(parse_date) {
        let modified = validators.last_modified.and_then(parse_date);
        let sent = validators.date.and_then(parse_date);
        return modified == Some(asked) && sent.is_some_and(|sent| is_strong(asked, sent));
    }
    validators.etag.is_some_and(|etag| strongly_equal(value.as_bytes(), etag.as_bytes()))
}

/// Whether the image's `Last-Modified` tells it from every other state of it.
pub(crate) fn has_strong_date(validators: &Validators<'_>) -> bool {
    let dates = validators.last_modified.and_then(parse_date).zip(validators.date.and_then(parse_date));
    dates.is_some_and(|(modified, sent)| is_strong(modified, sent))
}

/// Whether a `Last-Modified` sent at that date can stand for one state of the image only (§8.8.2.2).
fn is_strong(last_modified: SystemTime, sent: SystemTime) -> bool {
    sent.duration_since(last_modified).is_ok_and(|settled| settled >= Duration::from_secs(1))
}

/// Whether the field names the image: by `*`, which names any that exists, or by an entity tag that equals its own.
fn any_entity_tag(
    headers: &HeaderMap,
    field: HeaderName,
    etag: Option<&str>,
    equal: impl Fn(&[u8], &[u8]) -> bool,
) -> bool {
    headers.get_all(field).iter().any(|value| {
        value.as_bytes().trim_ascii() == b"*"
            || etag.is_some_and(|etag| entity_tags(value.as_bytes()).any(|tag| equal(tag, etag.as_bytes())))
    })
}

/// The entity tags of a list. Commas within quotes belong to the tag; a backslash there escapes nothing (§8.8.3).
fn entity_tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
}

/// Strong comparison: the same, and neither is weak (§8.8.3.2).
fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

/// Weak comparison: the same, weak or not (§8.8.3.2).
fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    opaque(one) == opaque(other)
}

/// The date in a field, if it has exactly one that is valid.
fn date(headers: &HeaderMap, field: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(field).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse_date(value.to_str().ok()?),
        _ => None,
    }
}

/// A date in any of the three forms that a recipient has to take (§5.6.7).
fn parse_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

#[cfg(test)]
mod tests {
    use super::Decision::{NotModified, PreconditionFailed, Proceed};
    use super::*;
    use http::header::HeaderValue;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    const STRONG: Validators<'_> =
        Validators { etag: Some("\"a,b\\\""), last_modified: Some(MODIFIED), date: Some(AFTER) };
    const WEAK: Validators<'_> = Validators { etag: Some("W/\"a\""), ..STRONG };
    const BARE: Validators<'_> = Validators { etag: Some("a"), ..STRONG };
    const NO_ETAG: Validators<'_> = Validators { etag: None, ..STRONG };
    const NO_DATE: Validators<'_> = Validators { etag: Some("\"a\""), last_modified: None, date: None };
    const BAD_DATE: Validators<'_> = Validators { last_modified: Some("yesterday"), ..NO_ETAG };

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn single_conditions() {
        for (field, value, validators, expected) in [
            // If-Match compares strongly.
            (IF_MATCH, "\"a,b\\\"", STRONG, Proceed),
            (IF_MATCH, "\"x\", \"a,b\\\"", STRONG, Proceed),
            (IF_MATCH, "\"a\"", STRONG, PreconditionFailed),
            (IF_MATCH, "W/\"a,b\\\"", STRONG, PreconditionFailed),
            (IF_MATCH, "W/\"a\"", WEAK, PreconditionFailed),
            (IF_MATCH, "\"a\"", WEAK, PreconditionFailed),
            (IF_MATCH, "*", STRONG, Proceed),
            (IF_MATCH, "*", NO_ETAG, Proceed),
            (IF_MATCH, "\"a\"", NO_ETAG, PreconditionFailed),
            (IF_MATCH, "", STRONG, PreconditionFailed),
            (IF_MATCH, "\"a,b\\", STRONG, PreconditionFailed),
            // If-None-Match compares weakly.
            (IF_NONE_MATCH, "\"a,b\\\"", STRONG, NotModified),
            (IF_NONE_MATCH, "W/\"a,b\\\"", STRONG, NotModified),
            (IF_NONE_MATCH, "\"a\"", WEAK, NotModified),
            (IF_NONE_MATCH, "W/\"a\"", WEAK, NotModified),
            (IF_NONE_MATCH, "w/\"a\"", WEAK, Proceed),
            (IF_NONE_MATCH, " \"x\" ,,\"a,b\\\"\t,\"y\"", STRONG, NotModified),
            (IF_NONE_MATCH, "\"x,\"a\",y\"", WEAK, Proceed),
            (IF_NONE_MATCH, "\"b\\\"", STRONG, Proceed),
            (IF_NONE_MATCH, "*", STRONG, NotModified),
            (IF_NONE_MATCH, "*", NO_ETAG, NotModified),
            (IF_NONE_MATCH, "\"*\"", STRONG, Proceed),
            (IF_NONE_MATCH, "\"x\", *", STRONG, Proceed),
            (IF_NONE_MATCH, "\"a\"", NO_ETAG, Proceed),
            (IF_NONE_MATCH, "", STRONG, Proceed),
            // A malformed entity tag equals only itself.
            (IF_NONE_MATCH, "a", WEAK, Proceed),
            (IF_NONE_MATCH, "\"a\"", BARE, Proceed),
            (IF_NONE_MATCH, "x, a", BARE, NotModified),
            // Dates, in all three forms.
            (IF_MODIFIED_SINCE, BEFORE, STRONG, Proceed),
            (IF_MODIFIED_SINCE, MODIFIED, STRONG, NotModified),
            (IF_MODIFIED_SINCE, AFTER, STRONG, NotModified),
            (IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT", STRONG, NotModified),
            (IF_MODIFIED_SINCE, "Sun Nov  6 08:49:37 1994", STRONG, NotModified),
            (IF_MODIFIED_SINCE, "Sun Nov  6 08:49:36 1994", STRONG, Proceed),
            (IF_MODIFIED_SINCE, "tomorrow", STRONG, Proceed),
            (IF_MODIFIED_SINCE, "", STRONG, Proceed),
            (IF_MODIFIED_SINCE, "é", STRONG, Proceed),
            (IF_MODIFIED_SINCE, AFTER, NO_DATE, Proceed),
            (IF_MODIFIED_SINCE, AFTER, BAD_DATE, Proceed),
            (IF_MODIFIED_SINCE, "yesterday", BAD_DATE, Proceed),
            (IF_UNMODIFIED_SINCE, BEFORE, STRONG, PreconditionFailed),
            (IF_UNMODIFIED_SINCE, MODIFIED, STRONG, Proceed),
            (IF_UNMODIFIED_SINCE, AFTER, STRONG, Proceed),
            (IF_UNMODIFIED_SINCE, "0", STRONG, Proceed),
            (IF_UNMODIFIED_SINCE, BEFORE, NO_DATE, Proceed),
            (IF_UNMODIFIED_SINCE, BEFORE, BAD_DATE, Proceed),
        ] {
            let decision = evaluate(&headers(&[(field.clone(), value)]), &validators);
            assert_eq!(decision, expected, "{field}: {value} of {validators:?}");
        }
        assert_eq!(evaluate(&HeaderMap::new(), &STRONG), Proceed);
    }

    #[test]
    fn precedence() {
        let same = "\"a,b\\\"";
        let other = "\"x\"";
        for (fields, expected) in [
            // An entity tag decides alone where a date is given too.
            (vec![(IF_MATCH, same), (IF_UNMODIFIED_SINCE, BEFORE)], Proceed),
            (vec![(IF_MATCH, other), (IF_UNMODIFIED_SINCE, AFTER)], PreconditionFailed),
            (vec![(IF_NONE_MATCH, other), (IF_MODIFIED_SINCE, AFTER)], Proceed),
            (vec![(IF_NONE_MATCH, same), (IF_MODIFIED_SINCE, BEFORE)], NotModified),
            // The preconditions come before the question for a newer one.
            (vec![(IF_MATCH, other), (IF_NONE_MATCH, same)], PreconditionFailed),
            (vec![(IF_MATCH, same), (IF_NONE_MATCH, same)], NotModified),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE), (IF_MODIFIED_SINCE, AFTER)], PreconditionFailed),
            (vec![(IF_UNMODIFIED_SINCE, AFTER), (IF_MODIFIED_SINCE, AFTER)], NotModified),
            // A list may come in several lines, a date may not.
            (vec![(IF_NONE_MATCH, other), (IF_NONE_MATCH, same)], NotModified),
            (vec![(IF_MATCH, other), (IF_MATCH, same)], Proceed),
            (vec![(IF_MODIFIED_SINCE, AFTER), (IF_MODIFIED_SINCE, AFTER)], Proceed),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE), (IF_UNMODIFIED_SINCE, BEFORE)], Proceed),
        ] {
            assert_eq!(evaluate(&headers(&fields), &STRONG), expected, "{fields:?}");
        }
    }

    #[test]
    fn if_range() {
        let same_second = Validators { date: Some(MODIFIED), ..STRONG };
        let backwards = Validators { date: Some(BEFORE), ..STRONG };
        let undated = Validators { date: None, ..STRONG };
        for (value, validators, expected) in [
            ("\"a,b\\\"", STRONG, true),
            ("\"x\"", STRONG, false),
            ("\"x\", \"a,b\\\"", STRONG, false),
            ("W/\"a,b\\\"", STRONG, false),
            ("W/\"a\"", WEAK, false),
            ("\"a\"", WEAK, false),
            ("\"a\"", NO_DATE, true),
            ("\"a\"", NO_ETAG, false),
            ("*", STRONG, false),
            ("", STRONG, false),
            ("a", BARE, true),
            (MODIFIED, STRONG, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", STRONG, true),
            (BEFORE, STRONG, false),
            (AFTER, STRONG, false),
            (MODIFIED, NO_DATE, false),
            (MODIFIED, same_second, false),
            (MODIFIED, backwards, false),
            (MODIFIED, undated, false),
            ("yesterday", BAD_DATE, false),
        ] {
            assert_eq!(if_range_holds(&headers(&[(IF_RANGE, value)]), &validators), expected, "{value} {validators:?}");
        }
        assert!(if_range_holds(&HeaderMap::new(), &STRONG));
        assert!(if_range_holds(&HeaderMap::new(), &Validators::default()));
        assert!(!if_range_holds(&headers(&[(IF_RANGE, "\"a\""), (IF_RANGE, "\"a\"")]), &NO_DATE));
    }
}
