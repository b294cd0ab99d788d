//! Fills: from the origin into the cache.
//!
//! 1. Whoever has a cached copy asks the origin whether it is still right; a 304 ends it there.
//! 2. The image is claimed in the directory; where another process fills it already, that fill is followed instead.
//! 3. The origin is asked for the bytes, or for the rest of what an earlier fill left.
//! 4. What may not, or cannot, be cached is left to [`pass`](crate::pass).
//! 5. Bytes go to the library's `Writer`, on a thread of its own; followers are told of each step.
//! 6. Verified, the last bytes are let go; then the image is committed.
//!
//! The fill goes on whoever listens. A break of the origin in the middle is healed by asking for the rest. In whose
//! name the origin is asked, [`asking`] says; who else fills it, [`elsewhere`]; the last two steps are [`transfer`]'s,
//! breaks on the way [`healing`]'s; how a fill ends without an image is worded in [`ending`].

mod asking;
mod elsewhere;
mod ending;
mod healing;
mod pieces;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, StatusCode};
use icewell::{Announced, ErrorKind, Writer};
use tokio::sync::watch;
use tracing::{debug, info, warn};

pub(crate) use self::asking::Asker;
use self::elsewhere::{Claim, good};
use self::ending::{refused, unanswered, uncached};
use crate::daemon::{Daemon, blocking};
use crate::digest_fields::vouched_digests;
use crate::failures;
use crate::fill::{Break, End, Fill, Good, Growing, Progress};
use crate::freshness::storable;
use crate::image_head::ImageHead;
use crate::memory;
use crate::origin::{Answer, Description};
use crate::rest::{content_length, goes_on, range_from, rest, resumed_at};
use crate::retry_after::is_for_now;
use crate::traces;

/// How long a failure is remembered, so that a herd of clients does not become a herd of requests.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// An image of so many bytes leaves memory behind that is worth giving back.
const LARGE: u64 = 32 << 20;

/// Runs a fill to its end, in the background and in the name of `asker`.
pub(crate) fn start(daemon: &Arc<Daemon>, fill: &Arc<Fill>, asker: Asker, found: Found, stop: &watch::Receiver<bool>) {
    let filler = Filler::new(daemon, fill, asker, found, stop);
    let span = traces::of_fill(daemon.tracer.as_ref(), &fill.key);
    if let Some(span) = &span {
        fill.trace.set(span.context().clone()).ok();
    }
    // The fill goes on without the client's connection, and on another thread.
    daemon.runtime.spawn(traces::within(span, async move {
        let unfinished = Unfinished(filler.fill.clone(), filler.daemon.clone());
        let end = filler.run().await;
        debug!(image_id = %filler.fill.key.id, ?end, "the fill has ended");
        let remembered = end.as_ref().is_some_and(|end| filler.is_to_be_remembered(end));
        let outcome = failures::outcome(end.as_ref());
        let reason = end.as_ref().and_then(failures::reason);
        filler.daemon.counters.fill_ended(outcome, reason, filler.fill.begun.elapsed());
        filler.tell_trace(outcome, end.as_ref());
        if let Some(end) = end {
            filler.daemon.failures.remember(&filler.fill.key.id, &end);
            if !remembered {
                // Before it is told: who then looks again must not find this one.
                filler.daemon.fills.remove(&filler.fill);
            }
            filler.fill.set(Progress::Ended(end));
        }
        if remembered {
            tokio::time::sleep(FAILURE_KEPT).await;
        }
        drop(unfinished);
        if filler.daemon.fills.len() == 0 && filler.fill.progress().size().is_some_and(|size| size >= LARGE) {
            blocking(memory::give_back).await;
        }
    }));
}

/// What who begins a fill found in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Missing,
    /// An image that the origin has to be asked about.
    Stale,
}

/// Takes a fill off the list at its end, however that comes.
struct Unfinished(Arc<Fill>, Arc<Daemon>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if matches!(self.0.progress(), Progress::Asking | Progress::Filling { .. }) {
            let reason = "the fill stopped".into();
            self.0.set(Progress::Ended(End::Broken { how: Break::Off, status: StatusCode::BAD_GATEWAY, reason }));
        }
        self.1.fills.remove(&self.0);
    }
}

struct Filler {
    daemon: Arc<Daemon>,
    fill: Arc<Fill>,
    /// What the client that began it passes on to the origin.
    passed: HeaderMap,
    /// Whether the origin is asked in the daemon's own name instead.
    as_service: AtomicBool,
    found: Found,
    /// True when the daemon stops: then the fill is broken off, to be resumed.
    stop: watch::Receiver<bool>,
}

impl Filler {
    /// None where the image is there for its followers, and nothing is left to tell.
    async fn run(&self) -> Option<End> {
        if self.daemon.oversized.knows(&self.fill.key.id) {
            return Some(uncached("no-room", None, None));
        }
        let answer = match self.check_cached().await {
            Cached::Missing => None,
            Cached::Changed(answer) => Some(answer),
            Cached::End(end) => return Some(end),
        };
        let refetched = answer.is_some();
        let writer = match self.claim().await {
            Ok(Claim::Ours(writer)) => *writer,
            Ok(Claim::Theirs(observer)) => return self.watch(observer).await,
            Err(end) => return Some(end),
        };
        let described = match self.describe().await {
            Ok(described) => described,
            Err(end) => return Some(self.give_up(writer, end).await),
        };
        let (writer, answer) = match answer {
            Some(answer) => (writer, answer),
            None => match self.ask_for_image(writer, described.as_ref()).await {
                Ok(got) => got,
                Err(end) => return Some(end),
            },
        };
        let (writer, answer, image) = match self.begin(writer, answer, described, refetched).await {
            Ok(begun) => begun,
            Err(end) => return Some(end),
        };
        self.transfer(writer, answer.body, image).await
    }

    /// Whether a failure is one for all who ask in the next moment.
    fn is_to_be_remembered(&self, end: &End) -> bool {
        // A Glance may refuse one caller what it gives to another, and one caller's token may run out in the middle.
        let glance = self.daemon.origin.glance().is_some();
        let failed = match end {
            End::Unanswered { .. } => true,
            End::Refused(refusal) if glance => refusal.status.is_server_error(),
            End::Refused(refusal) => is_for_now(refusal.status),
            End::Broken { .. } => !glance,
            End::Cached(_) | End::Uncached { .. } | End::NotKept(_) => false,
        };
        // That the daemon itself gets no answer, as it may not get one from Keystone, is no client's failure.
        failed && !self.daemon.origin.is_local() && !self.as_service.load(Ordering::Relaxed)
    }

    // 1.

    async fn check_cached(&self) -> Cached {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        let Ok(image) = blocking(move || cache.read(&id).map(|reader| reader.image().clone())).await else {
            return Cached::Missing;
        };
        if self.found == Found::Missing {
            // Somebody else was quicker, by a moment.
            return Cached::End(End::Cached(good(&image)));
        }
        let head = ImageHead::of_image(&image);
        let mut headers = HeaderMap::new();
        insert(&mut headers, IF_NONE_MATCH, head.metadata.validators.etag.as_deref());
        insert(&mut headers, IF_MODIFIED_SINCE, head.metadata.validators.last_modified.as_deref());
        match self.ask(headers).await {
            Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => {
                let Some(freshness) = head.freshness.revalidated(&answer.headers, SystemTime::now()) else {
                    return self.drop_cached(None).await;
                };
                let metadata = icewell::Metadata { freshness: freshness.to_json(), ..head.metadata };
                self.keep_metadata(metadata).await;
                Cached::End(End::Cached(Good::Validated))
            }
            Ok(answer) if answer.status == StatusCode::OK => self.drop_cached(Some(answer)).await,
            Ok(answer) if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                self.drop_cached(None).await;
                Cached::End(refused(answer).await)
            }
            Ok(answer) if is_for_now(answer.status) && self.daemon.serves_stale() => {
                warn!(image_id = %self.fill.key.id, status = %answer.status, "the origin fails; the stale image is sent");
                Cached::End(End::Cached(Good::Stale))
            }
            Ok(answer) => Cached::End(refused(answer).await),
            Err(no_answer) if self.daemon.serves_stale() => {
                warn!(image_id = %self.fill.key.id, reason = no_answer.reason, "no origin; the stale image is sent");
                Cached::End(End::Cached(Good::Stale))
            }
            Err(no_answer) => Cached::End(unanswered(no_answer)),
        }
    }

    /// The cached copy is not the origin's any more. Who reads it reads on; nobody else gets it.
    async fn drop_cached(&self, answer: Option<Answer>) -> Cached {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        info!(image_id = %id, "the image has changed at the origin; the cached copy is dropped");
        match blocking(move || cache.remove(&id)).await {
            Ok(_) => answer.map_or(Cached::Missing, Cached::Changed),
            Err(error) => Cached::End(uncached("cannot-drop-stale", None, Some(&error))),
        }
    }

    async fn keep_metadata(&self, metadata: icewell::Metadata) {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        if let Err(error) = blocking(move || cache.set_metadata(&id, &metadata)).await {
            warn!(image_id = %self.fill.key.id, %error, "the new freshness cannot be kept; the origin is asked again");
        }
    }

    // 3.

    /// Asks for the image, or for the rest where an earlier fill left a part and the origin gave a validator.
    async fn ask_for_image(&self, writer: Writer, described: Option<&Description>) -> Result<(Writer, Answer), End> {
        let left = writer.resumable().cloned();
        let headers = left.as_ref().and_then(|left| match described {
            // The digest tells whether it is the same image: it covers the whole.
            Some(description) => {
                (left.digest.is_some() && left.digest == description.digest()).then(|| range_from(left.length))
            }
            None => rest(left.length, &ImageHead::of_metadata(left.size, left.metadata.clone())),
        });
        if let (Some(left), Some(headers)) = (left, headers) {
            match self.ask(headers).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok((writer, answer)),
                Ok(answer) if goes_on(&answer, left.length, left.size, &left.metadata.validators) => {
                    return Ok((writer, answer));
                }
                Ok(answer)
                    if described.is_some()
                        && resumed_at(&answer).is_ok_and(|at| at.map(|at| at.0) == Some(left.length)) =>
                {
                    return Ok((writer, answer));
                }
                // What was left is longer than the image now is, or this is no rest of it: from the first byte, then.
                Ok(answer) if matches!(answer.status.as_u16(), 206 | 416) => {}
                Ok(answer) => return Err(self.give_up(writer, refused(answer).await).await),
                Err(no_answer) => return Err(self.give_up(writer, unanswered(no_answer)).await),
            }
        }
        match self.ask(HeaderMap::new()).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok((writer, answer)),
            Ok(answer) => Err(self.give_up(writer, refused(answer).await).await),
            Err(no_answer) => Err(self.give_up(writer, unanswered(no_answer)).await),
        }
    }

    async fn give_up(&self, writer: Writer, end: End) -> End {
        if let Err(error) = blocking(move || writer.release()).await {
            warn!(image_id = %self.fill.key.id, %error, "the claim cannot be given back");
        }
        // Whoever wanted it and was told that there is none need not want it any longer. A client of a Glance may just not
        // see what the daemon itself wants.
        let speaks_for_all = self.daemon.origin.glance().is_none() || self.as_service.load(Ordering::Relaxed);
        if speaks_for_all
            && matches!(&end, End::Refused(refusal) if matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::GONE))
        {
            let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
            blocking(move || cache.unqueue(&id)).await.ok();
        }
        end
    }

    // 4.

    /// Starts or resumes the fill with what the origin answered, and lets followers begin.
    async fn begin(
        &self,
        writer: Writer,
        answer: Answer,
        described: Option<Description>,
        refetched: bool,
    ) -> Result<(Writer, Answer, Arc<Growing>), End> {
        let resumed = match resumed_at(&answer) {
            Ok(resumed) => resumed,
            Err(why) => return Err(self.give_up(writer, uncached(why, None, None)).await),
        };
        let (size, judged) = match resumed {
            Some((_, size)) => (Some(size), StatusCode::OK),
            None => (content_length(&answer.headers), answer.status),
        };
        if let Err(not_storable) = storable(&Method::GET, &HeaderMap::new(), judged, &answer.headers) {
            let answer = resumed.is_none().then_some(answer);
            return Err(self.give_up(writer, uncached(not_storable.reason, answer, None)).await);
        }
        let size = described.as_ref().and_then(|described| described.size).or(size);
        let digests = match &described {
            Some(described) => described.digest().into_iter().collect(),
            None => vouched_digests(answer.status, &answer.headers),
        };
        if size.is_none() && !answer.delimited && digests.is_empty() {
            // Where the connection broke off, nobody could tell that the image is not whole.
            return Err(self.give_up(writer, uncached("no-length", Some(answer), None)).await);
        }
        let mut head = ImageHead::of_answer(&answer.headers, size, SystemTime::now());
        if let Some(left) = writer.resumable().filter(|_| resumed.is_some()) {
            // A 206 to an `If-Range` need not repeat what the 200 said.
            head.metadata.validators = left.metadata.validators.clone();
            head.metadata.content_type = head.metadata.content_type.or_else(|| left.metadata.content_type.clone());
        }
        head.metadata.name = described.and_then(|described| described.name);
        let announced = Announced { size, digests, metadata: head.metadata.clone() };
        let started = blocking(move || {
            let mut writer = writer;
            let started = match resumed {
                Some((length, _)) if writer.resumable().is_some_and(|left| left.length == length) => {
                    writer.resume(announced).map(|()| true)
                }
                // The answer begins where nobody asked it to.
                Some(_) => Ok(false),
                None => writer.start(announced).map(|()| true),
            };
            let file = started.and_then(|started| started.then(|| writer.reader()).transpose());
            (writer, file)
        });
        match started.await {
            (writer, Ok(Some(file))) => {
                let image = Arc::new(Growing { refetched, holes: Some(writer.holes()), ..Growing::new(head, file) });
                let written = writer.written();
                if resumed.is_some() {
                    self.daemon.counters.resumed.inc();
                }
                if let Some(span) = traces::current() {
                    span.event("filling", vec![("icewell.fill.from", written.into())]);
                }
                info!(image_id = %self.fill.key.id, ?size, resumed = written, "filling");
                self.daemon.open_images.watch(&image);
                self.fill.set(Progress::Filling { image: image.clone(), written });
                Ok((writer, answer, image))
            }
            (writer, started) => {
                let error = started.err();
                let why = match error.as_ref().map(icewell::Error::kind) {
                    Some(ErrorKind::NoRoom) => "no-room",
                    Some(ErrorKind::StorageFull) => "storage-full",
                    _ => "cannot-store",
                };
                let answer = resumed.is_none().then_some(answer);
                Err(self.give_up(writer, uncached(why, answer, error.as_ref())).await)
            }
        }
    }
}

/// What becomes of a cached copy.
enum Cached {
    /// There is none, or none any more.
    Missing,
    /// The origin sends another image.
    Changed(Answer),
    End(End),
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}
