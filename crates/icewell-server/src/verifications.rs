//! Verifications that somebody asked for on the admin listener: they may read for minutes, so they go on by themselves,
//! one at a time, and whoever watches sees how far they are.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use icewell::{ErrorKind, ImageId, Verdict};
use serde::Serialize;
use tracing::{info, warn};

use crate::daemon::{Daemon, blocking};
use crate::error::chain;
use crate::status::seconds;

/// How many are remembered, done or not.
const KEPT: usize = 50;

/// The last ones, the latest first.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    last: Mutex<VecDeque<Arc<Verification>>>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Verification {
    id: ImageId,
    size: u64,
    since: SystemTime,
    read: AtomicU64,
    /// What was found, and in words.
    found: OnceLock<(&'static str, String)>,
}

/// One of them, as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    image_id: String,
    size: u64,
    read: u64,
    since: f64,
    /// `good`, `unverifiable`, `corrupt` or `failed`; none as long as it goes on.
    verdict: Option<&'static str>,
    detail: Option<String>,
}

/// What came of asking for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Begun,
    /// It is under way.
    Already,
    TooMany,
}

impl Verifications {
    /// Begins to verify an image of this size, in the background.
    pub(crate) fn begin(&self, daemon: &Arc<Daemon>, id: &ImageId, size: u64) -> Asked {
        let verification = Arc::new(Verification {
            id: id.clone(),
            size,
            since: SystemTime::now(),
            read: AtomicU64::new(0),
            found: OnceLock::new(),
        });
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.iter().any(|other| other.id == *id && other.found.get().is_none()) {
                return Asked::Already;
            }
            last.retain(|other| other.id != *id);
            if last.len() == KEPT {
                let Some(done) = last.iter().rposition(|other| other.found.get().is_some()) else {
                    return Asked::TooMany;
                };
                last.remove(done);
            }
            last.push_front(verification.clone());
        }
        tokio::spawn(verify(daemon.clone(), verification));
        Asked::Begun
    }

    /// The last ones, the latest first.
    pub(crate) fn last(&self) -> Vec<Told> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let told = last.iter().map(|one| Told {
            image_id: one.id.to_string(),
            size: one.size,
            read: one.read.load(Ordering::Relaxed),
            since: seconds(one.since),
            verdict: one.found.get().map(|found| found.0),
            detail: one.found.get().map(|found| found.1.clone()),
        });
        told.collect()
    }
}

async fn verify(daemon: Arc<Daemon>, verification: Arc<Verification>) {
    let _turn = daemon.verifications.one_at_a_time.lock().await;
    let (cache, one) = (daemon.cache.clone(), verification.clone());
    let verified = blocking(move || {
        cache.verify(&one.id, &mut |bytes| {
            one.read.fetch_add(bytes, Ordering::Relaxed);
        })
    });
    let found = match verified.await {
        Ok(Verdict::Good(digest)) => ("good", format!("it has the digest that the origin vouched for, {digest}")),
        Ok(Verdict::Unverifiable { unchanged: true }) => {
            ("unverifiable", "the origin vouched for no digest; the bytes are those that were stored".into())
        }
        Ok(Verdict::Unverifiable { unchanged: false }) => ("unverifiable", "nobody vouched for a digest".into()),
        Ok(Verdict::Corrupt(why)) => ("corrupt", format!("{why}; it is in invalid/ now")),
        Err(error) if error.kind() == ErrorKind::NotCached => ("failed", "it is not cached any more".into()),
        Err(error) => ("failed", chain(&error)),
    };
    let id = &verification.id;
    match found.0 {
        "corrupt" | "failed" => {
            warn!(image_id = %id, verdict = found.0, detail = found.1, "verified, as an admin asked")
        }
        verdict => info!(image_id = %id, verdict, "verified, as an admin asked"),
    }
    daemon.census.is_outdated();
    verification.found.set(found).ok();
}
