//! Step 2: in front of a Glance, who may have the image, and what goes on in whose name.

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, VIA};
use http::{Response, StatusCode};
use icewell::Digest;
use tracing::warn;

use super::send::set;
use super::{Answered, Asked};
use crate::body::Body;
use crate::cache_status::{CacheStatus, Forward};
use crate::counters::Check;
use crate::daemon::blocking;
use crate::error::chain;
use crate::gone;
use crate::origin::Glance;
use crate::permits::Permit;
use crate::traces;

/// Why a caller does not get a Glance's image from here.
pub(super) enum Denied {
    /// This stands in its place.
    Answered(Box<Answered>),
    /// It is not the one that Glance has.
    Changed,
}

impl Asked<'_> {
    /// Whether the caller may have the image; anybody may that is not a Glance's.
    pub(super) async fn permit(&self, size: u64, digest: Option<&Digest>) -> Result<(), Denied> {
        let Some(glance) = self.daemon.origin.glance() else { return Ok(()) };
        let step = traces::step("authorize");
        let asked = self.daemon.permits.ask(glance, &self.caller, &self.key.id, size, digest).await;
        let outcome = match &asked {
            Ok(Permit::Remembered) => Check::Remembered,
            Ok(Permit::Given) => Check::Allowed,
            Ok(Permit::Changed) => Check::Changed,
            Ok(Permit::Refused(_)) => Check::Refused,
            Err(_) => Check::Failed,
        };
        self.daemon.counters.checked(outcome);
        if let Some(step) = step {
            step.authorized(outcome);
        }
        let answered = match asked {
            Ok(Permit::Remembered | Permit::Given) => return Ok(()),
            Ok(Permit::Changed) => return Err(Denied::Changed),
            Ok(Permit::Refused(Some(answer))) => {
                if answer.status == StatusCode::NOT_FOUND {
                    gone::look(self.daemon, &self.key.id);
                }
                self.relay(Ok(answer), CacheStatus::forwarded(Forward::Request))
            }
            Ok(Permit::Refused(None)) => self.pass_through("not-permitted", None).await,
            Err(no_answer) => self.relay(Err(no_answer), CacheStatus::forwarded(Forward::Request)),
        };
        Err(Denied::Answered(Box::new(answered)))
    }

    pub(super) async fn drop_cached(&self) {
        let (cache, id) = (self.daemon.cache.clone(), self.key.id.clone());
        if let Err(error) = blocking(move || cache.remove(&id)).await {
            warn!(image_id = %self.key.id, error = chain(&error), "the old image cannot be dropped");
        }
    }

    /// What a fill on this client's behalf tells the origin: the way here, and to a Glance who asks.
    pub(super) fn passed_on(&self) -> HeaderMap {
        let mut passed = self.caller.clone();
        for via in self.headers.get_all(VIA) {
            passed.append(VIA, via.clone());
        }
        passed
    }

    /// Glance knows no `HEAD` of an image's data: its description tells the same, to who may have the data.
    pub(super) async fn head_from_description(&self, glance: &Glance) -> Answered {
        let status = CacheStatus::forwarded(Forward::UriMiss);
        let description = match glance.describe(&self.key.id, &self.caller).await {
            Ok(Ok(description)) => description,
            Ok(Err(answer)) => return self.relay(Ok(answer), status),
            Err(no_answer) => return self.relay(Err(no_answer), status),
        };
        let Some(size) = description.size.filter(|_| description.status == "active") else {
            return self.relay(self.ask_alone().await, status);
        };
        if let Err(Denied::Answered(answered)) = self.permit(size, None).await {
            return *answered;
        }
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        set(&mut response, CONTENT_TYPE, "application/octet-stream");
        set(&mut response, ACCEPT_RANGES, "bytes");
        if let Some(checksum) = &description.checksum {
            set(&mut response, HeaderName::from_static("content-md5"), checksum);
        }
        self.daemon.pseudonym.add_to(response.headers_mut());
        status.append_to(response.headers_mut());
        response.into()
    }
}
