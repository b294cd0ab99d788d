//! Bodies: the parts of an image that a client asked for, from a cached file or from one that grows.
//!
//! A follower of a fill that cannot wait, because its range lies far ahead of what is written, or that is left alone,
//! because the bytes could not be kept, goes on with the origin by itself.

mod cached;
mod past_the_cache;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::HeaderMap;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::sync::{OwnedSemaphorePermit, watch};

pub(crate) use self::cached::Cached;
use self::past_the_cache::{Part, ask_for_part, next_piece};
use crate::daemon::{Daemon, blocking};
use crate::fill::{End, Growing, Progress};
use crate::key::Key;
use crate::open_images::OpenImage;
use crate::origin::AnswerBody;
use crate::pages::{PIECE, Pages};
use crate::traces::{self, Span};

/// How much is read at a time where the file cannot be mapped: what a slow client costs in memory.
const CHUNK: u64 = 64 << 10;
/// A range that begins this far ahead of what is written is asked from the origin instead of waited for.
const FAR_AHEAD: u64 = 1 << 20;
/// As much of the end of what is asked for is copied: `connection::extent` says why.
pub(crate) const COPIED: u64 = 8 << 20;
/// The least that is worth the way to another thread and back.
pub(crate) const LEAST_EXTENT: u64 = 256 << 10;
/// How often in a row a client's own answer of the origin may break off.
const MAX_BREAKS: u32 = 3;

/// What a body consists of, in order.
#[derive(Debug)]
pub(crate) enum Segment {
    /// Bytes that are there: the head of a part of a multipart body.
    Text(Bytes),
    /// Bytes of the image, up to `end`, or to the image's end where that is not known yet.
    Image { start: u64, end: Option<u64> },
}

/// How bytes of a file are handed to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// As pages that only the kernel looks at.
    Pages,
    /// Read before: the connection looks at them, to encrypt them. A file that is cut off would kill it otherwise.
    Copies,
}

/// Where an image's bytes come from.
pub(crate) enum Source {
    Cached(Cached),
    Fill(Box<Follower>),
}

/// A response's body.
pub(crate) enum Body {
    /// All of it is here.
    Whole(Bytes),
    /// Parts of an image.
    Image(ImageBody),
    /// Bytes as they come from elsewhere. At an error the connection is to be broken off.
    Stream(AnswerBody),
}

/// A body as the libraries for HTTP take it.
pub(crate) type HttpBody = UnsyncBoxBody<Bytes, io::Error>;

impl Body {
    pub(crate) fn empty() -> Self {
        Body::Whole(Bytes::new())
    }

    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Body::Whole(text.into())
    }

    /// Its length in bytes, where that is known from the body itself.
    pub(crate) fn len(&self) -> Option<u64> {
        if let Body::Whole(bytes) = self { Some(bytes.len() as u64) } else { None }
    }

    /// What comes next; none at the end. It is an extent only where the caller can send one; of one, [`skip`](Self::skip) has to
    /// be told what was sent.
    ///
    /// # Errors
    ///
    /// It breaks off here: nothing may look as if it had come to its end.
    pub(crate) async fn next(&mut self, extents_too: bool) -> io::Result<Option<Piece>> {
        match self {
            Body::Whole(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Piece::Bytes)),
            Body::Image(image) => image.next(extents_too).await,
            Body::Stream(stream) => Ok(stream.next().await.transpose()?.map(Piece::Bytes)),
        }
    }

    /// So many bytes of the extent that was to come next were sent.
    pub(crate) fn skip(&mut self, bytes: u64) {
        if let Body::Image(body) = self
            && let Some(Segment::Image { start, .. }) = body.segments.front_mut()
        {
            *start += bytes;
            if let Source::Cached(cached) = &mut body.source {
                cached.was_sent_to(*start);
            }
        }
    }

    /// For a library that asks for the next bytes before the last have left.
    pub(crate) fn into_http(mut self) -> HttpBody {
        match &mut self {
            Body::Whole(bytes) => {
                return Full::new(std::mem::take(bytes)).map_err(|never| match never {}).boxed_unsync();
            }
            Body::Image(image) => image.asked_ahead = true,
            Body::Stream(_) => {}
        }
        let frames = stream::try_unfold(self, |mut body| async move {
            Ok(body.next(false).await?.map(|piece| (Frame::data(piece.into_bytes()), body)))
        });
        StreamBody::new(frames).boxed_unsync()
    }
}

/// What comes next of a body.
pub(crate) enum Piece {
    Bytes(Bytes),
    Extent(Extent),
}

impl Piece {
    /// Of who was not given leave for extents.
    fn into_bytes(self) -> Bytes {
        if let Piece::Bytes(bytes) = self { bytes } else { Bytes::new() }
    }
}

/// Bytes of a file that lie one after the other, and may be sent right from there.
pub(crate) struct Extent {
    pub(crate) image: Arc<OpenImage>,
    pub(crate) start: u64,
    /// What lies before this may be handed to a socket as pages of the file, the rest only as copies.
    pub(crate) copied_from: u64,
    pub(crate) end: u64,
}

/// Parts of an image, in order.
pub(crate) struct ImageBody {
    source: Source,
    sending: Sending,
    segments: VecDeque<Segment>,
    /// Whether bytes are asked for before those before them have left.
    asked_ahead: bool,
}

impl ImageBody {
    pub(crate) fn new(source: Source, sending: Sending, segments: impl IntoIterator<Item = Segment>) -> Self {
        ImageBody { source, sending, segments: segments.into_iter().collect(), asked_ahead: false }
    }

    async fn next(&mut self, extents_too: bool) -> io::Result<Option<Piece>> {
        loop {
            let (start, end) = match self.segments.pop_front() {
                None => return Ok(None),
                Some(Segment::Text(text)) => return Ok(Some(Piece::Bytes(text))),
                Some(Segment::Image { start, end }) => (start, end),
            };
            let how = How { sending: self.sending, asked_ahead: self.asked_ahead, extents_too };
            let piece = match &mut self.source {
                Source::Cached(cached) => cached.read(how, start, end).await?,
                Source::Fill(follower) => follower.read(how, start, end).await?,
            };
            if let Some(piece) = piece {
                let start = if let Piece::Bytes(bytes) = &piece { start + bytes.len() as u64 } else { start };
                self.segments.push_front(Segment::Image { start, end });
                return Ok(Some(piece));
            }
        }
    }
}

/// How bytes are read for who sends them.
#[derive(Clone, Copy, Debug)]
struct How {
    sending: Sending,
    asked_ahead: bool,
    /// Whether an extent can be sent.
    extents_too: bool,
}

/// What is read in pieces: a cached image, or one that grows.
trait Readable: Send + Sync + 'static {
    fn file(&self) -> &File;
    fn small(&self) -> Option<&Bytes>;
    fn pages(&self) -> Option<&Arc<Pages>>;
}

impl Readable for OpenImage {
    fn file(&self) -> &File {
        self.reader().file()
    }

    fn small(&self) -> Option<&Bytes> {
        self.small()
    }

    fn pages(&self) -> Option<&Arc<Pages>> {
        self.pages()
    }
}

impl Readable for Growing {
    fn file(&self) -> &File {
        &self.file
    }

    fn small(&self) -> Option<&Bytes> {
        None
    }

    fn pages(&self) -> Option<&Arc<Pages>> {
        self.pages.as_ref()
    }
}

/// The next bytes, up to a piece or a chunk: right from the page cache where the file can be mapped. What is not in memory
/// is waited for where that holds up nobody.
async fn read_chunk(image: &Arc<impl Readable>, how: How, start: u64, end: u64) -> io::Result<Bytes> {
    if let Some(bytes) = image.small() {
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        return Ok(bytes.slice(bound(start)..bound(end)));
    }
    let Some(pages) = image.pages().filter(|_| how.sending == Sending::Pages) else {
        return read_copy(image, start, end).await;
    };
    let most = if how.asked_ahead && end - start > CHUNK {
        // The last chunk comes by itself, so that it is not asked for before the rest has gone: an answer that was broken
        // off is no hit.
        end - CHUNK
    } else {
        end
    };
    // Whole large pages, where it is not all that is left.
    let end = if most - start > PIECE { (start / PIECE + 1) * PIECE } else { most };
    if !pages.are_resident(start..end) {
        let pages = pages.clone();
        blocking(move || pages.bring_in(start..end)).await?;
    }
    // Past the end of a file that was cut off, its last page reads as zeros, and no call fails.
    if image.file().metadata()?.len() < end {
        return Err(cut_off());
    }
    Ok(pages.slice(start..end))
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the image's file is shorter than it was")
}

async fn read_copy(image: &Arc<impl Readable>, start: u64, end: u64) -> io::Result<Bytes> {
    let mut chunk = vec![0; usize::try_from((end - start).min(CHUNK)).unwrap_or(0)];
    let at_once = preadv2(image.file(), &mut [IoSliceMut::new(&mut chunk)], start, ReadWriteFlags::NOWAIT);
    let (mut chunk, length) = match at_once {
        Ok(length) if length > 0 => (chunk, length),
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => {
            let image = image.clone();
            blocking(move || image.file().read_at(&mut chunk, start).map(|length| (chunk, length))).await?
        }
        Err(error) => return Err(error.into()),
    };
    if length == 0 {
        return Err(cut_off());
    }
    chunk.truncate(length);
    Ok(chunk.into())
}

/// One client of a fill.
pub(crate) struct Follower {
    daemon: Arc<Daemon>,
    key: Key,
    /// What tells a Glance who asks.
    caller: HeaderMap,
    progress: watch::Receiver<Progress>,
    image: Arc<Growing>,
    /// What the request is traced by.
    span: Option<Span>,
    /// The origin's own answer, and where it has come to.
    direct: Option<(u64, AnswerBody)>,
    /// Held while that is of what lies far ahead.
    ahead: Option<OwnedSemaphorePermit>,
    /// Whether the origin was asked in vain, so that waiting is all there is.
    patient: bool,
    /// How often its own answer broke off in a row.
    breaks: u32,
    /// What it was given out of the file, and nobody has looked at again since.
    given: Option<Range<u64>>,
}

impl Follower {
    pub(crate) fn new(
        daemon: Arc<Daemon>,
        key: Key,
        caller: HeaderMap,
        progress: watch::Receiver<Progress>,
        image: Arc<Growing>,
    ) -> Box<Self> {
        Box::new(Follower {
            daemon,
            key,
            caller,
            progress,
            image,
            span: traces::current(),
            direct: None,
            ahead: None,
            patient: false,
            breaks: 0,
            given: None,
        })
    }

    /// The next bytes from `start` on, at most up to `end`; none at the end of the image.
    async fn read(&mut self, how: How, start: u64, end: Option<u64>) -> io::Result<Option<Piece>> {
        if end == Some(start) {
            return Ok(None);
        }
        loop {
            if let Some((at, body)) = &mut self.direct {
                if *at == start {
                    match next_piece(at, body, end).await {
                        Ok(piece) => {
                            self.breaks = 0;
                            return Ok(piece.map(Piece::Bytes));
                        }
                        Err(error) if self.breaks == MAX_BREAKS => return Err(error),
                        // What has come is right; the fill, or the origin asked again, has the rest.
                        Err(_) => (self.breaks, self.patient) = (self.breaks + 1, true),
                    }
                }
                (self.direct, self.ahead) = (None, None);
            }
            let (visible, size, ended) = {
                let progress = self.progress.borrow_and_update();
                let ended = if let Progress::Ended(end) = &*progress { Some(end.clone()) } else { None };
                (progress.visible(), progress.size(), ended)
            };
            let end = end.or(size);
            if end == Some(start) {
                return Ok(None);
            }
            let ready = end.unwrap_or(u64::MAX).min(visible);
            if start < ready {
                return self.read_file(how, start..ready, end).await.map(|chunk| Some(Piece::Bytes(chunk)));
            }
            match ended {
                Some(End::NotKept(rest)) => {
                    self.nothing_is_lost().await?;
                    let body = match rest.and_then(|rest| rest.take(start)) {
                        Some(body) => Some(body),
                        None => self.ask_origin(start, end).await,
                    };
                    match body {
                        Some(body) => self.direct = Some((start, body)),
                        None => return Err(io::Error::other("the origin does not give the rest of the image")),
                    }
                }
                Some(ended) => return Err(ended.into()),
                None if !self.patient && start > visible.saturating_add(FAR_AHEAD) => {
                    // Until it is this client's turn to ask, the fill may have come there.
                    let permit = tokio::select! {
                        permit = self.image.ahead.clone().acquire_owned() => permit.ok(),
                        Ok(()) = self.progress.changed() => continue,
                    };
                    if permit.is_some() {
                        self.nothing_is_lost().await?;
                        self.direct = self.ask_origin(start, end).await.map(|body| (start, body));
                        if self.direct.is_none() && self.daemon.origin.glance().is_none() {
                            self.image.ahead.close();
                        }
                    }
                    self.ahead = permit.filter(|_| self.direct.is_some());
                    self.patient = self.direct.is_none();
                }
                None => {
                    if self.progress.changed().await.is_err() {
                        return Err(io::Error::other("the fill is gone"));
                    }
                }
            }
        }
    }

    /// Bytes of the file, which may not be durable yet. The last of all come by themselves, and only where the file system has
    /// lost nothing of what was given out before.
    async fn read_file(&mut self, how: How, ready: Range<u64>, end: Option<u64>) -> io::Result<Bytes> {
        let Range { start, end: ready } = ready;
        let before = self.given.as_ref().map_or(start, |given| given.start.min(start));
        if self.image.holes.is_none() || end.is_none_or(|end| ready < end) {
            self.given = Some(before..ready);
            return read_chunk(&self.image, how, start, ready).await;
        }
        if ready - start > CHUNK {
            self.given = Some(before..ready - CHUNK);
            return read_chunk(&self.image, how, start, ready - CHUNK).await;
        }
        let chunk = read_copy(&self.image, start, ready).await?;
        self.given = Some(before..start + chunk.len() as u64);
        self.nothing_is_lost().await?;
        Ok(chunk)
    }

    /// Makes sure that all that was given out is what had been written. What was given out has left by now.
    async fn nothing_is_lost(&mut self) -> io::Result<()> {
        let Some(given) = self.given.take() else { return Ok(()) };
        let image = self.image.clone();
        blocking(move || image.still_has(given)).await
    }

    /// The origin's own bytes from `start` on, if it surely still has the same image.
    async fn ask_origin(&mut self, start: u64, end: Option<u64>) -> Option<AnswerBody> {
        // The whole is a detour: only for who has begun and cannot go on otherwise.
        let part = Part { start, end, whole_too: self.abandoned() };
        let asked = ask_for_part(&self.daemon, &self.key, &self.caller, &self.image.head, part);
        Box::pin(traces::within(self.span.clone(), asked)).await
    }

    fn abandoned(&self) -> bool {
        matches!(&*self.progress.borrow(), Progress::Ended(_))
    }
}
