//! The head of an answer, and how the end of its body is told (RFC 9112 §6).

use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::response::Parts;

use crate::body::Body;

/// How the client knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection: HTTP/1.0 knows nothing else where nobody knows the length.
    UntilClose,
}

/// How the body is framed. The fields that say so are left to [`write_head`], but for a length that belongs to a body
/// that is not sent.
pub(super) fn framing(parts: &mut Parts, body: &Body, bodiless: bool, old: bool) -> Framing {
    let told = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    parts.headers.remove(TRANSFER_ENCODING);
    if bodiless {
        return Framing::Length(0);
    }
    match told.or(body.len()) {
        Some(length) => {
            parts.headers.insert(CONTENT_LENGTH, length.into());
            Framing::Length(length)
        }
        None if old => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

/// Writes the head to the end of `out`.
pub(super) fn write_head(out: &mut BytesMut, parts: &Parts, framing: &Framing, keep: bool, old: bool) {
    out.put_slice(if old { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.put_slice(parts.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(reason(parts.status).as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in &parts.headers {
        if *name == CONNECTION {
            continue;
        }
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    if !parts.headers.contains_key(DATE) {
        out.put_slice(b"date: ");
        put_date(out, SystemTime::now());
        out.put_slice(b"\r\n");
    }
    if *framing == Framing::Chunked {
        out.put_slice(b"transfer-encoding: chunked\r\n");
    }
    match (keep, old) {
        (false, false) => out.put_slice(b"connection: close\r\n"),
        (true, true) => out.put_slice(b"connection: keep-alive\r\n"),
        _ => {}
    }
    out.put_slice(b"\r\n");
}

/// Writes what comes before a chunk of so many bytes; how long that is.
pub(super) fn begin_chunk(out: &mut BytesMut, framing: &Framing, length: usize) -> usize {
    let before = out.len();
    if *framing == Framing::Chunked {
        // Writing to memory does not fail.
        write!(out.writer(), "{length:x}\r\n").ok();
    }
    out.len() - before
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Unknown")
}

/// Writes the date, which is the same for a second.
fn put_date(out: &mut BytesMut, now: SystemTime) {
    thread_local! {
        static KNOWN: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    KNOWN.with_borrow_mut(|(known, text)| {
        if *known != second || text.is_empty() {
            (*known, *text) = (second, httpdate::fmt_http_date(now));
        }
        out.put_slice(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Response};

    use super::*;

    fn head(body: Body, length: Option<u64>, bodiless: bool, keep: bool, old: bool) -> (Framing, String) {
        let (mut parts, body) = Response::new(body).into_parts();
        parts.headers.insert(DATE, HeaderValue::from_static("now"));
        if let Some(length) = length {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        let framing = framing(&mut parts, &body, bodiless, old);
        let mut out = BytesMut::new();
        write_head(&mut out, &parts, &framing, keep, old);
        (framing, String::from_utf8(out.to_vec()).unwrap())
    }

    #[test]
    fn every_body_has_an_end() {
        let stream = || Body::Stream(Box::pin(futures_util::stream::empty()));
        let told = "HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 3\r\n\r\n";
        assert_eq!(head(Body::text("abc"), None, false, true, false), (Framing::Length(3), told.into()));
        assert_eq!(head(stream(), Some(3), false, true, false), (Framing::Length(3), told.into()));
        let chunked = "HTTP/1.1 200 OK\r\ndate: now\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        assert_eq!(head(stream(), None, false, false, false), (Framing::Chunked, chunked.into()));
        let old = "HTTP/1.0 200 OK\r\ndate: now\r\n\r\n";
        assert_eq!(head(stream(), None, false, false, true), (Framing::UntilClose, old.into()));
        let kept = "HTTP/1.0 200 OK\r\ndate: now\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(head(Body::empty(), None, false, true, true), (Framing::Length(0), kept.into()));
        // The length of what a GET would send.
        assert_eq!(head(Body::empty(), Some(3), true, true, false), (Framing::Length(0), told.into()));
    }

    #[test]
    fn the_date_is_of_the_second() {
        let mut out = BytesMut::new();
        for seconds in [784_111_777, 784_111_777, 784_111_778] {
            put_date(&mut out, UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        }
        let (first, second) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(out, format!("{first}{first}{second}"));
    }
}
