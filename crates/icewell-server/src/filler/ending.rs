//! How a fill ends that brings no image.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use futures_util::StreamExt;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use tracing::{info, warn};

use super::Filler;
use crate::counters::FillEnd;
use crate::error::chain;
use crate::failures::failure;
use crate::fill::{End, Refusal};
use crate::origin::{Answer, NoAnswer};
use crate::traces;

/// The longest body of an answer that is not the image and is kept for all who wait.
const MAX_REFUSAL: usize = 64 << 10;

pub(super) fn unanswered(no_answer: NoAnswer) -> End {
    End::Unanswered { status: no_answer.status, reason: no_answer.reason.into() }
}

pub(super) fn uncached(why: &'static str, answer: Option<Answer>, error: Option<&icewell::Error>) -> End {
    match error {
        Some(error) => warn!(why, error = chain(error), "passed through uncached"),
        None => info!(why, "passed through uncached"),
    }
    End::Uncached { why, answer: Arc::new(Mutex::new(answer)) }
}

/// Keeps an answer that is not the image for all who wait. One that is too long to keep is passed to the first, and an
/// error of the server, which is remembered, loses its text instead.
pub(super) async fn refused(answer: Answer) -> End {
    let Answer { status, mut headers, mut body, .. } = answer;
    if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE) {
        let reason = format!("it answered {status}, and nobody had asked for that");
        return unanswered(NoAnswer { status: StatusCode::BAD_GATEWAY, reason });
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
            Err(error) => return unanswered(NoAnswer { status: StatusCode::BAD_GATEWAY, reason: error.to_string() }),
        }
    }
    End::Refused(Arc::new(Refusal { status, headers, body: kept.freeze() }))
}

impl Filler {
    /// Says of the fill's span how it ended; the span ends.
    pub(super) fn tell_trace(&self, outcome: FillEnd, end: Option<&End>) {
        let Some(span) = traces::current() else { return };
        span.set("icewell.fill.outcome", outcome.name());
        span.set("icewell.fill.as_service", self.as_service.load(Ordering::Relaxed));
        if let Some(size) = self.fill.progress().size() {
            span.set("icewell.image.size", size);
        }
        if let Some((kind, _, reason)) = end.and_then(failure) {
            span.fail(kind, &reason);
        }
        span.end();
    }
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        match end {
            End::Broken { reason, .. } | End::Unanswered { reason, .. } => io::Error::other(reason.to_string()),
            other => io::Error::other(format!("the fill ended: {other:?}")),
        }
    }
}
