//! The head of a request, out of what has come: parsed by `httparse`, as hyper does it.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Request, Uri, Version};
use httparse::{Header, Status};

/// The most fields of a request: hyper's limit.
const MAX_FIELDS: usize = 100;

/// What comes next on a connection.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and a box would cost each request")]
pub(crate) enum Next {
    Plain(Head),
    /// Something that hyper has to look at.
    Other,
    /// Nothing.
    End,
}

/// A request that is nothing but its head.
pub(crate) struct Head {
    pub(crate) parts: Parts,
    /// Whether the client wants the connection to stay.
    pub(crate) keep: bool,
    /// Of HTTP/1.0.
    pub(crate) old: bool,
}

/// Takes the next head out of the buffer, if all of it is there and it is a plain one.
pub(crate) fn parse(buffer: &mut BytesMut) -> Option<Next> {
    if buffer.is_empty() {
        return None;
    }
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(buffer, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return None,
        Err(_) => return Some(Next::Other),
    };
    let method = match request.method {
        Some("GET") => Method::GET,
        Some("HEAD") => Method::HEAD,
        _ => return Some(Next::Other),
    };
    let old = request.version == Some(0);
    // One piece of memory for the whole head, which all of its values share.
    let head = Bytes::copy_from_slice(&buffer[..length]);
    let shared = |part: &[u8]| {
        let start = part.as_ptr() as usize - buffer.as_ptr() as usize;
        head.slice(start..start + part.len())
    };
    let uri = request.path.and_then(|path| Uri::from_maybe_shared(shared(path.as_bytes())).ok());
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        // httparse takes away the white space around a value.
        let value = HeaderValue::from_maybe_shared(shared(field.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Some(Next::Other) };
        if [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE].contains(&name) {
            return Some(Next::Other);
        }
        headers.append(name, value);
    }
    let Some(uri) = uri else { return Some(Next::Other) };
    let keep = stays(&headers, old);
    let mut parts = Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.headers) = (method, uri, headers);
    parts.version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
    let _ = buffer.split_to(length);
    if buffer.is_empty() {
        // Nobody knows when the next one comes.
        *buffer = BytesMut::new();
    }
    Some(Next::Plain(Head { parts, keep, old }))
}

/// Whether the connection stays after the answer (RFC 9112 §9.3).
fn stays(headers: &HeaderMap, old: bool) -> bool {
    let says = |option: &str| {
        let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(option))
    };
    match headers.contains_key(CONNECTION) {
        true => !says("close") && (!old || says("keep-alive")),
        false => !old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Option<Head> {
        match parse(&mut text.into()) {
            Some(Next::Plain(head)) => Some(head),
            Some(Next::Other | Next::End) | None => None,
        }
    }

    #[test]
    fn plain_requests_are_taken_one_by_one() {
        let mut buffer =
            BytesMut::from("GET /a?b HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\nx-a: 2\r\n\r\nHEAD /c HTTP/1.0\r\n\r\nGET");
        let Some(Next::Plain(head)) = parse(&mut buffer) else { panic!("the first") };
        assert_eq!((&head.parts.method, head.parts.uri.to_string()), (&Method::GET, "/a?b".into()));
        assert_eq!(head.parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert!(head.keep && !head.old);
        let Some(Next::Plain(head)) = parse(&mut buffer) else { panic!("the second") };
        assert_eq!((head.parts.method, head.parts.version), (Method::HEAD, Version::HTTP_10));
        assert!(!head.keep && head.old);
        assert!(parse(&mut buffer).is_none());
        assert_eq!(&buffer[..], b"GET");
    }

    #[test]
    fn whether_a_connection_stays() {
        for (version, fields, stay) in [
            ("1.1", "", true),
            ("1.1", "Connection: close\r\n", false),
            ("1.1", "Connection: te, Close\r\n", false),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: te\r\n", false),
        ] {
            let head = plain(&format!("GET / HTTP/{version}\r\n{fields}\r\n")).unwrap();
            assert_eq!(head.keep, stay, "{version} {fields:?}");
        }
    }

    #[test]
    fn whatever_is_not_plain_is_left_as_it_is() {
        for text in [
            "POST / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nName : value\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut buffer = BytesMut::from(text);
            assert!(matches!(parse(&mut buffer), Some(Next::Other)), "{text:?}");
            assert_eq!(buffer, text);
        }
    }
}
