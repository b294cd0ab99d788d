//! A web server as the origin.

use ::http::header::{ACCEPT_ENCODING, HeaderValue, LOCATION, USER_AGENT};
use ::http::uri::PathAndQuery;
use ::http::{Request, StatusCode, Uri};
use hyper::body::{Body, Incoming};
use url::{Position, Url};

use super::client::Client;
use super::glance::tells_who;
use super::{Answer, Ask, NoAnswer, Reach};
use crate::error::Error;

/// How many redirects are followed for one answer.
const REDIRECTS: usize = 10;

/// A web server, or a folder of one.
#[derive(Debug)]
pub(crate) struct Http {
    url: Url,
    /// Without a trailing slash: a key's path begins with one.
    base: String,
    client: Client,
}

impl Http {
    pub(super) fn new(text: &str, reach: &Reach) -> Result<Self, Error> {
        let refuse = |why: &str| Error::usage(format!("cannot use the origin {text:?}: {why}"));
        let url = Url::parse(text).map_err(|error| refuse("it is not a URL").with_source(error))?;
        if !url.username().is_empty() || url.password().is_some() {
            // It would end up in the directory's tag and in logs.
            return Err(Error::usage("cannot use an origin with a user or password in its URL"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a query or a fragment"));
        }
        Ok(Http { base: url.as_str().trim_end_matches('/').to_owned(), url, client: Client::new(reach)? })
    }

    pub(super) fn identity(&self) -> &str {
        &self.base
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Asks, and follows redirects.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let mut headers = ask.headers.clone();
        // What is cached is the image itself, whatever this client could decode.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("icewell/", env!("CARGO_PKG_VERSION"))));
        let mut uri = self.uri(&ask.path_and_query)?;
        for _ in 0..=REDIRECTS {
            let answer = self.client.ask(&ask.method, &uri, &headers).await?;
            let Some(next) = redirected(&answer, &uri)? else { return Ok(answer) };
            if (next.scheme(), next.authority()) != (uri.scheme(), uri.authority()) {
                // Who asks is for the origin to know, and for nobody it names.
                let told: Vec<_> = headers.keys().filter(|name| tells_who(name)).cloned().collect();
                for name in told {
                    headers.remove(name);
                }
            }
            uri = next;
        }
        Err(NoAnswer { status: StatusCode::BAD_GATEWAY, reason: format!("more than {REDIRECTS} redirects") })
    }

    /// Passes on a request of a client to the path and query it names. Redirects are the client's to follow.
    /// `expects`: the client waits to be asked for the body.
    pub(crate) async fn send(&self, request: Request<Option<Incoming>>, expects: bool) -> Result<Answer, NoAnswer> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        head.uri = self.uri(target)?;
        match body.filter(|body| !body.is_end_stream()) {
            Some(body) => self.client.send(Request::from_parts(head, body), expects).await,
            None => self.client.ask(&head.method, &head.uri, &head.headers).await,
        }
    }

    /// Where the origin has this path.
    fn uri(&self, path_and_query: &str) -> Result<Uri, NoAnswer> {
        let origin = &self.url[..Position::BeforePath];
        let prefix = self.url.path().trim_end_matches('/');
        let refuse = |error: &dyn std::fmt::Display| NoAnswer {
            status: StatusCode::BAD_REQUEST,
            reason: format!("{path_and_query:?} is no path: {error}"),
        };
        let mut uri = origin.parse::<Uri>().map_err(|error| refuse(&error))?.into_parts();
        let target = format!("{prefix}{path_and_query}");
        uri.path_and_query = Some(PathAndQuery::try_from(target).map_err(|error| refuse(&error))?);
        Uri::from_parts(uri).map_err(|error| refuse(&error))
    }
}

/// Where an answer sends who has asked this; none if it is one to stay with. One that leads to nowhere that can be asked
/// is an error: passed on, it would lead clients there.
fn redirected(answer: &Answer, asked: &Uri) -> Result<Option<Uri>, NoAnswer> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let next = || {
        let location = answer.headers.get(LOCATION)?.to_str().ok()?;
        let mut next = Url::parse(&asked.to_string()).ok()?.join(location).ok()?;
        // Nobody here has a use for them, and they would end up in errors.
        next.set_username("").ok()?;
        next.set_password(None).ok()?;
        let fetched = matches!(next.scheme(), "http" | "https");
        next[..Position::AfterQuery].parse().ok().filter(|_| fetched)
    };
    let nowhere = || NoAnswer {
        status: StatusCode::BAD_GATEWAY,
        reason: format!("it answers {}, and its Location is missing or no http(s) URL", answer.status),
    };
    next().map(Some).ok_or_else(nowhere)
}
