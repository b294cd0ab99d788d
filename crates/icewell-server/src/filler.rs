//! Fills: from the origin into the cache.
//!
//! 1. Whoever has a cached copy asks the origin whether it is still right; a 304 ends it there.
//! 2. The image is claimed in the directory; where another process fills it already, that fill is followed instead.
//! 3. The origin is asked for the bytes, or for the rest of what an earlier fill left.
//! 4. What may not, or cannot, be cached is left to [`pass`](crate::pass).
//! 5. Bytes go to the library's `Writer`, on a thread of its own; followers are told of each step.
//! 6. Verified, the last bytes are let go; then the image is committed.
//!
//! The fill goes on whoever listens. A break of the origin in the middle is healed by asking for the rest.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, SET_COOKIE, VIA,
};
use http::{Method, StatusCode};
use icewell::{Announced, Commit, ErrorKind, Observed, Observer, Writer};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use crate::daemon::{Daemon, blocking};
use crate::digest_fields::vouched_digests;
use crate::error::chain;
use crate::fill::{End, Fill, Good, Growing, Progress, Refusal, Rest};
use crate::freshness::storable;
use crate::image_head::ImageHead;
use crate::origin::{Answer, AnswerBody, Ask, NoAnswer};

/// How long a failure is remembered, so that a herd of clients does not become a herd of requests.
const FAILURE_KEPT: Duration = Duration::from_secs(1);
/// The longest body of an answer that is not the image and is kept for all who wait.
const MAX_REFUSAL: usize = 64 << 10;
/// How often a body that broke off is asked for again without a byte gained in between.
const MAX_RETRIES: u32 = 3;
/// How many pieces of a body may wait for the disk.
const PIECES_AHEAD: usize = 16;
/// How often a fill of another process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs a fill to its end, in the background. `via` is what the client that began it came by.
pub(crate) fn start(
    daemon: &Arc<Daemon>,
    fill: &Arc<Fill>,
    via: Vec<HeaderValue>,
    found: Found,
    stop: &watch::Receiver<bool>,
) {
    let filler = Filler { daemon: daemon.clone(), fill: fill.clone(), via, found, stop: stop.clone() };
    tokio::spawn(async move {
        let unfinished = Unfinished(filler.fill.clone(), filler.daemon.clone());
        let end = filler.run().await;
        debug!(image_id = %filler.fill.key.id, ?end, "the fill has ended");
        let remembered = match &end {
            Some(End::Broken { .. }) => true,
            Some(End::Refused(refusal)) => refusal.status.is_server_error(),
            _ => false,
        };
        if let Some(end) = end {
            filler.fill.set(Progress::Ended(end));
        }
        if remembered && !filler.daemon.origin.is_local() {
            tokio::time::sleep(FAILURE_KEPT).await;
        }
        drop(unfinished);
    });
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
            self.0.set(Progress::Ended(End::Broken { status: StatusCode::BAD_GATEWAY, reason }));
        }
        self.1.fills.remove(&self.0);
    }
}

struct Filler {
    daemon: Arc<Daemon>,
    fill: Arc<Fill>,
    via: Vec<HeaderValue>,
    found: Found,
    /// True when the daemon stops: then the fill is broken off, to be resumed.
    stop: watch::Receiver<bool>,
}

impl Filler {
    /// None where the image is there for its followers, and nothing is left to tell.
    async fn run(&self) -> Option<End> {
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
        let (writer, answer) = match answer {
            Some(answer) => (writer, answer),
            None => match self.ask_for_image(writer).await {
                Ok(got) => got,
                Err(end) => return Some(end),
            },
        };
        let (writer, answer, image) = match self.begin(writer, answer, refetched).await {
            Ok(begun) => begun,
            Err(end) => return Some(end),
        };
        self.transfer(writer, answer.body, image).await
    }

    // 1.

    async fn check_cached(&self) -> Cached {
        let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
        let Ok(image) = blocking(move || cache.read(&id).map(|reader| reader.image().clone())).await else {
            return Cached::Missing;
        };
        if self.found == Found::Missing {
            // Somebody else was quicker, by a moment.
            return Cached::End(End::Cached(Good::Stored));
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
            Ok(answer) if answer.status.is_server_error() && self.daemon.serve_stale => {
                warn!(image_id = %self.fill.key.id, status = %answer.status, "the origin fails; the stale image is sent");
                Cached::End(End::Cached(Good::Stale))
            }
            Ok(answer) => Cached::End(refused(answer).await),
            Err(no_answer) if self.daemon.serve_stale => {
                warn!(image_id = %self.fill.key.id, reason = no_answer.reason, "no origin; the stale image is sent");
                Cached::End(End::Cached(Good::Stale))
            }
            Err(no_answer) => Cached::End(broken(no_answer)),
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

    // 2.

    /// Claims the image. Another process that fills it is watched; who fills it without Icewell's mark, a Glance, is
    /// waited for.
    async fn claim(&self) -> Result<Claim, End> {
        loop {
            let (cache, id) = (self.daemon.cache.clone(), self.fill.key.id.clone());
            let claimed = blocking(move || match cache.write(&id) {
                Ok(writer) => Ok(Some(Claim::Ours(Box::new(writer)))),
                Err(error) if error.kind() == ErrorKind::InProgress => Ok(cache.observe(&id)?.map(Claim::Theirs)),
                Err(error) => Err(error),
            });
            match claimed.await {
                Ok(Some(claim)) => return Ok(claim),
                Ok(None) if !*self.stop.borrow() => tokio::time::sleep(LOOK_EVERY).await,
                Ok(None) => return Err(uncached("stopping", None, None)),
                Err(error) if error.kind() == ErrorKind::AlreadyCached => return Err(End::Cached(Good::Stored)),
                Err(error) => return Err(uncached("cannot-claim", None, Some(&error))),
            }
        }
    }

    /// Follows the fill of another process, so that its clients and ours share one download. Where it fails, followers
    /// go on with the origin, and the next request begins a fill of our own.
    async fn watch(&self, observer: Observer) -> Option<End> {
        let head = ImageHead::of_metadata(observer.size(), observer.metadata().clone());
        let image = Arc::new(Growing { head, file: observer.file().clone(), refetched: false, theirs: true });
        info!(image_id = %self.fill.key.id, "another process fills the image; following it");
        self.fill.set(Progress::Filling { image: image.clone(), written: 0 });
        let observer = Arc::new(observer);
        loop {
            let looking = observer.clone();
            match blocking(move || looking.look()).await {
                Ok(Observed::Filling { .. }) if *self.stop.borrow() => return Some(End::NotKept(None)),
                Ok(Observed::Filling { written }) => self.fill.advance(written),
                Ok(Observed::Committed) => break,
                Ok(Observed::Ended) => return Some(End::NotKept(None)),
                Err(error) => {
                    warn!(image_id = %self.fill.key.id, error = chain(&error), "the other fill cannot be followed");
                    return Some(End::NotKept(None));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let (cache, fill) = (self.daemon.cache.clone(), self.fill.clone());
        let reader = blocking(move || cache.read(&fill.key.id)).await.ok()?;
        self.fill.set(Progress::Whole { image, size: reader.image().size });
        let fill = self.fill.clone();
        blocking(move || fill.committed(reader)).await;
        None
    }

    // 3.

    async fn ask(&self, mut headers: HeaderMap) -> Result<Answer, NoAnswer> {
        for via in &self.via {
            headers.append(VIA, via.clone());
        }
        self.daemon.pseudonym.add_to(&mut headers);
        let path_and_query = self.fill.key.path_and_query.clone();
        self.daemon.origin.ask(&Ask { method: Method::GET, path_and_query, headers }).await
    }

    /// Asks for the image, or for the rest where an earlier fill left a part and the origin gave a validator.
    async fn ask_for_image(&self, writer: Writer) -> Result<(Writer, Answer), End> {
        let left = writer.resumable().cloned();
        let headers = left.as_ref().and_then(|left| rest(left.length, &left.metadata.validators));
        if let (Some(left), Some(headers)) = (left, headers) {
            match self.ask(headers).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok((writer, answer)),
                Ok(answer) if goes_on(&answer, left.length, left.size, &left.metadata.validators) => {
                    return Ok((writer, answer));
                }
                // What was left is longer than the image now is, or this is no rest of it: from the first byte, then.
                Ok(answer) if matches!(answer.status.as_u16(), 206 | 416) => {}
                Ok(answer) => return Err(self.give_up(writer, refused(answer).await).await),
                Err(no_answer) => return Err(self.give_up(writer, broken(no_answer)).await),
            }
        }
        match self.ask(HeaderMap::new()).await {
            Ok(answer) if answer.status == StatusCode::OK => Ok((writer, answer)),
            Ok(answer) => Err(self.give_up(writer, refused(answer).await).await),
            Err(no_answer) => Err(self.give_up(writer, broken(no_answer)).await),
        }
    }

    async fn give_up(&self, writer: Writer, end: End) -> End {
        if let Err(error) = blocking(move || writer.release()).await {
            warn!(image_id = %self.fill.key.id, %error, "the claim cannot be given back");
        }
        // Whoever wanted it and was told that there is none need not want it any longer.
        if matches!(&end, End::Refused(refusal) if matches!(refusal.status, StatusCode::NOT_FOUND | StatusCode::GONE)) {
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
        let digests = vouched_digests(answer.status, &answer.headers);
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
                let image = Arc::new(Growing { head, file: Arc::new(file), refetched, theirs: false });
                let written = writer.written();
                info!(image_id = %self.fill.key.id, ?size, resumed = written, "filling");
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

    // 5.

    async fn transfer(&self, writer: Writer, mut body: AnswerBody, image: Arc<Growing>) -> Option<End> {
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let (done, mut writing) = oneshot::channel();
        let fill = self.fill.clone();
        // Not one of the runtime's threads: as many slow origins as there are of those would stop everything.
        let thread = std::thread::Builder::new().name("fill".into());
        let spawned = thread.spawn(move || done.send(write_pieces(writer, received, &fill)).ok());
        if let Err(error) = spawned {
            warn!(image_id = %self.fill.key.id, %error, "no thread to write the image with");
            return Some(End::NotKept(None));
        }
        let pumped = self.pump(&mut body, &pieces, &image).await;
        drop(pieces);
        let Ok(Written { writer, refused }) = (&mut writing).await else {
            return Some(End::Broken { status: StatusCode::BAD_GATEWAY, reason: "the writer stopped".into() });
        };
        match (refused, pumped) {
            (Some((error, mut unwritten)), pumped) => {
                if let Ok(Some(piece)) = pumped {
                    unwritten.push(piece);
                }
                let rest = Rest::new(writer.written(), unwritten, body);
                Some(self.not_kept(writer, &error, rest).await)
            }
            (None, Ok(_)) => self.finish(writer, image).await,
            (None, Err(reason)) => {
                warn!(image_id = %self.fill.key.id, reason, written = writer.written(), "the fill broke off");
                let suspended = blocking(move || writer.suspend()).await;
                if let Err(error) = suspended {
                    warn!(image_id = %self.fill.key.id, %error, "what was fetched cannot be kept");
                }
                Some(End::Broken { status: StatusCode::BAD_GATEWAY, reason: reason.into() })
            }
        }
    }

    /// Passes the body on to the writing thread, piece by piece. Where the origin breaks off and can go on from there,
    /// it is asked to. An error says why the body is not whole. A piece is given back where nobody takes it any more:
    /// the writer tells why.
    async fn pump(
        &self,
        body: &mut AnswerBody,
        pieces: &mpsc::Sender<Bytes>,
        image: &Growing,
    ) -> Result<Option<Bytes>, String> {
        let mut stop = self.stop.clone();
        let mut sent = match self.fill.progress() {
            Progress::Filling { written, .. } => written,
            _ => 0,
        };
        let mut retries = 0;
        loop {
            let piece = tokio::select! {
                piece = body.next() => piece,
                _ = stop.wait_for(|stop| *stop) => return Err("the daemon stops".into()),
            };
            let reason = match piece {
                Some(Ok(piece)) => {
                    retries = 0;
                    sent += piece.len() as u64;
                    if let Err(mpsc::error::SendError(piece)) = pieces.send(piece).await {
                        return Ok(Some(piece));
                    }
                    continue;
                }
                None if image.head.size.is_none_or(|size| sent >= size) => return Ok(None),
                None => "the body ended early".to_owned(),
                Some(Err(error)) => error.to_string(),
            };
            if retries == MAX_RETRIES {
                return Err(reason);
            }
            retries += 1;
            warn!(image_id = %self.fill.key.id, reason, sent, "the origin broke off; asking for the rest");
            tokio::time::sleep(Duration::from_millis(100) * 4u32.pow(retries - 1)).await;
            match self.ask_for_rest(sent, image).await {
                Some(rest) => *body = rest,
                None => return Err(reason),
            }
        }
    }

    /// The bytes of the same image from `offset` on; none where the origin cannot give them.
    async fn ask_for_rest(&self, offset: u64, image: &Growing) -> Option<AnswerBody> {
        let validators = &image.head.metadata.validators;
        let answer = self.ask(rest(offset, validators)?).await.ok()?;
        goes_on(&answer, offset, image.head.size, validators).then_some(answer.body)
    }

    /// The bytes cannot be kept. They give their room back at once, and who follows goes on with the origin.
    async fn not_kept(&self, writer: Writer, error: &icewell::Error, rest: Rest) -> End {
        let reason = chain(error);
        warn!(image_id = %self.fill.key.id, reason, "the image cannot be kept");
        if error.kind() == ErrorKind::SizeMismatch {
            let why = reason.clone();
            blocking(move || writer.roll_back(&why)).await;
            return End::Broken { status: StatusCode::BAD_GATEWAY, reason: reason.into() };
        }
        if let Err(error) = blocking(move || writer.release()).await {
            warn!(image_id = %self.fill.key.id, %error, "what was written cannot be removed");
        }
        End::NotKept(Some(Arc::new(rest)))
    }

    // 6.

    async fn finish(&self, mut writer: Writer, image: Arc<Growing>) -> Option<End> {
        let (writer, verified) = blocking(move || {
            let verified = writer.verify();
            (writer, verified)
        })
        .await;
        if let Err(error) = verified {
            let reason = chain(&error);
            warn!(image_id = %self.fill.key.id, reason, "the image is not what the origin announced");
            let why = reason.clone();
            blocking(move || writer.roll_back(&why)).await;
            return Some(End::Broken { status: StatusCode::BAD_GATEWAY, reason: reason.into() });
        }
        let size = writer.written();
        self.fill.set(Progress::Whole { image, size });
        let (cache, fill) = (self.daemon.cache.clone(), self.fill.clone());
        let committed = blocking(move || {
            let committed = writer.commit()?;
            if committed == Commit::Stored {
                fill.committed(cache.read(&fill.key.id)?);
            }
            Ok::<_, icewell::Error>(())
        });
        match committed.await {
            Ok(()) => info!(image_id = %self.fill.key.id, size, "cached"),
            Err(error) => warn!(image_id = %self.fill.key.id, error = chain(&error), "the image cannot be committed"),
        }
        None
    }
}

/// Who fills an image.
enum Claim {
    Ours(Box<Writer>),
    Theirs(Observer),
}

/// What becomes of a cached copy.
enum Cached {
    /// There is none, or none any more.
    Missing,
    /// The origin sends another image.
    Changed(Answer),
    End(End),
}

/// What the writing thread comes back with.
struct Written {
    writer: Writer,
    /// Why a piece could not be written, with it and what came after it.
    refused: Option<(icewell::Error, Vec<Bytes>)>,
}

/// The writing thread: takes pieces until there are no more, or one cannot be written.
fn write_pieces(mut writer: Writer, mut pieces: mpsc::Receiver<Bytes>, fill: &Fill) -> Written {
    while let Some(piece) = pieces.blocking_recv() {
        if let Err(error) = writer.write(&piece) {
            pieces.close();
            let mut unwritten = vec![piece];
            while let Some(piece) = pieces.blocking_recv() {
                unwritten.push(piece);
            }
            return Written { writer, refused: Some((error, unwritten)) };
        }
        fill.advance(writer.written());
    }
    Written { writer, refused: None }
}

/// The request's fields for the bytes from `offset` on of the image that has these validators; none where they are not
/// strong enough to tell it from another (RFC 9110 §13.1.5).
pub(crate) fn rest(offset: u64, validators: &icewell::Validators) -> Option<HeaderMap> {
    let strong = validators.etag.as_deref().filter(|etag| etag.starts_with('"'));
    let mut headers = HeaderMap::new();
    insert(&mut headers, IF_RANGE, Some(strong.or(validators.last_modified.as_deref())?));
    insert(&mut headers, RANGE, Some(&format!("bytes={offset}-")));
    Some(headers)
}

/// Where a 206 begins and how large the whole is; none for a 200. An error for a 206 that nobody can go on from.
pub(crate) fn resumed_at(answer: &Answer) -> Result<Option<(u64, u64)>, &'static str> {
    if answer.status != StatusCode::PARTIAL_CONTENT {
        return Ok(None);
    }
    let parse = || {
        let value = answer.headers.get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let (start, last, size): (u64, u64, u64) = (start.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
        (start <= last && last.checked_add(1)? == size).then_some((start, size))
    };
    parse().map(Some).ok_or("wrong-range")
}

/// Whether a 206 is the rest, from `offset` on, of the image with these validators and, where it is known, of this size.
fn goes_on(answer: &Answer, offset: u64, size: Option<u64>, validators: &icewell::Validators) -> bool {
    let Ok(Some((start, whole))) = resumed_at(answer) else { return false };
    start == offset && size.is_none_or(|size| size == whole) && is_of(answer, validators)
}

/// Whether an answer is of the image that has these validators. A server that does not know `If-Range` sends a part of
/// whatever it has now, and so tells.
pub(crate) fn is_of(answer: &Answer, known: &icewell::Validators) -> bool {
    let told = ImageHead::of_answer(&answer.headers, None, SystemTime::UNIX_EPOCH).metadata.validators;
    if known.etag.as_deref().is_some_and(|etag| etag.starts_with('"')) {
        return told.etag == known.etag;
    }
    // In answer to an `If-Range` the date may be left out (RFC 9110 §15.3.7), the weak tag may not.
    let left_out = answer.status == StatusCode::PARTIAL_CONTENT && told.last_modified.is_none();
    known.last_modified.is_some() && told.etag == known.etag && (left_out || told.last_modified == known.last_modified)
}

pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        headers.insert(name, value);
    }
}

fn broken(no_answer: NoAnswer) -> End {
    End::Broken { status: no_answer.status, reason: no_answer.reason.into() }
}

fn uncached(why: &'static str, answer: Option<Answer>, error: Option<&icewell::Error>) -> End {
    match error {
        Some(error) => warn!(why, error = chain(error), "passed through uncached"),
        None => info!(why, "passed through uncached"),
    }
    End::Uncached { why, answer: Arc::new(Mutex::new(answer)) }
}

/// Keeps an answer that is not the image for all who wait. One that is too long to keep is passed to the first, and an
/// error of the server, which is remembered, loses its text instead.
async fn refused(answer: Answer) -> End {
    let Answer { status, mut headers, mut body, .. } = answer;
    if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
        let reason = format!("it answered {status}, and nobody had asked for that");
        return broken(NoAnswer { status: StatusCode::BAD_GATEWAY, reason });
    }
    // Several clients get it, so it must not tell one of them another's session.
    headers.remove(SET_COOKIE);
    let mut kept = BytesMut::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) if kept.len() + piece.len() <= MAX_REFUSAL => kept.extend_from_slice(&piece),
            Ok(_) if status.is_server_error() => {
                for name in [CONTENT_LENGTH, CONTENT_ENCODING] {
                    headers.remove(name);
                }
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                kept = BytesMut::from(&*format!("{status}: the origin failed\n"));
                break;
            }
            Ok(_) => return uncached("long-refusal", None, None),
            Err(error) => return broken(NoAnswer { status: StatusCode::BAD_GATEWAY, reason: error.to_string() }),
        }
    }
    End::Refused(Arc::new(Refusal { status, headers, body: kept.freeze() }))
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        match end {
            End::Broken { reason, .. } => io::Error::other(reason.to_string()),
            other => io::Error::other(format!("the fill ended: {other:?}")),
        }
    }
}
