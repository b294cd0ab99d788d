//! Who may have an image of a Glance: as Glance itself says, to that caller's own credentials, a moment ago at most.
//!
//! Only a yes is remembered, for each caller and image apart, and the caller only as a hash. Who may manage the cache, by
//! Glance's word or by Keystone's, is remembered likewise.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap};
use icewell::{Digest, ImageId};
use sha2::{Digest as _, Sha256};

use crate::origin::{Answer, Glance, NoAnswer};

/// A caller, by the hash of what tells who he is.
type CallerHash = [u8; 32];

/// What Glance said.
#[derive(Debug)]
pub(crate) enum Permit {
    /// Glance said a moment ago that the caller may have the image.
    Remembered,
    /// The caller may have the image.
    Given,
    /// The image that is cached is not the one that Glance has.
    Changed,
    /// Something that is for Glance to answer: its refusal of this caller, where it has given one.
    Refused(Option<Answer>),
}

/// The answers remembered.
#[derive(Debug)]
pub(crate) struct Permits {
    /// For how long; nothing is remembered for zero.
    ttl: Duration,
    /// To whom, and which image; none for managing the cache.
    given: Mutex<HashMap<(CallerHash, Option<ImageId>), Instant>>,
}

impl Permits {
    pub(crate) fn new(ttl: Duration) -> Self {
        Permits { ttl, given: Mutex::default() }
    }

    /// Remembers that Glance has just given this caller the image.
    pub(crate) fn remember(&self, caller: &HeaderMap, id: &ImageId) {
        self.keep(caller, Some(id.clone()));
    }

    /// Remembers that this caller may manage the cache: Glance, or Keystone, has just said so.
    pub(crate) fn remember_manager(&self, caller: &HeaderMap) {
        self.keep(caller, None);
    }

    fn keep(&self, caller: &HeaderMap, what: Option<ImageId>) {
        if self.ttl.is_zero() {
            return;
        }
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, since| since.elapsed() < self.ttl);
        given.insert((hash(caller), what), Instant::now());
    }

    /// Forgets all that was said of an image that is no more.
    pub(crate) fn forget(&self, id: &ImageId) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, known), _| known.as_ref() != Some(id));
    }

    fn remembers(&self, caller: &HeaderMap, id: &ImageId) -> bool {
        self.knows(caller, Some(id.clone()))
    }

    /// Whether it was said a moment ago that this caller may manage the cache.
    pub(crate) fn lets_manage(&self, caller: &HeaderMap) -> bool {
        self.knows(caller, None)
    }

    fn knows(&self, caller: &HeaderMap, what: Option<ImageId>) -> bool {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.get(&(hash(caller), what)).is_some_and(|since| since.elapsed() < self.ttl)
    }

    /// Asks Glance, unless it was asked a moment ago, whether the caller may have the image, and whether the image of this
    /// size and digest is still the one it has.
    ///
    /// # Errors
    ///
    /// Glance does not answer: then nobody gets the image.
    pub(crate) async fn ask(
        &self,
        glance: &Glance,
        caller: &HeaderMap,
        id: &ImageId,
        size: u64,
        digest: Option<&Digest>,
    ) -> Result<Permit, NoAnswer> {
        if self.remembers(caller, id) {
            return Ok(Permit::Remembered);
        }
        // Who may read the image need not be allowed to see its description; then nobody can tell more of it.
        if let Ok(description) = glance.describe(id, caller).await? {
            if description.status != "active" {
                return Ok(Permit::Refused(None));
            }
            let told = description.digest();
            let other = |known: &Digest, told: &Digest| known.algorithm() == told.algorithm() && known != told;
            let changed = digest.zip(told.as_ref()).is_some_and(|(known, told)| other(known, told));
            if changed || description.size.is_some_and(|told| told != size) {
                return Ok(Permit::Changed);
            }
        }
        let answer = glance.ask_beyond(id, caller, size).await?;
        Ok(match answer.status {
            StatusCode::RANGE_NOT_SATISFIABLE => {
                self.remember(caller, id);
                Permit::Given
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Permit::Refused(Some(answer)),
            _ => Permit::Refused(None),
        })
    }
}

fn hash(caller: &HeaderMap) -> CallerHash {
    // How he likes a refusal to look tells nothing of him.
    let who = caller.iter().filter(|(name, _)| *name != ACCEPT);
    let mut fields: Vec<_> = who.map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    fields.sort_unstable();
    let mut hash = Sha256::new();
    for (name, value) in fields {
        for part in [name.as_bytes(), value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn caller(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_yes_is_one_callers_and_one_images() {
        let permits = Permits::new(Duration::from_secs(60));
        let (one, other) = (ImageId::new("1").unwrap(), ImageId::new("2").unwrap());
        let red = caller(&[("x-auth-token", "red"), ("x-a", "b")]);
        permits.remember(&red, &one);
        assert!(permits.remembers(&caller(&[("x-a", "b"), ("x-auth-token", "red")]), &one));
        assert!(permits.remembers(&caller(&[("x-auth-token", "red"), ("accept", "*/*"), ("x-a", "b")]), &one));
        assert!(!permits.remembers(&red, &other));
        for stranger in
            [caller(&[]), caller(&[("x-auth-token", "blue")]), caller(&[("x-auth-token", "redx-a"), ("b", "")])]
        {
            assert!(!permits.remembers(&stranger, &one));
        }
        assert!(!permits.lets_manage(&red));
        permits.remember_manager(&red);
        permits.forget(&one);
        assert!(!permits.remembers(&red, &one));
        assert!(permits.lets_manage(&red) && !permits.lets_manage(&caller(&[])));
    }

    #[test]
    fn nothing_is_remembered_for_no_time() {
        let permits = Permits::new(Duration::ZERO);
        let (red, one) = (caller(&[("x-auth-token", "red")]), ImageId::new("1").unwrap());
        permits.remember(&red, &one);
        assert!(!permits.remembers(&red, &one));
    }
}
