//! How far the [scrub](crate::scrub) is, for whoever watches the daemon.

use std::sync::{Mutex, MutexGuard, PoisonError};

use icewell::ImageId;
use serde::Serialize;

use crate::scrub::Scrub;

/// What the scrub does at the moment.
#[derive(Debug, Default)]
pub(crate) struct ScrubProgress(Mutex<Now>);

#[derive(Debug, Default)]
struct Now {
    scrub: Option<Scrub>,
    /// How many images are to be read again, the one that is being read among them.
    due: u64,
    reading: Option<Reading>,
}

/// An image that is being read again.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reading {
    image_id: String,
    size: u64,
    read: u64,
}

/// As it is told: spans in seconds, sizes in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    /// Each image is read again once in this time; 0 for never.
    every: f64,
    /// Bytes a second at most.
    rate: u64,
    /// How many images are to be read again.
    due: u64,
    reading: Option<Reading>,
}

impl ScrubProgress {
    /// It goes by these settings from now on.
    pub(crate) fn goes_by(&self, scrub: Scrub) {
        self.lock().scrub = Some(scrub);
    }

    /// So many images were found to be due.
    pub(crate) fn found(&self, due: usize) {
        self.lock().due = due as u64;
    }

    /// One of them is begun.
    pub(crate) fn begin(&self, id: &ImageId, size: u64) {
        self.lock().reading = Some(Reading { image_id: id.to_string(), size, read: 0 });
    }

    /// So many bytes more of it were read.
    pub(crate) fn read(&self, bytes: u64) {
        if let Some(reading) = &mut self.lock().reading {
            reading.read += bytes;
        }
    }

    /// One of them is done, well or not.
    pub(crate) fn end(&self) {
        let mut now = self.lock();
        now.reading = None;
        now.due = now.due.saturating_sub(1);
    }

    /// How many images are to be read again.
    pub(crate) fn due(&self) -> u64 {
        self.lock().due
    }

    pub(crate) fn told(&self) -> Told {
        let now = self.lock();
        let on = now.scrub.filter(|scrub| !scrub.is_off());
        Told {
            every: on.map_or(0.0, |scrub| scrub.every.as_secs_f64()),
            rate: on.map_or(0, |scrub| scrub.rate),
            due: now.due,
            reading: now.reading.clone(),
        }
    }

    /// No code that holds this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
