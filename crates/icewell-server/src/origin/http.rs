//! A web server as the origin.

use ::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use ::http::{HeaderMap, Method, StatusCode, Version};
use futures_util::TryStreamExt;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Url};

use super::{Answer, Ask, NoAnswer, Reach};
use crate::error::{Error, chain};

/// A web server, or a folder of one.
#[derive(Debug)]
pub(crate) struct Http {
    /// Without a trailing slash: a key's path begins with one.
    base: String,
    client: Client,
    /// For what is passed on: follows no redirects.
    relay: Client,
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
        Ok(Http {
            base: url.as_str().trim_end_matches('/').to_owned(),
            client: client(reach, Policy::limited(10))?,
            relay: client(reach, Policy::none())?,
        })
    }

    pub(super) fn identity(&self) -> &str {
        &self.base
    }

    pub(crate) fn url(&self) -> Option<Url> {
        Url::parse(&self.base).ok()
    }

    pub(super) async fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        let mut headers = ask.headers.clone();
        // What is cached is the image itself, whatever this client could decode.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("icewell/", env!("CARGO_PKG_VERSION"))));
        let request = self.client.request(ask.method.clone(), format!("{}{}", self.base, ask.path_and_query));
        answered(request.headers(headers)).await
    }

    /// Passes on a request of a client as it is. Redirects are the client's to follow.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Option<reqwest::Body>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = self.relay.request(method, format!("{}{target}", self.base)).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        answered(request).await
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Answer, NoAnswer> {
    let response = request.send().await.map_err(|error| no_answer(&error))?;
    let framed = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| response.headers().contains_key(name));
    Ok(Answer {
        status: response.status(),
        headers: response.headers().clone(),
        delimited: framed || response.version() > Version::HTTP_11,
        body: Box::pin(response.bytes_stream().map_err(|error| std::io::Error::other(chain(&error)))),
    })
}

fn client(reach: &Reach, redirects: Policy) -> Result<Client, Error> {
    let built = client_builder(reach, redirects)?.build();
    built.map_err(|error| Error::new("cannot set up the client for the origin").with_source(error))
}

/// How every client of this daemon behaves.
pub(crate) fn client_builder(reach: &Reach, redirects: Policy) -> Result<ClientBuilder, Error> {
    // Only the first call installs it; later ones find it there.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = Client::builder()
        .connect_timeout(reach.timeout)
        .read_timeout(reach.timeout)
        .redirect(redirects)
        .referer(false)
        .no_proxy();
    if let Some(path) = &reach.ca {
        let unusable = |source| Error::usage(format!("cannot use the certificates in {path:?}")).with_source(source);
        let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unusable("there is no certificate in it".into()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    Ok(builder)
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    NoAnswer { status, reason: chain(error) }
}
