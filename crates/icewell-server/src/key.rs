//! From a request target to the name of a cached image, and back (RFC 3986 §6.2.2).
//!
//! Requests for the same thing must meet at the same file, and requests for different things never may. So the target
//! is first normalised, which makes equivalent spellings equal, and then written as a file name, which loses nothing:
//!
//! | target | asked from the origin | file name |
//! |---|---|---|
//! | `/debian.qcow2` | `/debian.qcow2` | `debian.qcow2` |
//! | `/a/b.img` | `/a/b.img` | `a%2Fb.img` |
//! | `/%64ebian%2a.qcow2?v=1` | `/debian%2A.qcow2?v=1` | `debian%252A.qcow2%3Fv%3D1` |
//! | `/queue`, `/.hidden` | the same | `%71ueue`, `%2Ehidden` |
//! | one whose name would be over 255 bytes | the same | `sha256:` and 64 hex digits |
//!
//! Why no two keys share a name: the plain form writes `%` only before the two upper-case digits of a byte that is not
//! unreserved, so a first byte that *is* unreserved, encoded, is a form of its own; and it writes no `:` at all.
//!
//! Empty segments are kept (`/a//b` is not `/a/b`, §6.2.2.3 leaves them), and so is an empty query (`/a?` is not `/a`).
//! `%2F` stays what it is, an encoded byte within a segment: an origin that is a folder has to refuse it itself.

use std::fmt;
use std::fmt::Write as _;

use http::StatusCode;
use icewell::{ImageId, layout};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What a file name spells out in `%XX`: all but the unreserved characters (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest file name (`NAME_MAX`), and so the longest image ID.
const MAX_NAME: usize = 255;

/// What a request asks for, normalised: where the origin has it and which file keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The normalised path with its query: what is asked from the origin. ASCII, begins with `/`.
    pub(crate) path_and_query: String,
    /// The image's ID, which is its file's name in the cache.
    pub(crate) id: ImageId,
}

impl Key {
    /// Takes the path and the query of a request target, as they were received.
    ///
    /// # Errors
    ///
    /// [`KeyError`], where the target names nothing that could be cached.
    pub(crate) fn from_target(path: &str, query: Option<&str>) -> Result<Key, KeyError> {
        let mut path_and_query = String::with_capacity(path.len() + 1 + query.map_or(0, str::len));
        normalise(path, |byte| is_pchar(byte) || byte == b'/', &mut path_and_query)?;
        if path_and_query.bytes().all(|byte| byte == b'/') {
            return Err(KeyError::Empty);
        }
        if !path_and_query.starts_with('/') {
            return Err(KeyError::NotAPath);
        }
        // Only after decoding, or `%2e%2e` would get by.
        if path_and_query.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(KeyError::DotSegment);
        }
        if let Some(query) = query {
            path_and_query.push('?');
            normalise(query, |byte| is_pchar(byte) || byte == b'/' || byte == b'?', &mut path_and_query)?;
        }
        // Every name that `file_name` makes is a legal ID; if one were not, there would be no such image.
        let id = ImageId::new(&file_name(&path_and_query)).map_err(|_| KeyError::Empty)?;
        Ok(Key { path_and_query, id })
    }

    /// The key whose image is called `id`; none where it is a digest, or a name that no key gives.
    pub(crate) fn from_id(id: &ImageId) -> Option<Key> {
        let name = percent_decode_str(id.as_str()).decode_utf8().ok()?;
        // A normalised path holds no `?`, so the first one begins the query.
        let (path, query) = match name.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*name, None),
        };
        // Many texts decode to the same name, but only one of them is the name that the key gives.
        Key::from_target(&format!("/{path}"), query).ok().filter(|key| key.id == *id)
    }
}

/// Why a request target is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// The path has no segment that isn't empty: 404.
    Empty,
    /// The path has a segment `.` or `..`, perhaps percent-encoded: 404.
    DotSegment,
    /// The target does not begin with `/`, like the `*` of `OPTIONS`: 400.
    NotAPath,
    /// A `%` without two hexadecimal digits after it: 400.
    MalformedEncoding,
    /// A NUL, perhaps percent-encoded: 400.
    Nul,
}

impl KeyError {
    /// The status to answer with.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            KeyError::Empty | KeyError::DotSegment => StatusCode::NOT_FOUND,
            KeyError::NotAPath | KeyError::MalformedEncoding | KeyError::Nul => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::Empty => "the path names no image",
            KeyError::DotSegment => "the path has a dot segment",
            KeyError::NotAPath => "the request target is not a path",
            KeyError::MalformedEncoding => "a '%' in the request target is not followed by two hexadecimal digits",
            KeyError::Nul => "the request target contains a NUL byte",
        })
    }
}

impl std::error::Error for KeyError {}

/// The file name of a normalised, non-empty path and query.
fn file_name(path_and_query: &str) -> String {
    let key = path_and_query.strip_prefix('/').unwrap_or(path_and_query);
    let mut name = utf8_percent_encode(key, RESERVED).to_string();
    if name.starts_with('.') || layout::RESERVED.contains(&name.as_str()) {
        let first = name.remove(0);
        name = format!("%{:02X}{name}", u32::from(first));
    }
    if name.len() > MAX_NAME {
        name = Sha256::digest(path_and_query).iter().fold(String::from("sha256:"), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
    }
    name
}

/// Appends `text` to `out` as RFC 3986 §6.2.2 spells it: unreserved characters plain, every other percent-encoding in
/// upper case. Bytes that are not `allowed` plain, such as UTF-8 that a lenient client left as it was, are encoded.
fn normalise(text: &str, allowed: impl Fn(u8) -> bool, out: &mut String) -> Result<(), KeyError> {
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let (byte, plain);
        (byte, plain, bytes) = match (first, rest) {
            (b'%', [high, low, rest @ ..]) => {
                let byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
                (byte, is_unreserved(byte), rest)
            }
            (b'%', _) => return Err(KeyError::MalformedEncoding),
            _ => (*first, allowed(*first), rest),
        };
        if byte == 0 {
            return Err(KeyError::Nul);
        }
        if plain {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(())
}

fn hex_digit(byte: u8) -> Result<u8, KeyError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(KeyError::MalformedEncoding),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether a path segment may hold the byte as it is (RFC 3986 §3.3).
fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Splits at the first `?`, as `http::Uri` does.
    fn key(target: &str) -> Result<Key, KeyError> {
        match target.split_once('?') {
            Some((path, query)) => Key::from_target(path, Some(query)),
            None => Key::from_target(target, None),
        }
    }

    #[test]
    fn targets_become_normalised_paths_and_file_names() {
        for (target, path_and_query, name) in [
            ("/debian.qcow2", "/debian.qcow2", "debian.qcow2"),
            ("/a/b.img", "/a/b.img", "a%2Fb.img"),
            ("/a%2fb.img", "/a%2Fb.img", "a%252Fb.img"),
            ("/%7euser/%41-%5f%2E", "/~user/A-_.", "~user%2FA-_."),
            ("/a+b", "/a+b", "a%2Bb"),
            ("/a%2bb", "/a%2Bb", "a%252Bb"),
            ("/v2/a:b@c;d=e,f", "/v2/a:b@c;d=e,f", "v2%2Fa%3Ab%40c%3Bd%3De%2Cf"),
            ("/é", "/%C3%A9", "%25C3%25A9"),
            ("/%ff", "/%FF", "%25FF"),
            ("/a b\"<{|}>^`\\[]", "/a%20b%22%3C%7B%7C%7D%3E%5E%60%5C%5B%5D", {
                "a%2520b%2522%253C%257B%257C%257D%253E%255E%2560%255C%255B%255D"
            }),
            ("//a", "//a", "%2Fa"),
            ("/a//b/", "/a//b/", "a%2F%2Fb%2F"),
            ("/a?", "/a?", "a%3F"),
            ("/a?x=%7e%2f/../?&y=ü", "/a?x=~%2F/../?&y=%C3%BC", "a%3Fx%3D~%252F%2F..%2F%3F%26y%3D%25C3%25BC"),
            ("/incomplete", "/incomplete", "%69ncomplete"),
            ("/invalid", "/invalid", "%69nvalid"),
            ("/%71ueue", "/queue", "%71ueue"),
            ("/queue/", "/queue/", "queue%2F"),
            ("/Queue", "/Queue", "Queue"),
            ("/.icewell", "/.icewell", "%2Eicewell"),
            ("/%2ehidden", "/.hidden", "%2Ehidden"),
            ("/...", "/...", "%2E.."),
            ("/a/.b", "/a/.b", "a%2F.b"),
        ] {
            let key = key(target).unwrap();
            assert_eq!((key.path_and_query.as_str(), key.id.as_str()), (path_and_query, name), "{target}");
            assert_eq!(Key::from_id(&key.id), Some(key), "{target}");
        }
    }

    #[test]
    fn targets_that_are_no_keys() {
        for (target, error, status) in [
            ("", KeyError::Empty, 404),
            ("/", KeyError::Empty, 404),
            ("//", KeyError::Empty, 404),
            ("/?a=b", KeyError::Empty, 404),
            ("/.", KeyError::DotSegment, 404),
            ("/..", KeyError::DotSegment, 404),
            ("/a/../b", KeyError::DotSegment, 404),
            ("/a/./b", KeyError::DotSegment, 404),
            ("/%2e%2E/etc/passwd", KeyError::DotSegment, 404),
            ("/a/.%2e", KeyError::DotSegment, 404),
            ("*", KeyError::NotAPath, 400),
            ("a/b", KeyError::NotAPath, 400),
            ("%2Fa", KeyError::NotAPath, 400),
            ("/%", KeyError::MalformedEncoding, 400),
            ("/%4", KeyError::MalformedEncoding, 400),
            ("/%zz", KeyError::MalformedEncoding, 400),
            ("/%4g", KeyError::MalformedEncoding, 400),
            ("/%é", KeyError::MalformedEncoding, 400),
            ("/a?%", KeyError::MalformedEncoding, 400),
            ("/a%00", KeyError::Nul, 400),
            ("/a\0", KeyError::Nul, 400),
            ("/a?%00", KeyError::Nul, 400),
        ] {
            assert_eq!(key(target), Err(error), "{target}");
            assert_eq!(error.status().as_u16(), status, "{target}");
        }
    }

    #[test]
    fn long_names_become_digests_that_no_path_can_name() {
        let longest = key(&format!("/{}", "x".repeat(255))).unwrap();
        assert_eq!(longest.id.as_str(), "x".repeat(255));
        // Encoding the leading dot is what makes this one too long.
        let dotted = key(&format!("/.{}", "x".repeat(253))).unwrap();
        assert!(dotted.id.as_str().starts_with("sha256:"), "{:?}", dotted.id);

        let long = key(&format!("/{}", "x".repeat(256))).unwrap();
        // printf %s /xxx… | sha256sum
        let digest = "5d9f0b61cf0a5a940cad145f89de4148fdd421554799e4a9dae311dc37aa9316";
        assert_eq!(long.id.as_str(), format!("sha256:{digest}"));
        assert_eq!(Key::from_id(&long.id), None);
        assert_eq!(key(&format!("/sha256:{digest}")).unwrap().id.as_str(), format!("sha256%3A{digest}"));
        assert_eq!(key(&format!("/{digest}")).unwrap().id.as_str(), digest);
    }

    #[test]
    fn names_that_no_key_gives() {
        for name in [
            "Debian 12.qcow2",
            "%zz",
            "%",
            "a%2fb",
            "%61",
            ".hidden",
            "a:b",
            "é",
            "%C3%A9",
            "%FF",
            "%00",
            "%2F",
            "%2E",
            "a%2F..%2Fb",
            "a%25zz",
            "a%25",
            "a%257E",
            "%69mage",
        ] {
            assert_eq!(Key::from_id(&ImageId::new(name).unwrap()), None, "{name}");
        }
    }

    #[test]
    fn generated_targets_go_to_names_and_back_and_never_share_one() {
        const PIECES: [&str; 30] = [
            "a",
            "B",
            "7",
            "~",
            ".",
            "..",
            "/",
            "/",
            "//",
            "%2f",
            "%2F",
            "%41",
            "%2e",
            "%25",
            "%2525",
            "%",
            "é",
            "?",
            "?",
            "=",
            "&",
            ":",
            "+",
            " ",
            "incomplete",
            "queue",
            "sha256:",
            "%C3%A9",
            "%0A",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ];
        let mut state = 0x1ce_e11_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let mut seen = HashMap::new();
        for _ in 0..100_000 {
            let target: String =
                std::iter::once("/").chain((0..1 + next(12)).map(|_| PIECES[next(PIECES.len())])).collect();
            let Ok(first) = key(&target) else { continue };
            assert_eq!(key(&first.path_and_query).as_ref(), Ok(&first), "normalising twice changes {target}");
            assert!(first.path_and_query.parse::<http::uri::PathAndQuery>().is_ok(), "{target}");
            if first.id.as_str().starts_with("sha256:") {
                assert_eq!(Key::from_id(&first.id), None, "{target}");
            } else {
                assert_eq!(Key::from_id(&first.id).as_ref(), Some(&first), "{target}");
            }
            let other = seen.entry(first.id).or_insert_with(|| first.path_and_query.clone());
            assert_eq!(*other, first.path_and_query, "two keys share a name");
        }
        assert!(seen.len() > 10_000, "only {} keys were generated", seen.len());
    }
}
