//! A fill's bytes, from the origin's answer to the commit.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use icewell::{Commit, ErrorKind, Writer};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Filler;
use super::healing::Breaks;
use super::pieces::{Gathering, Writing, pieces};
use crate::daemon::blocking;
use crate::error::chain;
use crate::fill::{Break, End, Fill, Growing, Progress, Rest, Wanted};
use crate::origin::AnswerBody;
use crate::traces;

impl Filler {
    // 5.

    pub(super) async fn transfer(&self, writer: Writer, mut body: AnswerBody, image: Arc<Growing>) -> Option<End> {
        let (mut gathering, received) = pieces(writer.written(), image.head.size);
        let (done, mut writing) = oneshot::channel();
        let fill = self.fill.clone();
        // Not one of the runtime's threads: as many slow origins as there are of those would stop everything.
        let thread = std::thread::Builder::new().name("fill".into());
        let spawned = thread.spawn(move || done.send(write_pieces(writer, received, &fill)).ok());
        if let Err(error) = spawned {
            warn!(image_id = %self.fill.key.id, %error, "no thread to write the image with");
            return Some(End::NotKept(None));
        }
        let (broken, left) = match self.pump(&mut body, &mut gathering, &image).await {
            Ok(()) => (None, Ok(())),
            Err(Stopped::Broken(reason)) => (Some(reason), Ok(())),
            Err(Stopped::ByWriter(left)) => (None, Err(left)),
        };
        // Also what came before a break is kept.
        let left = left.and(gathering.flush().await).err().unwrap_or_default();
        drop(gathering);
        let Ok(Written { writer, refused }) = (&mut writing).await else {
            return Some(End::Broken {
                how: Break::Off,
                status: StatusCode::BAD_GATEWAY,
                reason: "the writer stopped".into(),
            });
        };
        if let Some((error, mut unwritten)) = refused {
            unwritten.extend(left);
            let rest = Rest::new(writer.written(), unwritten, body);
            return Some(self.not_kept(writer, &error, rest).await);
        }
        let Some(reason) = broken else { return self.finish(writer, image).await };
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

    /// Passes the body on to the writing thread. Where the origin breaks off and can go on from there, it is asked to.
    async fn pump(&self, body: &mut AnswerBody, gathering: &mut Gathering, image: &Growing) -> Result<(), Stopped> {
        let (mut stop, mut wanted) = (self.stop.clone(), self.fill.wanted());
        let mut breaks = Breaks::default();
        loop {
            let due = gathering.due();
            let piece = tokio::select! {
                piece = body.next() => Some(piece),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => None,
                _ = stop.wait_for(|stop| *stop) => return Err(Stopped::Broken("the daemon stops".into())),
                _ = wanted.wait_for(|wanted| *wanted != Wanted::Kept) => {
                    return Err(Stopped::Broken("the image was dropped".into()));
                }
            };
            let Some(piece) = piece else {
                gathering.flush().await.map_err(Stopped::ByWriter)?;
                continue;
            };
            let complete = image.head.size.map(|size| gathering.at() >= size);
            let reason = match piece {
                Some(Ok(piece)) => {
                    self.daemon.counters.filled.inc_by(piece.len() as u64);
                    gathering.add(piece).await.map_err(Stopped::ByWriter)?;
                    continue;
                }
                None if complete.unwrap_or(true) => return Ok(()),
                None => "the body ended early".to_owned(),
                // Whether they are the right ones, the size and the digest tell.
                Some(Err(_)) if complete == Some(true) => return Ok(()),
                Some(Err(error)) => error.to_string(),
            };
            // Who follows need not wait for the rest to get what there is.
            gathering.flush().await.map_err(Stopped::ByWriter)?;
            *body = self.heal(gathering.at(), image, &mut breaks, reason).await.map_err(Stopped::Broken)?;
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

/// Why a body did not come to its end.
enum Stopped {
    /// The writing thread takes no more, and tells why; with what it did not get.
    ByWriter(Vec<Bytes>),
    /// The body is not whole, for this reason.
    Broken(String),
}

/// What the writing thread comes back with.
struct Written {
    writer: Writer,
    /// Why a piece could not be written, with it and what came after it.
    refused: Option<(icewell::Error, Vec<Bytes>)>,
}

/// The writing thread.
fn write_pieces(mut writer: Writer, pieces: Writing, fill: &Fill) -> Written {
    let written = pieces.each(|bytes| {
        writer.write(bytes)?;
        fill.advance(writer.written());
        Ok(())
    });
    Written { writer, refused: written.err() }
}
