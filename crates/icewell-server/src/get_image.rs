//! `GET` and `HEAD` of an image.
//!
//! 1. Only these two methods, and only what can be an image's name.
//! 2. In front of a Glance, only who may have it by Glance's own word gets a byte, or hears that it is here.
//! 3. The image under way is followed; one that is cached and fresh is sent; else a fill is begun, and followed.
//! 4. Conditions are answered before ranges (RFC 9110 §13.2.2).
//! 5. The body: the whole, a part, or several.
//! 6. What cannot be cached is passed through.
//!
//! Step 2 is in [`permit`], steps 4 and 5 in [`send`].

mod permit;
mod send;

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{HeaderMap, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use icewell::ErrorKind;
use tokio::sync::watch;
use tracing::warn;

use self::permit::Denied;
use crate::body::{Body, Cached, Follower, Source};
use crate::cache_status::{CacheStatus, Forward};
use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::fill::{End, Fill, Good, Growing, Progress};
use crate::filler;
use crate::freshness::{State, request_forces_revalidation, request_wants_the_cache_only};
use crate::image_head::ImageHead;
use crate::key::Key;
use crate::open_images::OpenImage;
use crate::origin::{Answer, NoAnswer, Origin, caller_fields};
use crate::pass;
use crate::request_log::Outcome;
use crate::route::Client;
use crate::traces;

/// How often one request begins anew because what it had found was gone the next moment.
const MAX_ROUNDS: usize = 8;

/// A response, and what is to be told and counted at its end.
pub(crate) struct Answered {
    pub(crate) response: Response<Body>,
    pub(crate) outcome: Outcome,
}

impl From<Response<Body>> for Answered {
    fn from(response: Response<Body>) -> Self {
        Answered { response, outcome: Outcome::default() }
    }
}

/// Answers a request of a client.
pub(crate) async fn answer(
    daemon: &Arc<Daemon>,
    client: Client,
    key: &Key,
    request: &Parts,
    stop: &watch::Receiver<bool>,
) -> Answered {
    let head_only = request.method == Method::HEAD;
    let headers = &request.headers;
    let caller = daemon.origin.glance().map(|_| caller_fields(headers)).unwrap_or_default();
    let old = request.version < Version::HTTP_11;
    let mut answered = Asked { daemon, client, key, headers, caller, head_only, old, stop }.answer().await;
    if head_only {
        answered.response = pass::without_body(answered.response);
        answered.outcome.hit = None;
    }
    answered
}

// 1.

/// The image that a request names, where anything that can be read is one.
pub(crate) fn key(request: &Parts) -> Result<Key, Box<Response<Body>>> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Box::new(pass::method_not_allowed("GET, HEAD", "images can only be read here")));
    }
    Key::from_target(request.uri.path(), request.uri.query())
        .map_err(|error| Box::new(pass::failure(error.status(), &error.to_string())))
}

/// One request for an image.
struct Asked<'a> {
    daemon: &'a Arc<Daemon>,
    client: Client,
    key: &'a Key,
    headers: &'a HeaderMap,
    /// What tells a Glance who asks; nothing for other origins, which are not told.
    caller: HeaderMap,
    head_only: bool,
    /// HTTP/1.0 knows no chunks: without a length, a body that breaks off looks like one that is whole.
    old: bool,
    stop: &'a watch::Receiver<bool>,
}

/// What step 3 finds.
enum Found {
    /// It is cached and good.
    Cached(Arc<OpenImage>, State),
    /// It is cached, and the origin has to be asked.
    Stale,
    Missing,
}

impl Asked<'_> {
    // 3.

    async fn answer(&self) -> Answered {
        // What a fill said of the cached copy a moment ago need not be asked again.
        let mut good = None;
        let mut stale = false;
        for _ in 0..MAX_ROUNDS {
            if let Some(fill) = self.daemon.fills.get(&self.key.id) {
                match self.follow(fill, false, stale).await {
                    Followed::Answered(answered) => return answered,
                    Followed::LookAgain(how) => good = how.or(good),
                }
            }
            match self.find(good).await {
                Ok(Found::Cached(image, state)) => {
                    let known = image.reader().image();
                    match self.permit(known.size, known.digest.as_ref()).await {
                        Ok(()) => return self.send_cached(image, state, good),
                        Err(Denied::Answered(answered)) => return *answered,
                        Err(Denied::Changed) => self.drop_cached().await,
                    }
                    continue;
                }
                Ok(Found::Stale | Found::Missing) if self.cache_only() => {
                    let why = "no image that is cached and fresh, and the request wants no other (only-if-cached)";
                    return pass::failure(StatusCode::GATEWAY_TIMEOUT, why).into();
                }
                Ok(Found::Stale) => stale = true,
                Ok(Found::Missing) if self.head_only => return self.head_of_cold().await,
                Ok(Found::Missing) => {}
                Err(error) => {
                    warn!(image_id = %self.key.id, error = chain(&error), "the cache cannot be read");
                    return self.pass_through("cache-unreadable", None).await;
                }
            }
            let (fill, new) = self.daemon.fills.join_or_create(self.key);
            if new {
                let asker = filler::Asker::Client(self.passed_on());
                let found = if stale { filler::Found::Stale } else { filler::Found::Missing };
                filler::start(self.daemon, &fill, asker, found, self.stop);
            }
            match self.follow(fill, new, stale).await {
                Followed::Answered(answered) => return answered,
                Followed::LookAgain(how) => good = how.or(good),
            }
        }
        self.pass_through("unstable", None).await
    }

    /// Whether the origin may not be asked. A Glance is asked nevertheless: whether it is cached is only for who may have it.
    fn cache_only(&self) -> bool {
        self.daemon.origin.glance().is_none() && request_wants_the_cache_only(self.headers)
    }

    async fn find(&self, good: Option<Good>) -> Result<Found, icewell::Error> {
        let image = match self.daemon.open_images.find(&self.daemon.cache, &self.key.id) {
            Some(image) => image,
            None => {
                let (daemon, id) = (self.daemon.clone(), self.key.id.clone());
                match blocking(move || daemon.open_images.open(&daemon.cache, &id)).await {
                    Ok(image) => image,
                    Err(error) if error.kind() == ErrorKind::NotCached => return Ok(Found::Missing),
                    Err(error) => return Err(error),
                }
            }
        };
        let state = match &self.daemon.origin {
            Origin::Folder(_) => self.state_by_folder(&image).await,
            // An image that Glance has called active never changes; whether it still is, `permit` asks.
            Origin::Glance(_) => State::Fresh { ttl_secs: 0 },
            Origin::Http(_) => image.moment().state,
        };
        let forced = matches!(self.daemon.origin, Origin::Http(_)) && request_forces_revalidation(self.headers);
        let fresh = matches!(state, State::Fresh { .. }) && !forced;
        Ok(if fresh || good.is_some() { Found::Cached(image, state) } else { Found::Stale })
    }

    /// A folder is asked at each hit, where it holds up nobody: it may be on another machine.
    async fn state_by_folder(&self, image: &Arc<OpenImage>) -> State {
        let Origin::Folder(folder) = &self.daemon.origin else { return State::Stale { ttl_secs: 0 } };
        let now = match folder.validators_at_once(&self.key.path_and_query) {
            Some(now) => Some(now),
            None => {
                let (daemon, key) = (self.daemon.clone(), self.key.clone());
                blocking(move || match &daemon.origin {
                    Origin::Folder(folder) => folder.validators(&key.path_and_query).ok().flatten(),
                    Origin::Http(_) | Origin::Glance(_) => None,
                })
                .await
            }
        };
        match now {
            Some(now) if now == image.head().metadata.validators => State::Fresh { ttl_secs: 0 },
            _ => State::Stale { ttl_secs: 0 },
        }
    }

    fn send_cached(&self, image: Arc<OpenImage>, state: State, good: Option<Good>) -> Answered {
        let status = match (good, state) {
            (Some(Good::Validated), State::Fresh { .. }) => CacheStatus::revalidated().because(Forward::Request),
            (Some(Good::Validated), State::Stale { .. }) => CacheStatus::revalidated(),
            (Some(Good::Stale), State::Stale { ttl_secs }) => {
                CacheStatus::hit().with_ttl(ttl_secs).with_detail("stale-origin-failed")
            }
            (_, State::Fresh { ttl_secs: ttl_secs @ 1.. }) => CacheStatus::hit().with_ttl(ttl_secs),
            _ => CacheStatus::hit(),
        };
        let fields = image.moment().fields.clone();
        let mut answered = self.send(
            image.head(),
            fields,
            Source::Cached(Cached::new(self.daemon.clone(), self.caller.clone(), image.clone())),
            None,
            &status,
        );
        answered.outcome.read = answered.outcome.reads.then_some(crate::request_log::Read::Cached(image));
        answered
    }

    /// Waits for the origin's answer to a fill, and then for no more than that.
    async fn follow(&self, fill: Arc<Fill>, began: bool, stale: bool) -> Followed {
        let mut progress = fill.follow();
        if let Some((fill, span)) = fill.trace.get().filter(|_| !began).zip(traces::current()) {
            span.link(fill);
        }
        let unanswerable = |progress: &Progress| match progress {
            Progress::Asking => true,
            Progress::Filling { image, .. } if image.head.size.is_none() => {
                self.old || self.part_of_unknown(progress).is_some_and(|(_, there)| !there)
            }
            _ => false,
        };
        let now = match progress.wait_for(|progress| !unanswerable(progress)).await {
            Ok(now) => now.clone(),
            Err(_) => return Followed::LookAgain(None),
        };
        if let Progress::Filling { image, .. } | Progress::Whole { image, .. } = &now {
            // Who began the fill was given the image by Glance just now.
            if began && !image.theirs {
                self.daemon.permits.remember(&self.caller, &self.key.id);
            } else if let Err(denied) = self.permit(now.size().unwrap_or(u64::MAX), None).await {
                return match denied {
                    Denied::Answered(answered) => Followed::Answered(*answered),
                    Denied::Changed => Followed::Answered(self.pass_through("changed", None).await),
                };
            }
        }
        // Who begins to follow another process's fill is one more follower.
        let miss = |image: &Growing| match (began && !image.theirs, stale || image.refetched) {
            (true, true) => CacheStatus::refetched(),
            (true, false) => CacheStatus::stored_miss(),
            (false, _) => CacheStatus::collapsed_miss(),
        };
        // Towards a Glance each caller asks for himself.
        let shy = !began && self.daemon.origin.glance().is_some();
        Followed::Answered(match now {
            Progress::Asking => return Followed::LookAgain(None),
            // What a Glance answers to one caller is not for another, but that it fails.
            Progress::Ended(End::Refused(ref refusal)) if shy && !refusal.status.is_server_error() => {
                return Followed::LookAgain(None);
            }
            Progress::Ended(End::Broken { .. }) if shy => return Followed::LookAgain(None),
            Progress::Filling { ref image, .. } => self.send_growing(fill, progress, &now, image, &miss(image), began),
            Progress::Whole { ref image, .. } => {
                let status = if began { miss(image) } else { CacheStatus::hit() };
                self.send_growing(fill, progress, &now, image, &status, began)
            }
            Progress::Ended(End::Cached(Good::ByHand)) => return Followed::LookAgain(None),
            Progress::Ended(End::Cached(good)) => return Followed::LookAgain(Some(good)),
            Progress::Ended(End::Uncached { why, answer }) => {
                // A Glance's answer to one caller is not for another.
                let takes = began || self.daemon.origin.glance().is_none();
                let answer = answer.lock().ok().filter(|_| takes).and_then(|mut answer| answer.take());
                self.pass_through(why, answer).await
            }
            Progress::Ended(End::Refused(refusal)) => {
                let mut response = if shy {
                    let mut response = pass::failure(refusal.status, "the origin fails");
                    response.headers_mut().extend(refusal.headers.get(RETRY_AFTER).map(|at| (RETRY_AFTER, at.clone())));
                    response
                } else {
                    let mut response = Response::new(Body::text(refusal.body.clone()));
                    *response.status_mut() = refusal.status;
                    *response.headers_mut() = pass::relayed(refusal.headers.clone());
                    response
                };
                self.daemon.pseudonym.add_to(response.headers_mut());
                let status = CacheStatus::forwarded(if stale { Forward::Stale } else { Forward::UriMiss });
                status.with_forward_status(refusal.status).append_to(response.headers_mut());
                response.into()
            }
            Progress::Ended(End::Broken { status, reason, .. } | End::Unanswered { status, reason }) => {
                let mut response = pass::failure(status, &format!("the origin failed: {reason}"));
                CacheStatus::forwarded(Forward::UriMiss).append_to(response.headers_mut());
                response.into()
            }
            Progress::Ended(End::NotKept(_)) => self.pass_through("cannot-store", None).await,
        })
    }

    fn send_growing(
        &self,
        fill: Arc<Fill>,
        progress: watch::Receiver<Progress>,
        now: &Progress,
        image: &Arc<Growing>,
        status: &CacheStatus,
        began: bool,
    ) -> Answered {
        let head = ImageHead { size: now.size(), ..image.head.clone() };
        let part = self.part_of_unknown(now).map(|(part, _)| part);
        let follower =
            Follower::new(self.daemon.clone(), self.key.clone(), self.caller.clone(), progress, image.clone());
        let fields = head.fields(SystemTime::now());
        let mut answered = self.send(&head, fields, Source::Fill(follower), part, status);
        // The miss that fills is no hit.
        answered.outcome.hit = answered.outcome.hit.filter(|_| !began || image.theirs);
        answered.outcome.read = answered.outcome.reads.then(|| crate::request_log::Read::Fill(fill));
        answered
    }

    // 6.

    async fn pass_through(&self, why: &'static str, answer: Option<Answer>) -> Answered {
        let plain = !self.head_only && pass::is_plain(self.headers);
        let answer = match answer.filter(|_| plain) {
            Some(answer) => Ok(answer),
            None => self.ask_alone().await,
        };
        let status = CacheStatus::forwarded(Forward::UriMiss).with_detail(why);
        self.relay(answer, status)
    }

    /// A `HEAD` of an image that is not here does not begin a fill.
    async fn head_of_cold(&self) -> Answered {
        if let Some(glance) = self.daemon.origin.glance() {
            return self.head_from_description(glance).await;
        }
        let answer = self.ask_alone().await;
        self.relay(answer, CacheStatus::forwarded(Forward::UriMiss))
    }

    async fn ask_alone(&self) -> Result<Answer, NoAnswer> {
        // A Glance answers 405 to a HEAD.
        let head = self.head_only && self.daemon.origin.glance().is_none();
        let method = if head { Method::HEAD } else { Method::GET };
        pass::ask(self.daemon, self.key, method, self.headers).await
    }

    fn relay(&self, answer: Result<Answer, NoAnswer>, status: CacheStatus) -> Answered {
        match answer {
            Ok(answer) => {
                let status = status.with_forward_status(answer.status);
                pass::relay(self.daemon, answer, &status).into()
            }
            Err(NoAnswer { status: code, reason }) => {
                let mut response = pass::failure(code, &format!("the origin failed: {reason}"));
                status.append_to(response.headers_mut());
                response.into()
            }
        }
    }
}

/// What came of waiting for a fill.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once, and a box would cost each request")]
enum Followed {
    Answered(Answered),
    /// The cache has it, or nobody knows: begin anew.
    LookAgain(Option<Good>),
}
