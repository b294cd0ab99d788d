//! `GET /metrics` on the admin listener: Prometheus' text format.
//!
//! Counters are there as they are ([`counters`](crate::counters)); what is told of the directory is from its last count
//! ([`census`](crate::census)), so that a scrape of a large one costs it nothing.

use std::sync::Arc;
use std::time::SystemTime;

use icewell::{Cache, Removed, Why};
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use crate::census::Counted;
use crate::daemon::{Daemon, blocking};
use crate::status::seconds;

/// The media type of the answer.
pub(crate) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics, as text.
///
/// # Errors
///
/// The directory cannot be read, or BUG: the text cannot be written.
pub(crate) async fn text(daemon: &Arc<Daemon>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let counted = daemon.census.counted(&daemon.cache).await?;
    let cache = daemon.cache.clone();
    let queued = blocking(move || cache.queued()).await?.len() as u64;
    let gauges = Gauges(Registry::new());
    gauges.of_daemon(daemon, queued)?;
    gauges.of_directory(&counted)?;
    gauges.of_removals(&daemon.cache)?;
    let mut families = daemon.counters.registry.gather();
    families.extend(gauges.0.gather());
    families.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(TextEncoder::new().encode_to_string(&families)?)
}

/// What is measured at the moment of the scrape.
struct Gauges(Registry);

impl Gauges {
    fn of_daemon(&self, daemon: &Daemon, queued: u64) -> prometheus::Result<()> {
        let version = Opts::new("icewell_build_info", "The version, as a label; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let version = IntGauge::with_opts(version)?;
        version.set(1);
        self.0.register(Box::new(version))?;
        let fills = daemon.fills.all();
        let clients = fills.iter().map(|fill| fill.clients() as u64).sum();
        self.set("process_start_time_seconds", "When the process started, in seconds since 1970.", {
            seconds(daemon.started.0)
        })?;
        self.count("icewell_fills", "Fills under way in this daemon.", fills.len() as u64)?;
        self.count("icewell_fill_clients", "Clients that wait for the bytes of fills under way.", clients)?;
        self.count("icewell_queue_length", "Images that are queued.", queued)?;
        let due = daemon.scrub_progress.due();
        self.count("icewell_scrub_due_images", "Cached images that are to be read again now.", due)
    }

    fn of_removals(&self, cache: &Cache) -> prometheus::Result<()> {
        let labels = ["what", "reason"];
        let (help, of_bytes) =
            ("Files that went for room or because they were old.", "Their bytes, as the limit counts.");
        let files = IntCounterVec::new(Opts::new("icewell_removed_files_total", help), &labels)?;
        let bytes = IntCounterVec::new(Opts::new("icewell_removed_bytes_total", of_bytes), &labels)?;
        for (what, why) in Removed::ALL.into_iter().flat_map(|what| Why::ALL.map(|why| (what, why))) {
            let gone = cache.removed(what, why);
            let labels = [what.name(), why.name()];
            files.with_label_values(&labels).inc_by(gone.files);
            bytes.with_label_values(&labels).inc_by(gone.bytes);
        }
        self.0.register(Box::new(files))?;
        self.0.register(Box::new(bytes))
    }

    fn of_directory(&self, counted: &Counted) -> prometheus::Result<()> {
        let Counted { space, limit, file_system, .. } = counted;
        self.count("icewell_images", "Cached images.", counted.images)?;
        self.count("icewell_images_size_bytes", "The sum of the sizes of cached images.", counted.size)?;
        let allocated = space.images.allocated;
        self.count("icewell_images_allocated_bytes", "Bytes of disk behind cached images.", allocated)?;
        self.count(
            "icewell_incomplete_size_bytes",
            "Bytes of fills under way, with what they reserved, and of those broken off.",
            space.incomplete.size,
        )?;
        self.count("icewell_invalid_size_bytes", "Bytes of failed fills that are kept.", space.invalid.size)?;
        self.count("icewell_used_bytes", "Bytes under the directory that the limit counts.", counted.used())?;
        self.count("icewell_limit_bytes", "The limit in force.", limit.max_size)?;
        self.count("icewell_file_system_size_bytes", "The size of the file system.", file_system.total)?;
        self.count("icewell_file_system_free_bytes", "What may still be written to it.", file_system.available)?;
        // No tail, no series: an age of zero would tell of an image that was used just now.
        if let Some(tail) = counted.next.first() {
            let age = SystemTime::now().duration_since(tail.image.last_accessed).unwrap_or_default();
            let help = "How long the image that would be pruned next has not been used.";
            self.set("icewell_lru_tail_age_seconds", help, age.as_secs_f64())?;
        }
        self.set("icewell_counted_timestamp_seconds", "When the directory was last counted.", seconds(counted.at))
    }

    fn count(&self, name: &str, help: &str, value: u64) -> prometheus::Result<()> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(Box::new(gauge))
    }

    fn set(&self, name: &str, help: &str, value: f64) -> prometheus::Result<()> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }
}
