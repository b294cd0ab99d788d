//! A client's body on its way to the origin: who waits for whom, and when it is broken off.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::daemon::Body;
use crate::error::chain;

/// What is known of a body that is being passed on.
#[derive(Debug)]
pub(super) struct Upload(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Since when it is for the origin to do something; none while it is for the client.
    origins_turn: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The client wants to be asked for it, and the origin has not asked. Not reading is what keeps the client waiting.
    Held,
    Flowing,
    /// The origin has refused it. To go on writing to who does not read may cost the answer; to end the body properly
    /// would be a lie.
    Refused,
    /// The refusal has been read: the connection can go.
    Broken,
}

impl Upload {
    pub(super) fn new(held: bool) -> Self {
        let phase = if held { Phase::Held } else { Phase::Flowing };
        Upload(Mutex::new(State { phase, origins_turn: Some(Instant::now()), waker: None }))
    }

    /// The body itself. It fails where the client's fails, so that the origin never takes a part for the whole.
    pub(super) fn body(self: &Arc<Self>, client: Incoming) -> Body {
        Passing { client, upload: self.clone() }.boxed_unsync()
    }

    /// For how long it has been for the origin to connect, to take more of the body, or to answer.
    pub(super) fn waiting_for_origin(&self) -> Option<Duration> {
        self.state().origins_turn.map(|since| since.elapsed())
    }

    pub(super) fn is_held(&self) -> bool {
        self.state().phase == Phase::Held
    }

    /// The origin wants the body, or is taken to.
    pub(super) fn go_on(&self) {
        self.turn(|phase| if phase == Phase::Held { Phase::Flowing } else { phase });
    }

    /// The origin's answer has begun.
    pub(super) fn answered(&self, status: StatusCode) {
        let refused = status.is_client_error() || status.is_server_error();
        self.turn(|phase| if refused || phase == Phase::Held { Phase::Refused } else { phase });
    }

    /// The origin's answer has been read, or nobody wants it any more.
    pub(super) fn answer_ended(&self) {
        self.turn(|phase| if phase == Phase::Refused { Phase::Broken } else { phase });
    }

    fn turn(&self, next: impl FnOnce(Phase) -> Phase) {
        let mut state = self.state();
        state.phase = next(state.phase);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Passing {
    client: Incoming,
    upload: Arc<Upload>,
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Passing { client, upload } = self.get_mut();
        {
            let mut state = upload.state();
            state.waker = Some(context.waker().clone());
            match state.phase {
                Phase::Flowing => {}
                Phase::Held | Phase::Refused => return Poll::Pending,
                Phase::Broken => return Poll::Ready(Some(Err(io::Error::other("the origin does not want the body")))),
            }
        }
        let polled = Pin::new(client).poll_frame(context);
        upload.state().origins_turn = polled.is_ready().then(Instant::now);
        polled.map(|frame| frame.map(|frame| frame.map_err(|error| io::Error::other(chain(&error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.client.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.client.size_hint()
    }
}
