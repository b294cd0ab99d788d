//! What the daemon counts as it works. `docs/metrics.md` says what each means; [`metrics`](crate::metrics) tells them.
//!
//! A request costs a handful of relaxed additions here and no lock: series with labels are looked up once, at the start.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::failures::Reason;
use crate::traces::SpanEnd;

/// Upper bounds of the first byte's histogram, in seconds: hits take some hundred microseconds, fills as long as the
/// origin likes.
const FIRST_BYTE: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];
/// Upper bounds of the histogram of fills: from a kernel on the same rack to a large image over a thin line.
const FILL: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// What the cache did for a request, as `Cache-Status` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// From the cache, without a question.
    Hit,
    /// From the cache, although the origin had to be asked and failed.
    Stale,
    /// From the cache: the origin said that it has not changed.
    Revalidated,
    /// From the origin, and stored on the way.
    Miss,
    /// From the fill of an earlier request.
    Collapsed,
    /// From the origin, which had another image by now.
    Refetched,
    /// From the origin, past the cache.
    Passed,
    /// Nothing: it was about no image, or is no answer of the cache's.
    None,
}

/// Where the bytes of an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Cache,
    Fill,
    Origin,
    Other,
}

impl Decision {
    const ALL: [(Decision, &'static str); 8] = [
        (Decision::Hit, "hit"),
        (Decision::Stale, "stale"),
        (Decision::Revalidated, "revalidated"),
        (Decision::Miss, "miss"),
        (Decision::Collapsed, "collapsed"),
        (Decision::Refetched, "refetched"),
        (Decision::Passed, "passed"),
        (Decision::None, "none"),
    ];

    /// Its name, in metrics, logs and traces.
    pub(crate) fn name(self) -> &'static str {
        Decision::ALL[self as usize].1
    }

    pub(crate) fn source(self) -> Source {
        match self {
            Decision::Hit | Decision::Stale | Decision::Revalidated => Source::Cache,
            Decision::Miss | Decision::Collapsed | Decision::Refetched => Source::Fill,
            Decision::Passed => Source::Origin,
            Decision::None => Source::Other,
        }
    }
}

impl Source {
    const ALL: [(Source, &'static str); 4] =
        [(Source::Cache, "cache"), (Source::Fill, "fill"), (Source::Origin, "origin"), (Source::Other, "other")];

    /// Its name, in metrics, logs and traces.
    pub(crate) fn name(self) -> &'static str {
        Source::ALL[self as usize].1
    }
}

/// How a fill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FillEnd {
    /// The image is there, whole and verified.
    Stored,
    /// It was cached already, or the origin vouched for the cached copy.
    Cached,
    /// The origin's answer may not be kept, or was no image.
    Refused,
    /// The origin answered with an error of its own.
    OriginError,
    /// It did not answer, broke off, or sent other bytes than it had announced.
    Broken,
    /// There was no room for it, or it could not be written.
    NotKept,
}

impl FillEnd {
    const ALL: [(FillEnd, &'static str); 6] = [
        (FillEnd::Stored, "stored"),
        (FillEnd::Cached, "cached"),
        (FillEnd::Refused, "refused"),
        (FillEnd::OriginError, "origin_error"),
        (FillEnd::Broken, "broken"),
        (FillEnd::NotKept, "not_kept"),
    ];

    /// Its name, in metrics and traces.
    pub(crate) fn name(self) -> &'static str {
        FillEnd::ALL[self as usize].1
    }
}

/// What came of the question whether a caller may have a Glance's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// A yes of a moment ago.
    Remembered,
    Allowed,
    Refused,
    /// Glance has another image by now.
    Changed,
    /// Glance did not answer.
    Failed,
}

impl Check {
    const ALL: [(Check, &'static str); 5] = [
        (Check::Remembered, "remembered"),
        (Check::Allowed, "allowed"),
        (Check::Refused, "refused"),
        (Check::Changed, "changed"),
        (Check::Failed, "failed"),
    ];

    /// Its name, in metrics and traces.
    pub(crate) fn name(self) -> &'static str {
        Check::ALL[self as usize].1
    }
}

/// The daemon's counters.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) registry: Registry,
    requests: Vec<IntCounter>,
    responses: Vec<IntCounter>,
    parts: IntCounter,
    pub(crate) hits: IntCounter,
    sent: Vec<IntCounter>,
    first_byte: Vec<Histogram>,
    fills: Vec<IntCounter>,
    fill_failures: Vec<IntCounter>,
    fill_seconds: Histogram,
    /// Bytes of images that fills got from the origin.
    pub(crate) filled: IntCounter,
    /// Fills that went on from what an earlier one had left.
    pub(crate) resumed: IntCounter,
    /// Requests for the rest of a body that broke off.
    pub(crate) retries: IntCounter,
    /// Fills whose bytes were not what the origin had announced.
    pub(crate) mismatches: IntCounter,
    /// Images that were read again and found as they were.
    pub(crate) scrubbed: IntCounter,
    /// Bytes read for that.
    pub(crate) scrubbed_bytes: IntCounter,
    /// Cached images whose bytes were found to be wrong.
    pub(crate) corrupt: IntCounter,
    /// Responses in whose middle a cached image could not be read on.
    pub(crate) read_errors: IntCounter,
    /// Those of them that went on from the origin.
    pub(crate) healed: IntCounter,
    checks: Vec<IntCounter>,
    /// Spans of traces, by what became of them: in the order of [`SpanEnd::ALL`].
    pub(crate) spans: Vec<IntCounter>,
    /// Responses that have ended and are not yet counted on their images.
    pub(crate) uncounted: AtomicU64,
}

/// What is asked for together: all that was counted, in a form to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) from_cache: u64,
    pub(crate) from_fill: u64,
    pub(crate) passed: u64,
    pub(crate) hits: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) sent_from_cache: u64,
    pub(crate) filled_bytes: u64,
    pub(crate) failed_fills: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters::new(Registry::new())
    }
}

impl Counters {
    fn new(registry: Registry) -> Self {
        let decisions = Decision::ALL.map(|all| all.1);
        let sources = Source::ALL.map(|all| all.1);
        let first_byte = made(HistogramVec::new(
            HistogramOpts::new(
                "icewell_first_byte_seconds",
                "Time from a request's head to the first byte of its answer's body, by where the bytes come from.",
            )
            .buckets(FIRST_BYTE.into()),
            &["from"],
        ));
        registered(&registry, &first_byte);
        let fill_seconds = made(Histogram::with_opts(
            HistogramOpts::new("icewell_fill_duration_seconds", "Time from the beginning of a fill to its end.")
                .buckets(FILL.into()),
        ));
        registered(&registry, &fill_seconds);
        Counters {
            requests: series(
                &registry,
                "icewell_requests_total",
                "Requests answered, by what the cache did.",
                "cache",
                &decisions,
            ),
            responses: series(
                &registry,
                "icewell_responses_total",
                "Responses, by the class of their status.",
                "code",
                &["1xx", "2xx", "3xx", "4xx", "5xx"],
            ),
            parts: counter(&registry, "icewell_range_responses_total", "Responses that are parts of an image (206)."),
            hits: counter(&registry, "icewell_hits_total", "Images sent from the cache, whole, and counted on them."),
            sent: series(
                &registry,
                "icewell_sent_bytes_total",
                "Bytes of bodies sent to clients, by where they come from.",
                "from",
                &sources,
            ),
            first_byte: sources[..3].iter().map(|source| first_byte.with_label_values(&[source])).collect(),
            fills: series(
                &registry,
                "icewell_fills_total",
                "Fills that have ended, by how.",
                "outcome",
                &FillEnd::ALL.map(|all| all.1),
            ),
            fill_failures: series(
                &registry,
                "icewell_fill_failures_total",
                "Fills that have failed, by why.",
                "reason",
                &Reason::ALL.map(|all| all.1),
            ),
            fill_seconds,
            filled: counter(&registry, "icewell_filled_bytes_total", "Bytes of images that fills got from the origin."),
            resumed: counter(
                &registry,
                "icewell_fills_resumed_total",
                "Fills that went on from what an earlier one had left.",
            ),
            retries: counter(
                &registry,
                "icewell_fill_retries_total",
                "Requests for the rest of a body that the origin had broken off.",
            ),
            mismatches: counter(
                &registry,
                "icewell_fill_mismatches_total",
                "Fills whose bytes were not those that the origin had announced.",
            ),
            scrubbed: counter(
                &registry,
                "icewell_scrubbed_images_total",
                "Cached images that were read again and found as they were.",
            ),
            scrubbed_bytes: counter(&registry, "icewell_scrubbed_bytes_total", "Bytes of images that were read again."),
            corrupt: counter(
                &registry,
                "icewell_corrupt_images_total",
                "Cached images whose bytes were found to be wrong.",
            ),
            read_errors: counter(
                &registry,
                "icewell_read_errors_total",
                "Responses in whose middle a cached image could not be read on.",
            ),
            healed: counter(
                &registry,
                "icewell_read_errors_healed_total",
                "Responses that went on from the origin where a cached image could not be read on.",
            ),
            checks: series(
                &registry,
                "icewell_authorization_checks_total",
                "Questions whether a caller may have a Glance's image, by what came of them.",
                "outcome",
                &Check::ALL.map(|all| all.1),
            ),
            spans: series(
                &registry,
                "icewell_spans_total",
                "Spans of traces, by what became of them.",
                "outcome",
                &SpanEnd::ALL.map(|all| all.1),
            ),
            uncounted: AtomicU64::new(0),
            registry,
        }
    }

    /// A response has ended: whether it was a hit, and when its first byte went out, if one did.
    pub(crate) fn answered(&self, decision: Decision, status: u16, sent: u64, hit: bool, first_byte: Option<Duration>) {
        self.requests[decision as usize].inc();
        if let Some(class) = self.responses.get(usize::from(status / 100).wrapping_sub(1)) {
            class.inc();
        }
        if status == StatusCode::PARTIAL_CONTENT.as_u16() {
            self.parts.inc();
        }
        if hit {
            self.hits.inc();
        }
        let source = decision.source();
        self.sent[source as usize].inc_by(sent);
        if let Some((first_byte, after)) = self.first_byte.get(source as usize).zip(first_byte) {
            first_byte.observe(after.as_secs_f64());
        }
    }

    /// A fill has ended, after this long; why it failed, if it did.
    pub(crate) fn fill_ended(&self, end: FillEnd, failed: Option<Reason>, after: Duration) {
        self.fills[end as usize].inc();
        if let Some(reason) = failed {
            self.fill_failures[reason as usize].inc();
        }
        self.fill_seconds.observe(after.as_secs_f64());
    }

    /// A caller was asked about.
    pub(crate) fn checked(&self, outcome: Check) {
        self.checks[outcome as usize].inc();
    }

    /// The sums that a history is made of.
    pub(crate) fn totals(&self) -> Totals {
        let requests = |source: Source| {
            let of = Decision::ALL.iter().filter(|(decision, _)| decision.source() == source);
            of.map(|(decision, _)| self.requests[*decision as usize].get()).sum()
        };
        let failed = [FillEnd::OriginError, FillEnd::Broken, FillEnd::NotKept];
        Totals {
            requests: self.requests.iter().map(IntCounter::get).sum(),
            from_cache: requests(Source::Cache),
            from_fill: requests(Source::Fill),
            passed: requests(Source::Origin),
            hits: self.hits.get(),
            sent_bytes: self.sent.iter().map(IntCounter::get).sum(),
            sent_from_cache: self.sent[Source::Cache as usize].get(),
            filled_bytes: self.filled.get(),
            failed_fills: failed.iter().map(|end| self.fills[*end as usize].get()).sum(),
        }
    }
}

fn made<T>(metric: prometheus::Result<T>) -> T {
    metric.expect("BUG: the names of metrics and labels are written above, and legal")
}

fn registered(registry: &Registry, metric: &(impl Collector + Clone + 'static)) {
    registry.register(Box::new(metric.clone())).expect("BUG: no two metrics above have one name");
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = made(IntCounter::new(name, help));
    registered(registry, &counter);
    counter
}

/// A counter for each value of a label, in the order of the values.
fn series(registry: &Registry, name: &str, help: &str, label: &str, values: &[&str]) -> Vec<IntCounter> {
    let all = made(IntCounterVec::new(Opts::new(name, help), &[label]));
    registered(registry, &all);
    values.iter().map(|value| all.with_label_values(&[value])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_is_at_its_place() {
        assert!(Decision::ALL.iter().enumerate().all(|(at, (decision, _))| *decision as usize == at));
        assert!(Source::ALL.iter().enumerate().all(|(at, (source, _))| *source as usize == at));
        assert!(FillEnd::ALL.iter().enumerate().all(|(at, (end, _))| *end as usize == at));
        assert!(Reason::ALL.iter().enumerate().all(|(at, (reason, _))| *reason as usize == at));
        assert!(Check::ALL.iter().enumerate().all(|(at, (check, _))| *check as usize == at));
    }

    #[test]
    fn sums() {
        let counters = Counters::default();
        counters.answered(Decision::Hit, 200, 10, true, Some(Duration::from_micros(200)));
        counters.answered(Decision::Revalidated, 206, 5, false, None);
        counters.answered(Decision::Collapsed, 200, 20, true, None);
        counters.answered(Decision::Passed, 502, 1, false, None);
        counters.answered(Decision::None, 404, 2, false, Some(Duration::ZERO));
        counters.fill_ended(FillEnd::Broken, Some(Reason::Timeout), Duration::from_secs(1));
        counters.fill_ended(FillEnd::Stored, None, Duration::from_secs(1));
        counters.filled.inc_by(7);
        let expected = Totals {
            requests: 5,
            from_cache: 2,
            from_fill: 1,
            passed: 1,
            hits: 2,
            sent_bytes: 38,
            sent_from_cache: 15,
            filled_bytes: 7,
            failed_fills: 1,
        };
        assert_eq!(counters.totals(), expected);
        assert_eq!(counters.first_byte[0].get_sample_count(), 1);
        assert_eq!(counters.responses.iter().map(IntCounter::get).collect::<Vec<_>>(), [0, 3, 0, 1, 1]);
    }
}
