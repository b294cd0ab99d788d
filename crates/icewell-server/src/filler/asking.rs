//! In whose name a fill asks the origin.
//!
//! A client that begins a fill asks a Glance with its own token. It may be gone, and its token run out, long before the
//! last byte: then the daemon goes on in its own name, if it has one. Nobody gets more by that: each follower was asked
//! about with his own token before his first byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, Method, StatusCode};
use tokio::sync::watch;
use tracing::info;

use super::ending::{refused, unanswered, uncached};
use super::{Filler, Found};
use crate::daemon::Daemon;
use crate::fill::{End, Fill};
use crate::origin::{Answer, Ask, Description, Glance, NoAnswer};

/// Who asks the origin.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// A client: what it passes on.
    Client(HeaderMap),
    /// The daemon itself. Its name is for a Glance; other origins do not ask.
    Service,
}

impl Asker {
    /// The daemon, for what no client waits for.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        if daemon.service.is_some() { Asker::Service } else { Asker::Client(HeaderMap::new()) }
    }
}

impl Filler {
    pub(super) fn new(
        daemon: &Arc<Daemon>,
        fill: &Arc<Fill>,
        asker: Asker,
        found: Found,
        stop: &watch::Receiver<bool>,
    ) -> Self {
        let (passed, as_service) = match asker {
            Asker::Client(passed) => (passed, false),
            Asker::Service => (HeaderMap::new(), true),
        };
        let (daemon, fill, stop) = (daemon.clone(), fill.clone(), stop.clone());
        Filler { daemon, fill, passed, as_service: AtomicBool::new(as_service), found, stop }
    }

    /// Asks for the image with these fields.
    pub(super) async fn ask(&self, mut headers: HeaderMap) -> Result<Answer, NoAnswer> {
        self.daemon.pseudonym.add_to(&mut headers);
        let path_and_query = self.fill.key.path_and_query.clone();
        self.send(Ask { method: Method::GET, path_and_query, headers }).await
    }

    /// Asks for the rest of the image; a client whose token has run out meanwhile is stood in for.
    pub(super) async fn ask_on(&self, headers: HeaderMap) -> Result<Answer, NoAnswer> {
        let answer = self.ask(headers.clone()).await?;
        let can_stand_in = self.daemon.service.is_some() && !self.as_service.load(Ordering::Relaxed);
        if answer.status != StatusCode::UNAUTHORIZED || !can_stand_in {
            return Ok(answer);
        }
        info!(image_id = %self.fill.key.id, "the client's token is refused; the service goes on");
        self.as_service.store(true, Ordering::Relaxed);
        self.ask(headers).await
    }

    /// What a Glance says of the image before its bytes; nothing for other origins.
    pub(super) async fn describe(&self) -> Result<Option<Description>, End> {
        if self.daemon.origin.glance().is_none() {
            return Ok(None);
        }
        let answer = self.send(Glance::ask_for_description(&self.fill.key.id)).await.map_err(unanswered)?;
        match Glance::description(answer).await.map_err(unanswered)? {
            Ok(description) if description.status == "active" => Ok(Some(description)),
            // Nobody else asks for the data; or whoever asks, Glance itself fails.
            Err(answer) if self.as_service.load(Ordering::Relaxed) || answer.status.is_server_error() => {
                Err(refused(answer).await)
            }
            // Whatever Glance answers to the data of such an image is for the caller alone.
            _ => Err(uncached("not-active", None, None)),
        }
    }

    async fn send(&self, mut ask: Ask) -> Result<Answer, NoAnswer> {
        let service = self.daemon.service.as_ref().filter(|_| self.as_service.load(Ordering::Relaxed));
        if let Some((service, glance)) = service.zip(self.daemon.origin.glance()) {
            return service.ask(glance, ask).await;
        }
        for (name, value) in &self.passed {
            ask.headers.append(name.clone(), value.clone());
        }
        self.daemon.origin.ask(&ask).await
    }
}
