//! A fill's bytes, from the origin's answer to the commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use icewell::{Commit, ErrorKind, Writer};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::Filler;
use super::healing::Breaks;
use crate::daemon::blocking;
use crate::error::chain;
use crate::fill::{Break, End, Fill, Growing, Progress, Rest, Wanted};
use crate::origin::AnswerBody;
use crate::pages::PIECE;
use crate::traces;

/// How many pieces of a body may wait for the disk.
const PIECES_AHEAD: usize = 16;
/// How long bytes wait for more to be written together.
const GATHERED_FOR: Duration = Duration::from_millis(20);

impl Filler {
    // 5.

    pub(super) async fn transfer(&self, writer: Writer, mut body: AnswerBody, image: Arc<Growing>) -> Option<End> {
        let (pieces, received) = mpsc::channel(PIECES_AHEAD);
        let (done, mut writing) = oneshot::channel();
        let (fill, runtime) = (self.fill.clone(), Handle::current());
        // Not one of the runtime's threads: as many slow origins as there are of those would stop everything.
        let thread = std::thread::Builder::new().name("fill".into());
        let spawned = thread.spawn(move || done.send(write_pieces(writer, received, &fill, &runtime)).ok());
        if let Err(error) = spawned {
            warn!(image_id = %self.fill.key.id, %error, "no thread to write the image with");
            return Some(End::NotKept(None));
        }
        let pumped = self.pump(&mut body, &pieces, &image).await;
        drop(pieces);
        let Ok(Written { writer, refused }) = (&mut writing).await else {
            return Some(End::Broken {
                how: Break::Off,
                status: StatusCode::BAD_GATEWAY,
                reason: "the writer stopped".into(),
            });
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
                let wanted = *self.fill.wanted().borrow();
                let written = writer.written();
                let keep = wanted == Wanted::Kept;
                let suspended = blocking(move || if keep { writer.suspend() } else { writer.release() }).await;
                if let Err(error) = suspended {
                    warn!(image_id = %self.fill.key.id, %error, "what was fetched cannot be kept");
                }
                if wanted == Wanted::NotKept {
                    return Some(End::NotKept(Some(Arc::new(Rest::new(written, Vec::new(), body)))));
                }
                Some(End::Broken { how: Break::Off, status: StatusCode::BAD_GATEWAY, reason: reason.into() })
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
        let (mut stop, mut wanted) = (self.stop.clone(), self.fill.wanted());
        let mut sent = match self.fill.progress() {
            Progress::Filling { written, .. } => written,
            _ => 0,
        };
        let mut breaks = Breaks::default();
        loop {
            let piece = tokio::select! {
                piece = body.next() => piece,
                _ = stop.wait_for(|stop| *stop) => return Err("the daemon stops".into()),
                _ = wanted.wait_for(|wanted| *wanted != Wanted::Kept) => return Err("the image was dropped".into()),
            };
            let reason = match piece {
                Some(Ok(piece)) => {
                    sent += piece.len() as u64;
                    self.daemon.counters.filled.inc_by(piece.len() as u64);
                    if let Err(mpsc::error::SendError(piece)) = pieces.send(piece).await {
                        return Ok(Some(piece));
                    }
                    continue;
                }
                None if image.head.size.is_none_or(|size| sent >= size) => return Ok(None),
                None => "the body ended early".to_owned(),
                // Whether they are the right ones, the size and the digest tell.
                Some(Err(_)) if image.head.size.is_some_and(|size| sent >= size) => return Ok(None),
                Some(Err(error)) => error.to_string(),
            };
            *body = self.heal(sent, image, &mut breaks, reason).await?;
        }
    }

    /// The bytes cannot be kept. They give their room back at once, and who follows goes on with the origin.
    async fn not_kept(&self, writer: Writer, error: &icewell::Error, rest: Rest) -> End {
        let reason = chain(error);
        warn!(image_id = %self.fill.key.id, reason, "the image cannot be kept");
        if error.kind() == ErrorKind::SizeMismatch {
            self.daemon.counters.mismatches.inc();
            let why = reason.clone();
            blocking(move || writer.roll_back(&why)).await;
            return End::Broken { how: Break::Wrong, status: StatusCode::BAD_GATEWAY, reason: reason.into() };
        }
        if let Err(error) = blocking(move || writer.release()).await {
            warn!(image_id = %self.fill.key.id, %error, "what was written cannot be removed");
        }
        if error.kind() == ErrorKind::NoRoom {
            self.daemon.oversized.remember(&self.fill.key.id);
        }
        End::NotKept(Some(Arc::new(rest)).filter(|_| !may_have_lost_bytes(error)))
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
            self.daemon.counters.mismatches.inc();
            let why = reason.clone();
            blocking(move || writer.roll_back(&why)).await;
            return Some(End::Broken { how: Break::Wrong, status: StatusCode::BAD_GATEWAY, reason: reason.into() });
        }
        let wanted = *self.fill.wanted().borrow();
        if wanted == Wanted::Gone {
            blocking(move || writer.release()).await.ok();
            let reason = "the image was deleted".into();
            return Some(End::Broken { how: Break::Deleted, status: StatusCode::NOT_FOUND, reason });
        }
        let size = writer.written();
        if let Some(span) = traces::current() {
            span.event("verified", Vec::new());
        }
        self.fill.set(Progress::Whole { image, size });
        if wanted == Wanted::NotKept {
            blocking(move || writer.release()).await.ok();
            return None;
        }
        let (cache, fill) = (self.daemon.cache.clone(), self.fill.clone());
        let committed = blocking(move || {
            let committed = writer.commit()?;
            fill.set_stored();
            if committed == Commit::Stored {
                match cache.read(&fill.key.id) {
                    Ok(reader) => fill.committed(reader),
                    // Pruned the next moment.
                    Err(error) if error.kind() == ErrorKind::NotCached => {}
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, icewell::Error>(())
        });
        match committed.await {
            Ok(()) => info!(image_id = %self.fill.key.id, size, "cached"),
            Err(error) => {
                warn!(image_id = %self.fill.key.id, error = chain(&error), "the image cannot be committed");
                let lost = may_have_lost_bytes(&error) || error.kind() == ErrorKind::StorageFull;
                return lost.then_some(End::NotKept(None));
            }
        }
        None
    }
}

/// Whether bytes that were written may not be there any more. A file system whose disk has failed drops what it cannot
/// store, and whoever reads it gets zeros: followers of such a fill go on with the origin from where each of them is, if
/// what they were given is still there ([`Growing::still_has`]).
fn may_have_lost_bytes(error: &icewell::Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::ReadOnly)
}

/// What the writing thread comes back with.
struct Written {
    writer: Writer,
    /// Why a piece could not be written, with it and what came after it.
    refused: Option<(icewell::Error, Vec<Bytes>)>,
}

/// The writing thread: takes pieces until there are no more, or they cannot be written. It waits a moment for several to
/// write at once, up to the next whole [`PIECE`]: so they lie in large pages, which are cheaper to send from ever after.
/// The first comes at once.
fn write_pieces(mut writer: Writer, mut pieces: mpsc::Receiver<Bytes>, fill: &Fill, runtime: &Handle) -> Written {
    let (mut gathered, mut next) = (Vec::new(), None);
    let mut buffer = Vec::new();
    while let Some(first) = next.take().or_else(|| pieces.blocking_recv()) {
        gathered.push(first);
        let mut room = (PIECE - writer.written() % PIECE) as usize;
        let until = Instant::now() + if writer.written() == 0 { Duration::ZERO } else { GATHERED_FOR };
        while let Some(last) = gathered.last_mut() {
            if last.len() >= room {
                next = Some(last.split_off(room)).filter(|next| !next.is_empty());
                break;
            }
            room -= last.len();
            match runtime.block_on(async { timeout_at(until.into(), pieces.recv()).await }) {
                Ok(Some(piece)) => gathered.push(piece),
                Ok(None) | Err(_) => break,
            }
        }
        let written = match &gathered[..] {
            [only] => writer.write(only),
            several => {
                buffer.clear();
                several.iter().for_each(|piece: &Bytes| buffer.extend_from_slice(piece));
                writer.write(&buffer)
            }
        };
        if let Err(error) = written {
            pieces.close();
            gathered.extend(next);
            while let Some(piece) = pieces.blocking_recv() {
                gathered.push(piece);
            }
            return Written { writer, refused: Some((error, gathered)) };
        }
        gathered.clear();
        fill.advance(writer.written());
    }
    Written { writer, refused: None }
}
