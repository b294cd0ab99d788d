//! Glance's older management API (`/v2/cached_images`, `/v2/queued_images`) from the client's side.

use std::net::Ipv6Addr;
use std::time::Duration;

use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::runtime::Runtime;

use crate::error::{Error, chain};
use crate::origin::{Client, Reach};

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
        let client = Client::new(&Reach { timeout: TIMEOUT, min_rate: 0, ca: None })?;
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
        let uri = format!("{}{path}", self.base);
        let uri: Uri = uri.parse().map_err(|error| Error::usage(format!("cannot ask at {uri:?}: {error}")))?;
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token).map_err(|_| Error::usage("the token is none"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-auth-token"), value);
        }
        self.runtime.block_on(async {
            let answer = self.client.ask(&method, &uri, &headers).await;
            let mut answer = answer.map_err(|no_answer| Error::new(as_python_tells(&no_answer.reason)))?;
            let mut body = Vec::new();
            while let Some(piece) = answer.body.try_next().await.map_err(|error| Error::new(chain(&error)))? {
                body.extend_from_slice(&piece);
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(LegacyAnswer { status: answer.status.as_u16(), body })
        })
    }
}

/// `[Errno 111] Connection refused`, where the system said so at the end of a longer story.
fn as_python_tells(reason: &str) -> String {
    let system = reason.strip_suffix(')').and_then(|reason| reason.rsplit_once(" (os error "));
    match system {
        Some((story, number)) => format!("[Errno {number}] {}", story.rsplit(": ").next().unwrap_or(story)),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_told_as_python_tells_it() {
        let told = as_python_tells("client error (Connect): tcp connect error: Connection refused (os error 111)");
        assert_eq!(told, "[Errno 111] Connection refused");
        assert_eq!(as_python_tells("too slow"), "too slow");
    }
}
