//! Who may manage the cache: whoever has the static token, or whom a Glance lets manage its own; on an admin listener
//! that only this machine reaches, anyone.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use futures_util::TryStreamExt;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::warn;

use super::reply::{self, Form};
use crate::body::Body;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::origin::{Answer, Glance, NoAnswer};
use crate::pass::relayed;

/// The longest file of a token, and the longest answer of Glance's, that is read.
const MAX_READ: usize = 64 << 10;
/// What Glance says, after its policy, to who may manage a cache that it does not have.
const NO_CACHE_THERE: &[u8] = b"Caching via API is not supported";
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The static token of those who may manage the cache: its hash.
pub(crate) struct AdminToken([u8; 32]);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

impl AdminToken {
    /// Reads the token, the first line of `file`.
    ///
    /// # Errors
    ///
    /// A usage error for a file that cannot be read, or whose first line can be no token.
    pub(crate) fn read(file: &Path) -> Result<Self, Error> {
        let unusable = |why: &str| Error::usage(format!("cannot use the admin token in {file:?}: {why}"));
        let (mut text, mut mode) = (String::new(), 0);
        let read = File::open(file).and_then(|open| {
            mode = open.metadata()?.mode();
            open.take(MAX_READ as u64).read_to_string(&mut text)
        });
        read.map_err(|error| unusable("it cannot be read").with_source(error))?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.is_empty() {
            return Err(unusable("its first line is empty; write a long random text there"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable("its first line has characters that no header field can carry, or blanks"));
        }
        if mode & 0o004 != 0 {
            warn!(?file, "everyone on this machine may read the admin token; chmod o-r it");
        }
        Ok(AdminToken(hash(token.as_bytes())))
    }

    /// Takes the token out of a request, so that nobody passes it on; whether it was there.
    pub(crate) fn take_from(&self, headers: &mut HeaderMap) -> bool {
        let bare = |value: &HeaderValue| self.is(value.as_bytes());
        let bearer = |value: &HeaderValue| {
            let (scheme, token) = value.as_bytes().split_at_checked(7).unwrap_or_default();
            scheme.eq_ignore_ascii_case(b"bearer ") && self.is(token.trim_ascii())
        };
        take(headers, &X_AUTH_TOKEN, bare) | take(headers, &AUTHORIZATION, bearer)
    }

    /// Takes as long whatever the text is: hashes are compared, and every byte of them.
    fn is(&self, text: &[u8]) -> bool {
        hash(text).ct_eq(&self.0).into()
    }
}

fn hash(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Removes the values of a field that fit; whether there were any.
fn take(headers: &mut HeaderMap, name: &HeaderName, fits: impl Fn(&HeaderValue) -> bool) -> bool {
    let (fitting, others): (Vec<_>, Vec<_>) = headers.get_all(name).iter().cloned().partition(fits);
    if !fitting.is_empty() {
        headers.remove(name);
        headers.extend(others.into_iter().map(|value| (name.clone(), value)));
    }
    !fitting.is_empty()
}

/// Whether Glance lets this caller manage a cache: as it answers his `GET /v2/cache`, now or a moment ago. `asking` is
/// what tells it who asks, and the way.
///
/// # Errors
///
/// The response in the place of an answer: Glance's own to who is nobody, or that it does not answer.
pub(crate) async fn may_by_glance(
    daemon: &Daemon,
    glance: &Glance,
    caller: &HeaderMap,
    asking: HeaderMap,
    form: Form,
) -> Result<bool, Box<Response<Body>>> {
    if daemon.permits.lets_manage(caller) {
        return Ok(true);
    }
    let mut answer = glance.ask_for_cache(asking).await.map_err(|no_answer| no_glance(form, no_answer))?;
    let may = match answer.status {
        StatusCode::OK => true,
        StatusCode::NOT_FOUND => {
            let text = read(&mut answer)
                .await
                .map_err(|reason| no_glance(form, NoAnswer { status: StatusCode::BAD_GATEWAY, reason }))?;
            text.windows(NO_CACHE_THERE.len()).any(|window| window == NO_CACHE_THERE)
        }
        StatusCode::FORBIDDEN => false,
        _ => return Err(Box::new(relay_refusal(form, answer))),
    };
    if may {
        daemon.permits.remember_manager(caller);
    }
    Ok(may)
}

/// Glance's 401, or that it fails.
pub(crate) fn relay_refusal(form: Form, answer: Answer) -> Response<Body> {
    let failed = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let mut response = Response::new(Body::Stream(answer.body));
            *response.status_mut() = answer.status;
            *response.headers_mut() = relayed(answer.headers);
            return response;
        }
        status @ (StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => status,
        _ => StatusCode::BAD_GATEWAY,
    };
    *no_glance(form, NoAnswer { status: failed, reason: format!("it answers {}", answer.status) })
}

pub(crate) fn no_glance(form: Form, NoAnswer { status, reason }: NoAnswer) -> Box<Response<Body>> {
    Box::new(reply::error(form, status, &format!("Glance cannot be asked who may manage the cache: {reason}")))
}

async fn read(answer: &mut Answer) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(piece) = answer.body.try_next().await.map_err(|error| error.to_string())? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_READ {
            break;
        }
    }
    Ok(text)
}

/// Why the admin listener at `address` refuses a request that has not brought the static token; nothing where it needs
/// none. What only this machine reaches is open to its users, but not to the web pages that they look at.
pub(crate) fn refuses_without_token(
    token_is_set: bool,
    address: SocketAddr,
    headers: &HeaderMap,
) -> Option<&'static str> {
    if token_is_set {
        return Some("This needs the admin token, as X-Auth-Token or as Authorization: Bearer.");
    }
    if !address.ip().to_canonical().is_loopback() {
        return Some(
            "Managing the cache on an address that others reach needs a token: set --admin-token-file, or --admin to a \
             loopback address.",
        );
    }
    // A name that leads here only for a moment (DNS rebinding) is no name of ours.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(host) = host.filter(names_loopback) else {
        return Some("Without an admin token only requests to a loopback address or localhost may manage the cache.");
    };
    // A page of another site may send requests, though it cannot read the answers. Browsers tell, most in both ways.
    let site =
        headers.get_all("sec-fetch-site").iter().any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let own = format!("http://{host}");
    let foreign = headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes() != own.as_bytes());
    (foreign || site).then_some("Without an admin token no page of another site may manage the cache.")
}

fn names_loopback(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: std::net::IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn token(text: &str) -> Result<AdminToken, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        AdminToken::read(file.path())
    }

    #[test]
    fn the_token_is_the_first_line() {
        let token = token(" secret\r\nmore\n").unwrap();
        assert!(token.is(b"secret"));
        for wrong in ["", "secre", "secret ", "more"] {
            assert!(!token.is(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "AdminToken");
    }

    #[test]
    fn what_is_no_token() {
        for text in ["", "\n", " \nsecret", "two words", "sécret"] {
            assert!(token(text).unwrap_err().is_usage(), "{text:?}");
        }
        assert!(AdminToken::read(Path::new("/nowhere/token")).unwrap_err().is_usage());
    }

    #[test]
    fn the_token_goes_no_further() {
        let token = token("secret").unwrap();
        for (fields, is_there, left) in [
            (vec![("x-auth-token", "secret")], true, vec![]),
            (vec![("authorization", "bearer secret"), ("x-auth-token", "mine")], true, vec![("x-auth-token", "mine")]),
            (vec![("x-auth-token", "secret"), ("x-auth-token", "b")], true, vec![("x-auth-token", "b")]),
            (vec![("authorization", "Basic secret")], false, vec![("authorization", "Basic secret")]),
            (vec![("x-auth-token", "other")], false, vec![("x-auth-token", "other")]),
        ] {
            let mut request = headers(&fields);
            assert_eq!(token.take_from(&mut request), is_there, "{fields:?}");
            assert_eq!(request, headers(&left), "{fields:?}");
        }
    }

    #[test]
    fn open_to_this_machine_and_to_no_web_page() {
        let loopback = "127.0.0.1:9293".parse().unwrap();
        let open = |fields: &[_]| refuses_without_token(false, loopback, &headers(fields)).is_none();
        for host in ["127.0.0.1:9293", "localhost:9293", "LOCALHOST", "[::1]:9293", "127.1.2.3"] {
            assert!(open(&[("host", host)]), "{host}");
        }
        for host in ["evil.example:9293", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""] {
            assert!(!open(&[("host", host)]), "{host}");
        }
        assert!(!open(&[]));
        assert!(open(&[("host", "localhost:9293"), ("origin", "http://localhost:9293")]));
        for origin in ["http://evil.example", "null", "http://localhost:80", "https://localhost:9293"] {
            assert!(!open(&[("host", "localhost:9293"), ("origin", origin)]), "{origin}");
        }
        for (site, may) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)] {
            assert_eq!(open(&[("host", "localhost:9293"), ("sec-fetch-site", site)]), may, "{site}");
        }
    }

    #[test]
    fn a_token_is_needed_where_others_reach_it_or_where_one_is_set() {
        let fields = headers(&[("host", "127.0.0.1:9293")]);
        for address in ["0.0.0.0:9293", "[::]:9293", "192.0.2.1:9293"] {
            assert!(refuses_without_token(false, address.parse().unwrap(), &fields).is_some(), "{address}");
        }
        assert!(refuses_without_token(false, "[::ffff:127.0.0.1]:1".parse().unwrap(), &fields).is_none());
        assert!(refuses_without_token(true, "127.0.0.1:9293".parse().unwrap(), &fields).is_some());
    }
}
