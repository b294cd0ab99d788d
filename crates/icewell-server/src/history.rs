//! What was counted over time, for the charts of the page, and when the cache will be full: in memory, for the last hour,
//! day and week, each in as many steps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::watch;
use tracing::debug;
use url::form_urlencoded;

use crate::counters::Totals;
use crate::daemon::Daemon;
use crate::error::chain;
use crate::janitor::pause;
use crate::status::seconds;

/// How often a sample is taken.
const STEP: Duration = Duration::from_secs(10);
/// How many samples are kept of each span; one more than there are steps in between.
const KEPT: usize = 361;
/// What is less than this is no ground to tell the future by.
const ENOUGH: f64 = 120.0;

/// A span, and how many steps lie between two of its samples.
const SPANS: [(&str, u64); 3] = [("hour", 1), ("day", 24), ("week", 168)];

/// The samples.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Spans>);

#[derive(Debug, Default)]
struct Spans {
    taken: u64,
    samples: [VecDeque<Sample>; SPANS.len()],
}

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) requests: u64,
    pub(crate) from_cache: u64,
    pub(crate) from_fill: u64,
    pub(crate) passed: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) sent_from_cache: u64,
    pub(crate) filled_bytes: u64,
    pub(crate) failed_fills: u64,
    /// The bytes that the limit counts, at that moment, and the limit.
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// The samples of one span, the first first.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    span: String,
    samples: Vec<Sample>,
}

/// When the cache will be full, if it goes on as it did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Forecast {
    /// Nobody can tell yet.
    Unknown,
    /// There is no room left; whatever comes now takes the place of something else.
    Full,
    /// It does not grow.
    Steady,
    /// It grows by this much a second, and is full after so many.
    Growing { bytes_per_second: f64, seconds: f64 },
}

impl Sample {
    pub(crate) fn new(at: SystemTime, totals: Totals, used: u64, limit: u64) -> Self {
        let Totals { requests, from_cache, from_fill, passed, sent_bytes, .. } = totals;
        let Totals { sent_from_cache, filled_bytes, failed_fills, .. } = totals;
        Sample {
            at: seconds(at),
            requests,
            from_cache,
            from_fill,
            passed,
            sent_bytes,
            sent_from_cache,
            filled_bytes,
            failed_fills,
            used,
            limit,
        }
    }
}

impl History {
    fn push(&self, sample: Sample) {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = spans.taken;
        for (samples, (_, every)) in spans.samples.iter_mut().zip(SPANS) {
            if taken.is_multiple_of(every) {
                samples.truncate(KEPT - 1);
                samples.push_front(sample);
            }
        }
        spans.taken += 1;
    }

    /// The samples of `span`, the first first; none where there is no such span.
    pub(crate) fn of(&self, span: &str) -> Option<Vec<Sample>> {
        let at = SPANS.iter().position(|(name, _)| *name == span)?;
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(spans.samples[at].iter().rev().copied().collect())
    }

    /// The answer to a question: `span=hour`, which is also that to none, `day` or `week`.
    ///
    /// # Errors
    ///
    /// What is wrong with the question.
    pub(crate) fn told(&self, query: Option<&str>) -> Result<Told, String> {
        let mut span = "hour".to_owned();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name != "span" {
                return Err(format!("{name} is not span"));
            }
            span = value.into_owned();
        }
        let samples = self.of(&span).ok_or_else(|| format!("span={span} is none of hour, day and week"))?;
        Ok(Told { span, samples })
    }

    /// When `room` more bytes will be taken, of `all` that there may ever be: by the last day, or as much of it as there was.
    pub(crate) fn forecast(&self, room: u64, all: u64) -> Forecast {
        let [hour, day] = ["hour", "day"].map(|span| self.of(span).unwrap_or_default());
        let samples = if spread(&day) > spread(&hour) { day } else { hour };
        forecast(&samples, room, all)
    }
}

fn spread(samples: &[Sample]) -> f64 {
    samples.last().zip(samples.first()).map_or(0.0, |(last, first)| last.at - first.at)
}

/// Less than a hundredth of it all is no room to speak of: the next image will hardly fit.
fn forecast(samples: &[Sample], room: u64, all: u64) -> Forecast {
    if room <= all / 100 {
        return Forecast::Full;
    }
    if spread(samples) < ENOUGH {
        return Forecast::Unknown;
    }
    match slope(samples) {
        // A limit a year away is no news.
        growth if growth * 365.0 * 86_400.0 > room as f64 => {
            Forecast::Growing { bytes_per_second: growth, seconds: room as f64 / growth }
        }
        _ => Forecast::Steady,
    }
}

/// The line through the samples that fits best (least squares), in bytes a second.
fn slope(samples: &[Sample]) -> f64 {
    let number = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / number;
    let (at, used) = (mean(|sample| sample.at), mean(|sample| sample.used as f64));
    let (mut up, mut across) = (0.0, 0.0);
    for sample in samples {
        up += (sample.at - at) * (sample.used as f64 - used);
        across += (sample.at - at).powi(2);
    }
    if across > 0.0 { up / across } else { 0.0 }
}

/// Takes samples until `stop` turns true.
pub(crate) async fn keep(daemon: Arc<Daemon>, mut stop: watch::Receiver<bool>) {
    loop {
        match daemon.census.counted(&daemon.cache).await {
            Ok(counted) => {
                let (now, totals) = (SystemTime::now(), daemon.counters.totals());
                daemon.history.push(Sample::new(now, totals, counted.used(), counted.limit.max_size));
            }
            Err(error) => debug!(error = chain(&error), "no sample for the history"),
        }
        if !pause(&mut stop, STEP).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn sample(at: u64, used: u64) -> Sample {
        Sample::new(UNIX_EPOCH + Duration::from_secs(at), Totals::default(), used, 1000)
    }

    #[test]
    fn an_hour_a_day_and_a_week_in_as_many_steps() {
        let history = History::default();
        for step in 0..100_000 {
            history.push(sample(step * 10, 0));
        }
        for (span, seconds) in [("hour", 3600.0), ("day", 86_400.0), ("week", 604_800.0)] {
            let samples = history.of(span).unwrap();
            assert_eq!((samples.len(), spread(&samples)), (KEPT, seconds), "{span}");
            assert!(samples.last().unwrap().at >= 999_990.0 - seconds / 360.0, "{span}");
        }
        assert_eq!(history.told(None).unwrap().span, "hour");
        assert_eq!(history.told(Some("span=week")).unwrap().samples.len(), KEPT);
        assert!(history.told(Some("span=year")).is_err() && history.told(Some("step=1")).is_err());
    }

    #[test]
    fn when_it_will_be_full() {
        let line = |growth: u64| (0..60).map(|n| sample(n * 10, 100 + n * growth)).collect::<Vec<_>>();
        assert_eq!(forecast(&line(10), 500, 1000), Forecast::Growing { bytes_per_second: 1.0, seconds: 500.0 });
        assert_eq!(forecast(&line(0), 500, 1000), Forecast::Steady);
        assert_eq!(forecast(&line(10), 10, 1000), Forecast::Full);
        assert_eq!(forecast(&line(10)[..5], 500, 1000), Forecast::Unknown);
        assert_eq!(forecast(&[], 500, 1000), Forecast::Unknown);
        let shrinking: Vec<_> = line(10).into_iter().map(|s| Sample { used: 1000 - s.used, ..s }).collect();
        assert_eq!(forecast(&shrinking, 500, 1000), Forecast::Steady);
    }
}
