//! Who may have an image of a Glance: as Glance itself says, to that caller's own credentials, a moment ago at most.
//!
//! Only a yes is remembered, for each caller and image apart, and the caller only as a hash. Who may manage the cache, by
//! Glance's word or by Keystone's, is remembered likewise.
//!
//! Many who come at once with the same question ask it once: the others wait for a yes. A yes that is about to be too old
//! is asked for again by one of those who come, while it still holds for the others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{ACCEPT, HeaderMap};
use icewell::{Digest, ImageId};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::origin::{Answer, Glance, NoAnswer};

/// A caller, by the hash of what tells who he is.
type CallerHash = [u8; 32];

/// To whom, and which image; none for managing the cache.
type Question = (CallerHash, Option<ImageId>);

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
    ttl: RwLock<Duration>,
    given: Mutex<HashMap<Question, Instant>>,
    /// What Glance is being asked; closed when it has answered.
    asked: Mutex<HashMap<Question, watch::Receiver<()>>>,
}

/// What is to be done about a question.
enum Turn<'a> {
    /// Nothing: the answer is a yes of a moment ago.
    Known,
    /// To ask it; others wait as long as this is held.
    Ask(Option<Asking<'a>>),
    /// To wait for the one who asks it.
    Wait(watch::Receiver<()>),
}

/// A question that is being asked.
struct Asking<'a> {
    permits: &'a Permits,
    question: Question,
    _answered: watch::Sender<()>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        lock(&self.permits.asked).remove(&self.question);
    }
}

impl Permits {
    pub(crate) fn new(ttl: Duration) -> Self {
        Permits { ttl: RwLock::new(ttl), given: Mutex::default(), asked: Mutex::default() }
    }

    fn ttl(&self) -> Duration {
        *self.ttl.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on answers are remembered for so long, those that are known already too.
    pub(crate) fn set_ttl(&self, ttl: Duration) {
        *self.ttl.write().unwrap_or_else(PoisonError::into_inner) = ttl;
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
        if self.ttl().is_zero() {
            return;
        }
        let mut given = lock(&self.given);
        given.retain(|_, since| since.elapsed() < self.ttl());
        given.insert((hash(caller), what), Instant::now());
    }

    /// Forgets all that was said of an image that is no more.
    pub(crate) fn forget(&self, id: &ImageId) {
        lock(&self.given).retain(|(_, known), _| known.as_ref() != Some(id));
    }

    /// Whether it was said a moment ago that this caller may manage the cache.
    pub(crate) fn lets_manage(&self, caller: &HeaderMap) -> bool {
        self.knows(&(hash(caller), None))
    }

    fn knows(&self, question: &Question) -> bool {
        lock(&self.given).get(question).is_some_and(|since| since.elapsed() < self.ttl())
    }

    /// Whose turn it is to ask.
    fn turn(&self, question: &Question) -> Turn<'_> {
        if self.ttl().is_zero() {
            return Turn::Ask(None);
        }
        let age = lock(&self.given).get(question).map(Instant::elapsed).filter(|age| *age < self.ttl());
        if age.is_some_and(|age| age < self.ttl() * 3 / 4) {
            return Turn::Known;
        }
        match lock(&self.asked).entry(question.clone()) {
            Entry::Occupied(_) if age.is_some() => Turn::Known,
            Entry::Occupied(asked) => Turn::Wait(asked.get().clone()),
            Entry::Vacant(place) => {
                let (answered, wait) = watch::channel(());
                place.insert(wait);
                Turn::Ask(Some(Asking { permits: self, question: question.clone(), _answered: answered }))
            }
        }
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
        let question = (hash(caller), Some(id.clone()));
        let _asking = match self.turn(&question) {
            Turn::Known => return Ok(Permit::Remembered),
            Turn::Ask(asking) => asking,
            Turn::Wait(mut answered) => {
                answered.changed().await.ok();
                if self.knows(&question) {
                    return Ok(Permit::Remembered);
                }
                // A refusal is each one's own, and so is its wording.
                None
            }
        };
        let said = self.ask_glance(glance, caller, id, size, digest).await;
        match said {
            // What was said before holds to its end.
            Err(_) if self.knows(&question) => return Ok(Permit::Remembered),
            Ok(Permit::Changed | Permit::Refused(_)) => drop(lock(&self.given).remove(&question)),
            _ => {}
        }
        said
    }

    async fn ask_glance(
        &self,
        glance: &Glance,
        caller: &HeaderMap,
        id: &ImageId,
        size: u64,
        digest: Option<&Digest>,
    ) -> Result<Permit, NoAnswer> {
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

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    impl Permits {
        fn remembers(&self, caller: &HeaderMap, id: &ImageId) -> bool {
            self.knows(&(hash(caller), Some(id.clone())))
        }
    }

    #[test]
    fn many_ask_once() {
        let permits = Permits::new(Duration::from_secs(60));
        let (red, one) = (caller(&[("x-auth-token", "red")]), ImageId::new("1").unwrap());
        let question = (hash(&red), Some(one.clone()));
        let Turn::Ask(first) = permits.turn(&question) else { panic!("the first asks") };
        let Turn::Wait(waiting) = permits.turn(&question) else { panic!("the second waits") };
        assert!(waiting.has_changed().is_ok());
        let other = (hash(&red), Some(ImageId::new("2").unwrap()));
        assert!(matches!(permits.turn(&other), Turn::Ask(Some(_))), "another question");
        // He goes away, or is refused: whoever waited is let go, and the next one asks.
        drop(first);
        assert!(waiting.has_changed().is_err());
        let Turn::Ask(second) = permits.turn(&question) else { panic!("the next asks") };
        permits.remember(&red, &one);
        drop(second);
        assert!(matches!(permits.turn(&question), Turn::Known));
    }

    #[test]
    fn a_yes_is_asked_for_again_by_one_while_it_holds_for_others() {
        let permits = Permits::new(Duration::from_secs(6000));
        let question = (hash(&caller(&[])), None);
        let set = |age| lock(&permits.given).insert(question.clone(), Instant::now() - Duration::from_secs(age));
        set(1);
        assert!(matches!(permits.turn(&question), Turn::Known));
        set(5000);
        let Turn::Ask(Some(asking)) = permits.turn(&question) else { panic!("one asks") };
        assert!(matches!(permits.turn(&question), Turn::Known), "others need not");
        drop(asking);
        set(6001);
        let Turn::Ask(Some(_asking)) = permits.turn(&question) else { panic!("one asks") };
        assert!(matches!(permits.turn(&question), Turn::Wait(_)), "too old for anybody");
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
