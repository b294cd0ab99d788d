//! Origins: where images come from.
//!
//! Every origin answers like an HTTP server, a folder too: so the rest of the daemon knows one kind of answer. An
//! object store will be one more variant of [`Origin`].

mod client;
mod connect;
mod folder;
mod glance;
mod http;
mod pace;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use futures_util::Stream;

use crate::error::Error;

pub(crate) use client::Client;
pub(crate) use folder::Folder;
pub(crate) use glance::{Description, Glance, caller_fields, image_of, image_of_file};
pub(crate) use http::Http;

/// The bytes of an answer as they come. An error, and nothing after it, where they break off.
pub(crate) type AnswerBody = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// What is asked of an origin.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// `GET` or `HEAD`.
    pub(crate) method: Method,
    /// The key's normalised path and query.
    pub(crate) path_and_query: String,
    /// Ranges, conditions and `Via`; never anything that identifies the client.
    pub(crate) headers: HeaderMap,
}

/// What an origin answers.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: AnswerBody,
    /// Whether the end of the body can be told from a connection that broke off.
    pub(crate) delimited: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// The origin did not answer.
#[derive(Clone, Debug)]
pub(crate) struct NoAnswer {
    /// What a gateway tells its client: 502, or 504 where the origin took too long.
    pub(crate) status: StatusCode,
    pub(crate) reason: String,
}

/// Where images come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A folder on this machine.
    Folder(Folder),
    /// A web server.
    Http(Http),
    /// A Glance API.
    Glance(Glance),
}

/// How an origin is reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// For connecting, for the answer's beginning, and between two pieces of a body.
    pub(crate) timeout: Duration,
    /// How many bytes of a body have to come in a second, measured over `timeout`; 0 for any.
    pub(crate) min_rate: u64,
    pub(crate) ca: Option<PathBuf>,
}

/// Whether `text` names a Glance, so that credentials are of use.
pub fn is_glance(text: &str) -> bool {
    ["glance+http://", "glance+https://"].iter().any(|scheme| text.starts_with(scheme))
}

impl Origin {
    /// Takes `text` as an origin: a URL, or the path of a folder.
    pub(crate) fn parse(text: &str, reach: &Reach) -> Result<Self, Error> {
        if reach.timeout.is_zero() {
            return Err(Error::usage(
                "with an origin timeout of 0 no origin could ever answer in time: name a longer one",
            ));
        }
        match text.split_once("://") {
            Some(("http" | "https", _)) => Ok(Origin::Http(Http::new(text, reach)?)),
            Some(("glance+http" | "glance+https", _)) => Ok(Origin::Glance(Glance::new(text, reach)?)),
            Some(("file", _)) => Ok(Origin::Folder(Folder::from_url(text)?)),
            Some((scheme, _)) => Err(Error::usage(format!(
                "cannot use the origin {text:?}: its scheme {scheme:?} is none of http, https, file, glance+http, glance+https"
            ))),
            None => Ok(Origin::Folder(Folder::new(text.as_ref())?)),
        }
    }

    /// What the cache directory is bound to: the same text for every way to write the same origin.
    pub(crate) fn identity(&self) -> &str {
        match self {
            Origin::Folder(folder) => folder.identity(),
            Origin::Http(http) => http.identity(),
            Origin::Glance(glance) => glance.identity(),
        }
    }

    pub(crate) async fn ask(&self, ask: &Ask) -> Result<Answer, NoAnswer> {
        match self {
            Origin::Folder(folder) => folder.ask(ask).await,
            Origin::Http(http) => http.ask(ask).await,
            Origin::Glance(glance) => glance.ask(ask).await,
        }
    }

    pub(crate) fn glance(&self) -> Option<&Glance> {
        if let Origin::Glance(glance) = self { Some(glance) } else { None }
    }

    /// Whether asking it costs nothing, so that each hit is checked and no failure is remembered.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Origin::Folder(_))
    }
}
