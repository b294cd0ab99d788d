//! A body that broke off in the middle: the rest is asked for, and who follows sees nothing of it.
//!
//! It is tried as long as that brings the image on; the pause before each try that follows one in vain is four times as
//! long. Where the origin says that it has another image now, or has no part of this one to give, there is no rest.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use tracing::warn;

use super::Filler;
use crate::fill::{Growing, Wanted};
use crate::origin::{Answer, AnswerBody, NoAnswer};
use crate::rest::{goes_on, range_from, rest, resumed_at};
use crate::retry_after::{is_for_now, retry_after};
use crate::traces;

/// How often in a row the rest is asked for in vain.
const MAX_IN_VAIN: u32 = 4;
/// What is gained by an answer that was not in vain. Less than what drips before it is found too slow, and a fill of some
/// gigabytes would be thousands of requests.
const GAIN: u64 = 1 << 20;
/// The first pause.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest an origin may ask to be left alone while clients wait in the middle of an image.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How often a body broke off, and where.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    in_vain: u32,
    gained_until: u64,
}

impl Breaks {
    /// It broke off at this offset; how long to wait before the rest is asked for, or that it was tried often enough.
    fn at(&mut self, offset: u64) -> Option<Duration> {
        if offset >= self.gained_until.saturating_add(GAIN) {
            self.in_vain = 0;
            self.gained_until = offset;
        }
        self.in_vain += 1;
        (self.in_vain <= MAX_IN_VAIN).then(|| PAUSE * 4u32.pow(self.in_vain - 1))
    }
}

/// What the origin answers to who wants the rest.
enum Going {
    On(AnswerBody),
    /// Not now, and perhaps not before this time.
    Later(String, Option<Duration>),
    /// It is not the same image, or no part of it is to be had.
    Nowhere,
}

impl Filler {
    /// The body from `offset` on, in the place of one that broke off there for `reason`. An error says why there is none.
    pub(super) async fn heal(
        &self,
        offset: u64,
        image: &Growing,
        breaks: &mut Breaks,
        reason: String,
    ) -> Result<AnswerBody, String> {
        let (mut stop, mut wanted) = (self.stop.clone(), self.fill.wanted());
        tokio::select! {
            healed = self.ask_until_it_goes_on(offset, image, breaks, reason) => healed,
            _ = stop.wait_for(|stop| *stop) => Err("the daemon stops".into()),
            _ = wanted.wait_for(|wanted| *wanted != Wanted::Kept) => Err("the image was dropped".into()),
        }
    }

    async fn ask_until_it_goes_on(
        &self,
        offset: u64,
        image: &Growing,
        breaks: &mut Breaks,
        mut reason: String,
    ) -> Result<AnswerBody, String> {
        let mut not_before = Duration::ZERO;
        loop {
            let Some(pause) = breaks.at(offset).filter(|_| not_before <= MAX_RETRY_AFTER) else { return Err(reason) };
            self.daemon.counters.retries.inc();
            if let Some(span) = traces::current() {
                span.event("retry", vec![("icewell.fill.from", offset.into()), ("reason", reason.as_str().into())]);
            }
            warn!(image_id = %self.fill.key.id, reason, offset, "the origin broke off; asking for the rest");
            tokio::time::sleep(pause.max(not_before)).await;
            match self.ask_for_rest(offset, image).await {
                Going::On(body) => return Ok(body),
                Going::Nowhere => return Err(reason),
                Going::Later(why, after) => (reason, not_before) = (why, after.unwrap_or_default()),
            }
        }
    }

    /// Asks for the bytes of the same image from `offset` on.
    async fn ask_for_rest(&self, offset: u64, image: &Growing) -> Going {
        let glance = self.daemon.origin.glance().is_some();
        let headers = if glance { Some(range_from(offset)) } else { rest(offset, &image.head) };
        let Some(headers) = headers else { return Going::Nowhere };
        let answer = match self.ask_on(headers).await {
            Ok(answer) => answer,
            Err(NoAnswer { reason, .. }) => return Going::Later(reason, None),
        };
        if is_for_now(answer.status) {
            return Going::Later(format!("it answers {}", answer.status), later(&answer));
        }
        // What a Glance has under an ID never changes, and its parts have no validator.
        let same = if glance {
            image.head.size.is_some_and(|size| resumed_at(&answer) == Ok(Some((offset, size))))
        } else {
            goes_on(&answer, offset, image.head.size, &image.head.metadata.validators)
        };
        if same { Going::On(answer.body) } else { Going::Nowhere }
    }
}

fn later(answer: &Answer) -> Option<Duration> {
    let says_so = matches!(answer.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    retry_after(&answer.headers, SystemTime::now()).filter(|_| says_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_image_gets_on() {
        let mut breaks = Breaks::default();
        let millis = |pause: Option<Duration>| pause.map(|pause| pause.as_millis());
        assert_eq!([0; 5].map(|at| millis(breaks.at(at))), [Some(100), Some(400), Some(1600), Some(6400), None]);
        assert_eq!(millis(breaks.at(GAIN - 1)), None, "a little is not enough");
        assert_eq!([GAIN, GAIN + 1].map(|at| millis(breaks.at(at))), [Some(100), Some(400)]);
        assert_eq!(millis(breaks.at(2 * GAIN)), Some(100));
    }

    #[test]
    fn a_body_that_drips_is_not_gone_on_with_for_ever() {
        let mut breaks = Breaks::default();
        let tries = (1..).take_while(|n| breaks.at(n * 1024).is_some()).count();
        assert_eq!(tries, 4);
    }
}
