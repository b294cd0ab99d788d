//! Glance's older management API (`/v2/cached_images`, `/v2/queued_images`) from the client's side.

use std::error::Error as _;
use std::io;
use std::net::Ipv6Addr;
use std::time::Duration;

use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Runtime;

use crate::error::{Error, chain};
use crate::origin::{Reach, client_builder};

/// How long the other side may be silent: deleting a full cache takes its time.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What may stand in a path as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The older management API of one host, over plain HTTP as Glance's own client speaks it. Blocking.
#[derive(Debug)]
pub struct LegacyApi {
    base: String,
    client: Client,
    runtime: Runtime,
}

/// An answer, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyAnswer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

impl LegacyApi {
    /// The API of `host`, a name or an address.
    ///
    /// # Errors
    ///
    /// The client cannot be set up.
    pub fn new(host: &str, port: u16) -> Result<Self, Error> {
        let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
        let client = client_builder(&Reach { timeout: TIMEOUT, ca: None }, Policy::none())?.build();
        let client = client.map_err(|error| Error::new("cannot set up a client").with_source(error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new("cannot start the runtime").with_source(error))?;
        Ok(LegacyApi { base: format!("http://{host}:{port}/v2"), client, runtime })
    }

    /// Asks for `path`, given by its parts, with this token if there is one. Blocks.
    ///
    /// # Errors
    ///
    /// There is no answer; where the system says why, its words are all there is to the message.
    pub fn ask(&self, method: &str, path: &[&str], token: Option<&str>) -> Result<LegacyAnswer, Error> {
        let method =
            Method::try_from(method).map_err(|error| Error::usage(format!("cannot ask with {method:?}: {error}")))?;
        let path: String = path.iter().map(|part| format!("/{}", utf8_percent_encode(part, ENCODED))).collect();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token).map_err(|_| Error::usage("the token is none"))?;
            value.set_sensitive(true);
            request = request.header("x-auth-token", value);
        }
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(no_answer)?;
            let status = answer.status().as_u16();
            Ok(LegacyAnswer { status, body: answer.text().await.map_err(no_answer)? })
        })
    }
}

/// As Python tells it: `[Errno 111] Connection refused`.
fn no_answer(error: reqwest::Error) -> Error {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(number) = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            let text = cause.to_string();
            let suffix = format!(" (os error {number})");
            return Error::new(format!("[Errno {number}] {}", text.strip_suffix(&suffix).unwrap_or(&text)));
        }
        source = cause.source();
    }
    Error::new(chain(&error))
}
