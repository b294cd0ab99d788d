//! How long a cached image may be sent without asking the origin, and whether it may be cached at all (RFC 9111).
//!
//! The rules of §4.2 are those of the library `http-cache-semantics`. Around it, this module
//!
//! - keeps what they need of a response in a [`Freshness`], small enough for one extended attribute;
//! - reads what the library reads too strictly: directives in any case, dates in all three forms, absurd ages;
//! - adds the stricter rules of an image cache: see [`storable`];
//! - never guesses (§4.2.2): an origin that says nothing of freshness is asked each time, because a 304 costs one
//!   round trip, and a wrong guess an image that is weeks old.
//!
//! The time is always given by the caller.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, DATE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED, PRAGMA, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use serde::{Deserialize, Serialize};

/// The longest record that is kept; it shares the space for an image's attributes with others.
pub(crate) const MAX_RECORD: usize = 1536;

/// The fields that decide about freshness, and those that tell whether a 304 speaks of this image.
const KEPT: [HeaderName; 9] = [AGE, CACHE_CONTROL, CONTENT_MD5, DATE, ETAG, EXPIRES, LAST_MODIFIED, PRAGMA, VARY];

/// Of the whole image; kept because it is sent with it.
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// The last second that an HTTP date can name: the end of the year 9999.
const LAST_DATE: u64 = 253_402_300_799;

/// Why a response may not be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotStorable {
    /// One word for the log and for the detail of a `Cache-Status`, like `no-store`.
    pub(crate) reason: &'static str,
}

/// Whether the response to a client's request may be cached.
///
/// It may if it is a 200 to a `GET`, not `private` and not `no-store` (neither may the request say that), is the same
/// for every client (`Vary` names at most `Accept-Encoding`, and fills ask for `identity`), came without a content
/// coding, and the library agrees, to which this is a shared cache.
///
/// # Errors
///
/// [`NotStorable`] with the first reason found.
pub(crate) fn storable(
    method: &Method,
    request_headers: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), NotStorable> {
    let refuse = |reason| Err(NotStorable { reason });
    if method != Method::GET {
        return refuse("method");
    }
    if status != StatusCode::OK {
        return refuse("status");
    }
    if has_directive(headers, "no-store") || has_directive(request_headers, "no-store") {
        return refuse("no-store");
    }
    if has_directive(headers, "private") {
        return refuse("private");
    }
    if !elements(headers, &VARY).all(|field| field == "accept-encoding") {
        return refuse("vary");
    }
    if !elements(headers, &CONTENT_ENCODING).all(|coding| coding == "identity") {
        return refuse("content-encoding");
    }
    // Clients' credentials are not forwarded, so this is what anybody gets, however the client asked.
    let mut request_headers = request_headers.clone();
    request_headers.remove(AUTHORIZATION);
    if !policy(request_headers, headers.clone(), UNIX_EPOCH).is_storable() {
        return refuse("not-cacheable");
    }
    Ok(())
}

/// Whether the client wants no answer that the origin has not confirmed just now: `Cache-Control: no-cache` or
/// `max-age=0` (RFC 9111 §5.2.1), or `Pragma: no-cache` where there is no `Cache-Control` (§5.4).
pub(crate) fn request_forces_revalidation(headers: &HeaderMap) -> bool {
    if headers.contains_key(CACHE_CONTROL) {
        has_directive(headers, "no-cache") || directives(headers).any(|directive| is_zero_max_age(&directive))
    } else {
        elements(headers, &PRAGMA).any(|directive| directive == "no-cache")
    }
}

/// Whether the client wants what is cached or nothing: `Cache-Control: only-if-cached` (RFC 9111 §5.2.1.7).
pub(crate) fn request_wants_the_cache_only(headers: &HeaderMap) -> bool {
    has_directive(headers, "only-if-cached")
}

/// Whether a cached image may be sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It may.
    Fresh {
        /// For how many seconds more; at least 1.
        ttl_secs: i64,
    },
    /// The origin has to be asked first.
    Stale {
        /// Zero or less: for how many seconds it has been so.
        ttl_secs: i64,
    },
}

/// What a response said of its freshness, and when: a record kept with the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Freshness {
    /// When the response, or the last 304 that confirmed it, was received: seconds since 1970.
    received: Option<u64>,
    /// [`KEPT`] fields that the response had.
    headers: BTreeMap<String, String>,
}

impl Freshness {
    /// The record of a response that was received at this time.
    pub(crate) fn new(headers: &HeaderMap, received: SystemTime) -> Freshness {
        // A clock that tells a time beyond HTTP's dates tells nothing.
        let Some(seconds) =
            received.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs()).filter(|s| *s <= LAST_DATE)
        else {
            return Freshness::always_stale();
        };
        let mut headers: BTreeMap<_, _> =
            KEPT.iter().filter_map(|name| Some((name.to_string(), joined(headers, name)?))).collect();
        // A response without a date is of the time when it was received (RFC 9110 §6.6.1).
        headers.entry(DATE.to_string()).or_insert_with(|| httpdate::fmt_http_date(received));
        Freshness { received: Some(seconds), headers }
    }

    /// The record of an image of which nothing is known: it is always stale.
    pub(crate) fn always_stale() -> Freshness {
        Freshness { received: None, headers: BTreeMap::new() }
    }

    /// The record as one line of JSON, or none if it is longer than [`MAX_RECORD`]: then none should be kept.
    pub(crate) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok().filter(|json| json.len() <= MAX_RECORD)
    }

    /// Reads [`to_json`](Freshness::to_json)'s line. Anything else reads as [`always_stale`](Freshness::always_stale).
    pub(crate) fn from_json(json: &[u8]) -> Freshness {
        serde_json::from_slice(json).unwrap_or_else(|error| {
            tracing::warn!(%error, "an image's freshness record is garbage; the origin is asked before the image is sent");
            Freshness::always_stale()
        })
    }

    /// When the origin sent the response: what decides how much its `Last-Modified` is worth (RFC 9110 §8.8.2.2).
    pub(crate) fn date(&self) -> Option<&str> {
        self.get(&DATE)
    }

    /// Whether the image may be sent at the time `now`.
    ///
    /// Where the clock was set back behind the response's arrival its age is unknown, and so it is stale.
    pub(crate) fn state(&self, now: SystemTime) -> State {
        let received = self.received.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        let Some((received, resident)) =
            received.and_then(|received| Some((received, now.duration_since(received).ok()?)))
        else {
            return State::Stale { ttl_secs: 0 };
        };

        let mut headers = HeaderMap::new();
        // Without `Age`: an absurd one overflows in the library, and with it there is no ttl below zero.
        for name in KEPT.into_iter().filter(|name| name != AGE) {
            if let Some(value) = self.get(&name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
                headers.insert(name, value);
            }
        }
        let lifetime = policy(HeaderMap::new(), headers, received).time_to_live(received).as_secs();
        let age = self.initial_age(received).saturating_add(resident.as_secs());

        match i64::try_from(i128::from(lifetime) - i128::from(age)) {
            Ok(ttl_secs @ 1..) => State::Fresh { ttl_secs },
            Ok(ttl_secs) => State::Stale { ttl_secs },
            Err(_) if lifetime > age => State::Fresh { ttl_secs: i64::MAX },
            Err(_) => State::Stale { ttl_secs: i64::MIN },
        }
    }

    /// The record after the origin's 304 confirmed the image: the fields that it sent replace the old ones
    /// (RFC 9111 §4.3.4, §3.2), and the age begins anew.
    ///
    /// None if its validator is not the image's: then it is the confirmation of something else, and the image has to
    /// be fetched again.
    pub(crate) fn revalidated(&self, headers: &HeaderMap, received: SystemTime) -> Option<Freshness> {
        let new = Freshness::new(headers, received);
        let differs = |name: &HeaderName| match (self.get(name), new.get(name)) {
            (Some(old), Some(new)) => old.strip_prefix("W/").unwrap_or(old) != new.strip_prefix("W/").unwrap_or(new),
            _ => false,
        };
        let has_etags = self.get(&ETAG).is_some() && new.get(&ETAG).is_some();
        // An older date is no confirmation either: servers answer 304 to it, but it is an older file put back.
        if differs(&ETAG) || (!has_etags && differs(&LAST_MODIFIED)) {
            return None;
        }
        let mut merged = self.headers.clone();
        merged.remove(AGE.as_str());
        merged.extend(new.headers);
        Some(Freshness { received: new.received, headers: merged })
    }

    /// How many seconds ago the origin made the response (§4.2.3); none where that is not known.
    pub(crate) fn age(&self, now: SystemTime) -> Option<u64> {
        let received = UNIX_EPOCH.checked_add(Duration::from_secs(self.received?))?;
        let resident = now.duration_since(received).unwrap_or_default();
        Some(self.initial_age(received).saturating_add(resident.as_secs()))
    }

    /// A field that was kept.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name.as_str()).map(String::as_str)
    }

    /// How many seconds old the response was when it was received (§4.2.3).
    fn initial_age(&self, received: SystemTime) -> u64 {
        let date = self.get(&DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        let apparent = date.and_then(|date| received.duration_since(date).ok()).map_or(0, |age| age.as_secs());
        // The first of several counts, and an invalid one does not (§5.1).
        let stated = self.get(&AGE).and_then(|age| age.split(',').next()?.trim().parse().ok()).unwrap_or(0);
        apparent.max(stated)
    }
}

/// The library's view of a `GET` that was answered 200.
fn policy(mut request_headers: HeaderMap, mut headers: HeaderMap, received: SystemTime) -> CachePolicy {
    for headers in [&mut request_headers, &mut headers] {
        // The library compares directives exactly and skips a field that is not all ASCII, with all that it forbids.
        if let Some(directives) = joined(headers, &CACHE_CONTROL).and_then(|value| ascii(&value.to_ascii_lowercase())) {
            headers.insert(CACHE_CONTROL, directives);
        }
        // It knows only the preferred form of dates.
        for name in [DATE, EXPIRES, LAST_MODIFIED] {
            if let Some(date) = joined(headers, &name).and_then(|date| httpdate::parse_http_date(&date).ok())
                && let Some(date) = ascii(&httpdate::fmt_http_date(date))
            {
                headers.insert(name, date);
            }
        }
    }
    let mut request = Request::new(());
    *request.headers_mut() = request_headers;
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    let options = CacheOptions { shared: true, cache_heuristic: 0.0, ..CacheOptions::default() };
    CachePolicy::new_options(&request, &response, received, options)
}

/// The value of a field, its lines joined to one list (RFC 9110 §5.2).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// The text as a field's value, `?` standing for what is not printable ASCII.
fn ascii(text: &str) -> Option<HeaderValue> {
    let text: String = text.chars().map(|char| if matches!(char, ' '..='~') { char } else { '?' }).collect();
    HeaderValue::try_from(text).ok()
}

/// The elements of a list, in lower case.
fn elements(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let value = joined(headers, name).unwrap_or_default().to_ascii_lowercase();
    let elements: Vec<_> = value.split(',').map(|element| element.trim().to_owned()).collect();
    elements.into_iter().filter(|element| !element.is_empty())
}

/// The directives of `Cache-Control`, in lower case, with their arguments. What stands after a comma in a quoted
/// argument is taken for a directive too, which can only forbid too much.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = String> {
    elements(headers, &CACHE_CONTROL)
}

fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    directives(headers).any(|directive| directive.split('=').next().is_some_and(|word| word.trim() == name))
}

fn is_zero_max_age(directive: &str) -> bool {
    directive.split_once('=').is_some_and(|(name, seconds)| {
        name.trim() == "max-age" && seconds.trim().trim_matches('"').parse::<u64>() == Ok(0)
    })
}

#[cfg(test)]
mod tests;
