//! A client's body on its way to the origin: who waits for whom, and when it is let go of.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::error::chain;

/// A request's body on its way to the origin.
pub(super) type Given = UnsyncBoxBody<Bytes, io::Error>;

/// The side of who passes a body on. When it is dropped with the body still held or refused, or before there was an
/// answer, the body is let go of, and with it the connections of both sides.
#[derive(Debug)]
pub(super) struct Giving(Arc<Upload>);

/// A body that is being passed on.
#[derive(Debug)]
pub(super) struct Upload(Mutex<State>);

#[derive(Debug)]
struct State {
    /// None once it is let go of.
    client: Option<Incoming>,
    phase: Phase,
    /// Since when it is for the origin to do something; none while it is for the client.
    origins_turn: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client wants to be asked for it, and the origin has not asked. Not reading is what keeps the client waiting.
    Held,
    /// No answer yet.
    Flowing,
    /// The origin has answered, and may go on to take the body.
    Answered,
    /// The origin has refused it. To go on writing to who does not read may cost the answer; to end the body properly
    /// would be a lie.
    Refused,
}

impl Giving {
    /// `held`: the client waits to be asked for the body.
    pub(super) fn new(client: Incoming, held: bool) -> Self {
        let phase = if held { Phase::Held } else { Phase::Flowing };
        let state = State { client: Some(client), phase, origins_turn: Some(Instant::now()), waker: None };
        Giving(Arc::new(Upload(Mutex::new(state))))
    }

    /// The body itself. It fails where the client's fails, so that the origin never takes a part for the whole.
    pub(super) fn body(&self) -> Given {
        Passing(self.upload()).boxed_unsync()
    }

    pub(super) fn upload(&self) -> Arc<Upload> {
        self.0.clone()
    }
}

impl Deref for Giving {
    type Target = Upload;

    fn deref(&self) -> &Upload {
        &self.0
    }
}

impl Drop for Giving {
    fn drop(&mut self) {
        let mut state = self.state();
        if state.phase != Phase::Answered {
            state.client = None;
            state.wake();
        }
    }
}

impl Upload {
    /// For how long it has been for the origin to connect, to take more of the body, or to answer.
    pub(super) fn waiting_for_origin(&self) -> Option<Duration> {
        self.state().origins_turn.map(|since| since.elapsed())
    }

    pub(super) fn is_held(&self) -> bool {
        self.state().phase == Phase::Held
    }

    /// The origin wants the body, or is taken to.
    pub(super) fn go_on(&self) {
        let mut state = self.state();
        if state.phase == Phase::Held {
            state.phase = Phase::Flowing;
            state.wake();
        }
    }

    /// The origin's answer has begun.
    pub(super) fn answered(&self, status: StatusCode) {
        let mut state = self.state();
        let refused = status.is_client_error() || status.is_server_error() || state.phase == Phase::Held;
        state.phase = if refused { Phase::Refused } else { Phase::Answered };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Passing(Arc<Upload>);

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.0.state();
        state.waker = Some(context.waker().clone());
        let passes = matches!(state.phase, Phase::Flowing | Phase::Answered);
        let Some(client) = &mut state.client else {
            return Poll::Ready(Some(Err(io::Error::other("the origin does not want the body"))));
        };
        if !passes {
            return Poll::Pending;
        }
        let polled = Pin::new(client).poll_frame(context);
        state.origins_turn = polled.is_ready().then(Instant::now);
        polled.map(|frame| frame.map(|frame| frame.map_err(|error| io::Error::other(chain(&error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.state().client.as_ref().is_some_and(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.state().client.as_ref().map_or_else(SizeHint::default, Incoming::size_hint)
    }
}
