//! The management API: Glance's `/v2/cache` and the older `cached_images` and `queued_images`, for this daemon's cache.
//!
//! In the order in which Glance looks at a request:
//!
//! 1. Who asks: nobody is 401, as Glance says it ([`who`], [`role`]).
//! 2. A wrong verb and a body where none belongs are told to anybody.
//! 3. So is that there is no such image, for what names one.
//! 4. Only then, who may: else 403.
//! 5. What is asked for is done ([`act`]).
//!
//! [`asked`] knows the paths, [`reply`] the form of the answers.

mod act;
mod asked;
mod reply;
mod role;
mod who;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, VIA};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use icewell::ImageId;
use tokio::sync::watch;

use crate::body::Body;
use crate::daemon::Daemon;
use crate::origin::{Description, Glance, caller_fields};

use asked::Old;
pub(crate) use asked::{Asked, Operation, asked};
use reply::Form;
pub(crate) use reply::json;
pub(crate) use role::AdminRole;
pub(crate) use who::AdminToken;

/// Where the header says what `DELETE /v2/cache` clears.
const CLEAR_TARGET: HeaderName = HeaderName::from_static("x-image-cache-clear-target");
/// The fields of a Keystone token.
const TOKENS: [&str; 2] = ["x-auth-token", "x-storage-token"];

/// What the management API goes by.
#[derive(Debug, Default)]
pub(crate) struct Management {
    /// Whoever has it may do everything.
    token: RwLock<Option<AdminToken>>,
    /// Whoever has it in front of a Glance may, too.
    pub(crate) role: Option<AdminRole>,
}

impl Management {
    pub(crate) fn new(token: Option<AdminToken>, role: Option<AdminRole>) -> Self {
        Management { token: RwLock::new(token), role }
    }

    /// Takes the static token out of a request; whether it was there.
    pub(crate) fn take_token(&self, headers: &mut HeaderMap) -> bool {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().is_some_and(|token| token.take_from(headers))
    }

    /// Whether there is a static token.
    fn has_token(&self) -> bool {
        self.token.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// From now on it is this one.
    pub(crate) fn set_token(&self, token: Option<AdminToken>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }
}

/// A management request.
struct Request<'a> {
    daemon: &'a Arc<Daemon>,
    parts: &'a Parts,
    form: Form,
    /// What tells a Glance who asks: nothing of the static token.
    caller: HeaderMap,
    /// Whether it may be done whatever Glance says.
    trusted: bool,
    stop: &'a watch::Receiver<bool>,
}

/// Answers on the main listener, in front of a Glance. The static token is out of the request already.
pub(crate) async fn answer(
    daemon: &Arc<Daemon>,
    parts: &Parts,
    asked: Asked,
    has_token: bool,
    stop: &watch::Receiver<bool>,
) -> Response<Body> {
    Request::new(daemon, parts, has_token, stop).answer(asked).await.unwrap_or_else(|response| *response)
}

/// Answers on the admin listener at `address`.
pub(crate) async fn answer_admin(
    daemon: &Arc<Daemon>,
    address: SocketAddr,
    parts: &mut Parts,
    asked: Asked,
    stop: &watch::Receiver<bool>,
) -> Response<Body> {
    if let Some(refusal) = refusal(daemon, address, parts) {
        return refusal;
    }
    let answer = Request::new(daemon, parts, true, stop).answer(asked).await.unwrap_or_else(|response| *response);
    if parts.method != Method::GET {
        daemon.census.is_outdated();
    }
    answer
}

/// Why a request on the admin listener at `address` may not look into the cache, nor manage it; none if it may. The static
/// token is out of the request then.
pub(crate) fn refusal(daemon: &Daemon, address: SocketAddr, parts: &mut Parts) -> Option<Response<Body>> {
    let has_token = daemon.management.take_token(&mut parts.headers);
    let refused = who::refuses_without_token(daemon.management.has_token(), address, &parts.headers);
    let why = refused.filter(|_| !has_token)?;
    Some(reply::error(Form::of(&parts.headers), StatusCode::FORBIDDEN, why))
}

impl<'a> Request<'a> {
    fn new(daemon: &'a Arc<Daemon>, parts: &'a Parts, trusted: bool, stop: &'a watch::Receiver<bool>) -> Self {
        let mut caller = daemon.origin.glance().map(|_| caller_fields(&parts.headers)).unwrap_or_default();
        caller.remove(CLEAR_TARGET);
        Request { daemon, parts, form: Form::of(&parts.headers), caller, trusted, stop }
    }

    /// An error is a response, too: what stands in the way.
    async fn answer(&self, asked: Asked) -> Result<Response<Body>, Box<Response<Body>>> {
        let may = self.may().await?;
        let operation = match asked {
            Asked::For(operation) => operation,
            Asked::WrongVerb(allow) => return Err(Box::new(reply::not_allowed(self.form, &self.parts.method, allow))),
        };
        if operation.takes_no_body() && self.has_body() {
            return self.refuse(StatusCode::BAD_REQUEST, "A body is not expected with this request.");
        }
        let image = match &operation {
            Operation::Queue(id) | Operation::Drop(id) => Some(self.image(id, &operation).await?),
            _ => None,
        };
        if !may {
            let message = format!("You are not authorized to complete {} action.", operation.action());
            return self.refuse(StatusCode::FORBIDDEN, &message);
        }
        match (operation, image) {
            (Operation::Queue(_), Some(image)) => self.queue(image).await,
            (Operation::Drop(_), Some(image)) => self.drop_image(&image.id).await,
            (Operation::Clear, _) => self.clear().await,
            (Operation::Nodes, _) => self.refuse(StatusCode::CONFLICT, "Centralized caching is not enabled"),
            (Operation::Clean, _) => self.clean().await,
            (Operation::Prune, _) => self.prune().await,
            (Operation::Old(old), _) => self.old(old).await,
            (Operation::List | Operation::Queue(_) | Operation::Drop(_), _) => self.list().await,
        }
    }

    // 1.

    async fn may(&self) -> Result<bool, Box<Response<Body>>> {
        match self.daemon.origin.glance() {
            Some(glance) if !self.trusted => {
                let asking = self.asking();
                Ok(who::may_by_glance(self.daemon, glance, &self.caller, asking.clone(), self.form).await?
                    || role::may_by_role(self.daemon, glance, &self.caller, asking, self.form).await?)
            }
            _ => Ok(self.trusted),
        }
    }

    // 2.

    /// As Glance sees it, which takes a body in chunks for none.
    fn has_body(&self) -> bool {
        self.parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
    }

    // 3.

    /// The image of this name, as far as it exists: at Glance, where it can be asked in somebody's name, or here.
    async fn image(&self, name: &str, operation: &Operation) -> Result<Named, Box<Response<Body>>> {
        let unknown = || Box::new(self.error(StatusCode::NOT_FOUND, &format!("Image {name} not found.")));
        let id = ImageId::new(name).map_err(|_| unknown())?;
        let here = match operation {
            Operation::Drop(_) => self.is_here(&id).await?,
            // What can never be fetched is not queued.
            _ => self.daemon.key_of(&id).is_some(),
        };
        let seen = match self.daemon.origin.glance() {
            Some(glance) if self.names_somebody() => Some(self.describe(glance, &id).await?),
            Some(glance) => self.describe_as_service(glance, &id).await,
            None => None,
        };
        match seen {
            Some(Some(description)) => Ok(Named { id, description: Some(description) }),
            Some(None) if matches!(operation, Operation::Queue(_)) => Err(unknown()),
            _ if here => Ok(Named { id, description: None }),
            _ => Err(unknown()),
        }
    }

    /// Whether Glance can be asked of an image in the caller's name: always, unless that is nobody to it.
    fn names_somebody(&self) -> bool {
        !self.trusted || TOKENS.iter().any(|name| self.caller.contains_key(*name))
    }

    /// What Glance says of the image to the caller; none if it is unknown.
    async fn describe(&self, glance: &Glance, id: &ImageId) -> Result<Option<Description>, Box<Response<Body>>> {
        match glance.describe(id, &self.asking()).await {
            Ok(Ok(description)) => Ok(Some(description)),
            Ok(Err(answer)) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            Ok(Err(answer)) => Err(Box::new(who::relay_refusal(self.form, answer))),
            Err(no_answer) => Err(who::no_glance(self.form, no_answer)),
        }
    }

    /// The same to the daemon itself; none where it is nobody, or gets no answer: whoever is trusted does not wait for
    /// a Keystone.
    async fn describe_as_service(&self, glance: &Glance, id: &ImageId) -> Option<Option<Description>> {
        let service = self.daemon.service.as_ref()?;
        let answer = service.ask(glance, Glance::ask_for_description(id)).await.ok()?;
        match Glance::description(answer).await.ok()? {
            Ok(description) => Some(Some(description)),
            Err(answer) => (answer.status == StatusCode::NOT_FOUND).then_some(None),
        }
    }

    // Words.

    fn error(&self, status: StatusCode, message: &str) -> Response<Body> {
        reply::error(self.form, status, message)
    }

    fn refuse<T>(&self, status: StatusCode, message: &str) -> Result<T, Box<Response<Body>>> {
        Err(Box::new(self.error(status, message)))
    }

    /// What a fill in this caller's name tells Glance.
    fn passed_on(&self) -> HeaderMap {
        let mut passed = self.caller.clone();
        for via in self.parts.headers.get_all(VIA) {
            passed.append(VIA, via.clone());
        }
        passed
    }

    /// The same, for a question of our own: where Glance leads back to us, it ends at once.
    fn asking(&self) -> HeaderMap {
        let mut asking = self.passed_on();
        self.daemon.pseudonym.add_to(&mut asking);
        asking
    }
}

/// An image that exists, as far as anyone could tell.
struct Named {
    id: ImageId,
    /// What Glance says of it, if it could be asked.
    description: Option<Description>,
}
