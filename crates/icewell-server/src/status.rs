//! `GET /v1/status` on the admin listener: the whole daemon at a glance, as JSON. The page and `icewell top` read it.
//!
//! Times are seconds since 1970, spans seconds, sizes bytes. Fields may be added; none changes its meaning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use icewell::Usage;
use serde::Serialize;

use crate::census::Counted;
use crate::counters::Totals;
use crate::daemon::{Daemon, blocking};
use crate::failures::{self, Failure};
use crate::fill::{Fill, Progress};
use crate::health::{self, Known, Note};
use crate::history::Forecast;
use crate::{census, scrub_progress, verifications};

/// How many of the queue are told by name.
const QUEUED: usize = 100;

/// The daemon at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    now: f64,
    started: f64,
    uptime: f64,
    /// Whether it is on its way out.
    draining: bool,
    dir: String,
    origin: String,
    /// What is not as it should be, the worst first.
    notes: Vec<Note>,
    /// Since it started.
    counters: Counters,
    /// When the directory was counted: what follows up to `next` is as of then.
    counted: f64,
    images: Images,
    incomplete: Files,
    invalid: Files,
    limit: Limit,
    file_system: FileSystem,
    forecast: Forecast,
    /// Those that go first when room is needed, in that order.
    next: Vec<Next>,
    fills: Vec<Filling>,
    queue_length: u64,
    /// The first of the queue, in order.
    queue: Vec<Queued>,
    /// The last ones, the latest first.
    failures: Vec<Failed>,
    /// What went lately for room, or because it was old, the latest first.
    removed: Vec<Gone>,
    /// Those that were asked for here, the latest first.
    verifications: Vec<verifications::Told>,
    /// What is read again from time to time, and how far that is.
    scrub: Scrub,
}

#[derive(Debug, Serialize)]
struct Counters {
    requests: u64,
    /// Answered from the cache; from a fill under way or begun; by the origin, past the cache.
    from_cache: u64,
    from_fill: u64,
    passed: u64,
    /// Images sent whole from the cache.
    hits: u64,
    sent_bytes: u64,
    sent_from_cache: u64,
    /// Bytes that fills got from the origin.
    filled_bytes: u64,
    failed_fills: u64,
}

impl From<Totals> for Counters {
    fn from(totals: Totals) -> Self {
        let Totals { requests, from_cache, from_fill, passed, hits, .. } = totals;
        let Totals { sent_bytes, sent_from_cache, filled_bytes, failed_fills, .. } = totals;
        Counters {
            requests,
            from_cache,
            from_fill,
            passed,
            hits,
            sent_bytes,
            sent_from_cache,
            filled_bytes,
            failed_fills,
        }
    }
}

#[derive(Debug, Serialize)]
struct Scrub {
    #[serde(flatten)]
    progress: scrub_progress::Told,
    /// Since the daemon started: images that were read again and are sound, and such that were found to be wrong.
    sound: u64,
    corrupt: u64,
}

#[derive(Debug, Serialize)]
struct Images {
    count: u64,
    size: u64,
    allocated: u64,
    hits: u64,
    /// How long the image that would go next has not been used; none where none would go.
    tail_age: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Files {
    count: u64,
    size: u64,
    allocated: u64,
}

#[derive(Debug, Serialize)]
struct Limit {
    max_size: u64,
    /// What it counts: `size` or `allocated`.
    count: &'static str,
    /// The bytes that count, of all folders.
    used: u64,
    /// The bytes that are to stay free on the file system.
    min_free: u64,
}

#[derive(Debug, Serialize)]
struct FileSystem {
    name: String,
    total: u64,
    available: u64,
}

#[derive(Debug, Serialize)]
struct Next {
    image_id: String,
    /// What people call it, where the origin told.
    name: Option<String>,
    size: u64,
    hits: u64,
    last_accessed: f64,
}

/// A fill under way.
#[derive(Debug, Serialize)]
struct Filling {
    image_id: String,
    /// What people call it, where the origin told.
    name: Option<String>,
    /// `asking` the origin, `filling`, or `committing` what is whole.
    state: &'static str,
    size: Option<u64>,
    written: u64,
    /// Bytes a second, lately.
    rate: f64,
    /// How many clients wait for its bytes.
    clients: usize,
    since: f64,
    /// Whether another process fetches it.
    elsewhere: bool,
}

#[derive(Debug, Serialize)]
struct Queued {
    image_id: String,
    since: f64,
}

#[derive(Debug, Serialize)]
struct Failed {
    at: f64,
    image_id: String,
    kind: &'static str,
    /// The status that clients got, where they got one.
    status: Option<u16>,
    reason: String,
    times: u64,
}

/// Something that went.
#[derive(Debug, Serialize)]
struct Gone {
    at: f64,
    image_id: String,
    /// `image`, `invalid_fill` or `abandoned_fill`.
    what: &'static str,
    /// `limit`, `disk_full`, `prune` or `old`.
    why: &'static str,
    size: u64,
    last_used: f64,
}

impl Gone {
    fn of(removal: icewell::Removal, now: SystemTime) -> Self {
        let at = now.checked_sub(removal.at.elapsed()).unwrap_or(UNIX_EPOCH);
        Gone {
            at: seconds(at),
            what: removal.what.name(),
            why: removal.why.name(),
            size: removal.bytes,
            last_used: seconds(removal.last_used),
            image_id: removal.name,
        }
    }
}

impl Status {
    /// A look at the daemon.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub(crate) async fn of(daemon: &Arc<Daemon>, draining: bool) -> Result<Self, icewell::Error> {
        let counted = daemon.census.counted(&daemon.cache).await?;
        let cache = daemon.cache.clone();
        let queued = blocking(move || cache.queued()).await?;
        let Counted { space, limit, file_system, .. } = &*counted;
        let now = SystemTime::now();
        let tail = counted.next.first().map(|tail| now.duration_since(tail.image.last_accessed).unwrap_or_default());
        let above_floor = file_system.available.saturating_sub(limit.floor(file_system.total));
        let room = limit.max_size.saturating_sub(counted.used()).min(above_floor);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            now: seconds(now),
            started: seconds(daemon.started.0),
            uptime: daemon.started.1.elapsed().as_secs_f64(),
            draining,
            notes: health::notes(&known(daemon, &counted, queued.len(), draining)),
            dir: absolute(daemon.cache.dir()).to_string_lossy().into_owned(),
            origin: daemon.origin.identity().to_owned(),
            counters: daemon.counters.totals().into(),
            counted: seconds(counted.at),
            images: Images {
                count: counted.images,
                size: counted.size,
                allocated: space.images.allocated,
                hits: counted.hits,
                tail_age: tail.map(|age| age.as_secs_f64()),
            },
            incomplete: space.incomplete.into(),
            invalid: space.invalid.into(),
            limit: Limit {
                max_size: limit.max_size,
                count: limit.count.name(),
                used: counted.used(),
                min_free: limit.floor(file_system.total),
            },
            file_system: FileSystem {
                name: file_system.name.clone(),
                total: file_system.total,
                available: file_system.available,
            },
            forecast: daemon.history.forecast(room, counted.used().saturating_add(room)),
            next: counted.next.iter().map(Next::from).collect(),
            fills: daemon.fills.all().iter().map(|fill| Filling::of(fill)).collect(),
            queue_length: queued.len() as u64,
            queue: queued
                .into_iter()
                .take(QUEUED)
                .map(|queued| Queued { image_id: queued.id.to_string(), since: seconds(queued.since) })
                .collect(),
            failures: daemon.failures.last().into_iter().map(Failed::from).collect(),
            removed: daemon.cache.removals().into_iter().map(|removal| Gone::of(removal, now)).collect(),
            verifications: daemon.verifications.last(),
            scrub: Scrub {
                progress: daemon.scrub_progress.told(),
                sound: daemon.counters.scrubbed.get(),
                corrupt: daemon.counters.corrupt.get(),
            },
        })
    }
}

/// The directory by the name that it has for other processes, too.
fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.into())
}

/// What the notes are made of.
fn known(daemon: &Daemon, counted: &Counted, queued: usize, draining: bool) -> Known {
    let now = SystemTime::now();
    let recent = |failure: &Failure| now.duration_since(failure.at).is_ok_and(|age| age < health::RECENT);
    let failures: Vec<_> = daemon.failures.last().into_iter().filter(recent).collect();
    let own = failures.iter().filter(|failure| failure.kind == failures::NOT_KEPT).count();
    Known {
        draining,
        used: counted.used(),
        limit: counted.limit.max_size,
        available: counted.file_system.available,
        total: counted.file_system.total,
        floor: counted.limit.floor(counted.file_system.total),
        origin_failures: failures.len() - own,
        own_failures: own,
        queued,
        can_fetch: daemon.origin.glance().is_none() || daemon.service.is_some(),
        tail_age: counted.next.first().map(|tail| now.duration_since(tail.image.last_accessed).unwrap_or_default()),
    }
}

impl Filling {
    fn of(fill: &Fill) -> Self {
        let progress = fill.progress();
        let (state, written) = match &progress {
            Progress::Asking => ("asking", 0),
            Progress::Filling { written, .. } => ("filling", *written),
            Progress::Whole { size, .. } => ("committing", *size),
            Progress::Ended(_) => ("ended", 0),
        };
        let image = match &progress {
            Progress::Filling { image, .. } | Progress::Whole { image, .. } => Some(image),
            Progress::Asking | Progress::Ended(_) => None,
        };
        Filling {
            image_id: fill.key.id.to_string(),
            name: image.and_then(|image| image.head.metadata.name.clone()),
            state,
            size: progress.size(),
            written,
            rate: fill.rate(),
            clients: fill.clients(),
            since: seconds(fill.since),
            elsewhere: image.is_some_and(|image| image.theirs),
        }
    }
}

impl From<&census::Next> for Next {
    fn from(next: &census::Next) -> Self {
        let (image, name) = (&next.image, next.name.clone());
        let last_accessed = seconds(image.last_accessed);
        Next { image_id: image.id.to_string(), name, size: image.size, hits: image.hits, last_accessed }
    }
}

impl From<Usage> for Files {
    fn from(usage: Usage) -> Self {
        Files { count: usage.files, size: usage.size, allocated: usage.allocated }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let Failure { at, id, kind, status, reason, times } = failure;
        let status = status.map(|status| status.as_u16());
        Failed { at: seconds(at), image_id: id.to_string(), kind, status, reason, times }
    }
}

/// Seconds since 1970, to the microsecond; before that, below zero.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_micros() as f64,
        Err(before) => -(before.duration().as_micros() as f64),
    };
    micros / 1e6
}
