//! From the client's side: what a running daemon tells on its admin listener, and whether an origin answers.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::error::{Error, chain};
use crate::keystone::Session;
use crate::origin::{Ask, Client, Origin, Reach};
use crate::prepared::reach;

/// How long an origin may take: somebody waits for it.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A daemon's admin listener. Blocking.
#[derive(Debug)]
pub struct AdminListener {
    address: SocketAddr,
    headers: HeaderMap,
    client: Client,
    runtime: Runtime,
}

impl AdminListener {
    /// The one at `address`, with the admin token if there is one. It may let whoever asks wait for `patience`: for the
    /// connection, for the answer's beginning and for each piece of it.
    ///
    /// # Errors
    ///
    /// The token cannot be sent, or the client not be set up.
    pub fn new(address: SocketAddr, token: Option<&str>, patience: Duration) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token).map_err(|_| Error::usage("the admin token is none"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-auth-token"), value);
        }
        let client = Client::new(&Reach { timeout: patience, min_rate: 0, ca: None })?;
        Ok(AdminListener { address, headers, client, runtime: runtime()? })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it tells of itself (`GET /v1/status`): JSON, as it is documented. Blocks.
    ///
    /// # Errors
    ///
    /// It does not answer, or refuses to.
    pub fn status(&self) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::new(format!("no status from http://{}/", self.address)).with_source(why);
        let uri = format!("http://{}/v1/status", self.address);
        let uri: Uri = uri.parse().map_err(|error: http::uri::InvalidUri| failed(error.to_string()))?;
        self.runtime.block_on(async {
            let answer = self.client.ask(&Method::GET, &uri, &self.headers).await;
            let mut answer = answer.map_err(|no_answer| failed(no_answer.reason))?;
            let mut body = Vec::new();
            while let Some(piece) = answer.body.try_next().await.map_err(|error| failed(chain(&error)))? {
                body.extend_from_slice(&piece);
            }
            if answer.status.is_success() {
                return Ok(body);
            }
            Err(failed(format!("{}: {}", answer.status, String::from_utf8_lossy(&body).trim())))
        })
    }
}

/// Whether the origin of these settings can be reached, and the credentials are good. Nothing is fetched. Blocks for
/// seconds where nobody answers.
///
/// # Errors
///
/// What does not work, each with its reason: first the origin, then the credentials.
pub fn reach_origin(config: &Config) -> Result<(), Vec<Error>> {
    let mut wrong = Vec::new();
    let reach = Reach { timeout: ORIGIN_TIMEOUT.min(config.origin_timeout), ..reach(config) };
    let origin = Origin::parse(&config.origin, &reach).map_err(|error| vec![error])?;
    let runtime = runtime().map_err(|error| vec![error])?;
    runtime.block_on(async {
        // Whatever a host answers shows that it does; a folder was opened.
        if !origin.is_local() {
            let ask = Ask { method: Method::HEAD, path_and_query: "/".into(), headers: HeaderMap::new() };
            if let Err(no_answer) = origin.ask(&ask).await {
                let message = format!("the origin {} does not answer", origin.identity());
                wrong.push(Error::new(message).with_source(no_answer.reason));
            }
        }
        let credentials = config.credentials.clone().filter(|_| origin.glance().is_some());
        if let Some(credentials) = credentials {
            match Session::new(credentials, reach.timeout) {
                Ok(session) => wrong.extend(session.token().await.err()),
                Err(error) => wrong.push(error),
            }
        }
    });
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn runtime() -> Result<Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::new("cannot start the runtime").with_source(error))
}
