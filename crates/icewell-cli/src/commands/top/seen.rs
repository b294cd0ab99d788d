//! What a daemon tells of itself (`GET /v1/status`), as far as it is shown.

use serde::Deserialize;

use crate::failure::{Failure, Result};

/// The daemon at one moment. What an older one does not tell is nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    pub(super) version: String,
    /// When it was asked, in seconds since 1970.
    pub(super) now: f64,
    pub(super) uptime: f64,
    pub(super) dir: String,
    pub(super) origin: String,
    pub(super) notes: Vec<Note>,
    pub(super) counters: Counters,
    pub(super) images: Images,
    pub(super) limit: Limit,
    pub(super) file_system: FileSystem,
    pub(super) fills: Vec<Fill>,
    pub(super) queue_length: u64,
    pub(super) queue: Vec<Named>,
    pub(super) next: Vec<Next>,
    pub(super) failures: Vec<Failed>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Note {
    pub(super) level: String,
    pub(super) text: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    pub(super) from_cache: u64,
    pub(super) from_fill: u64,
    pub(super) passed: u64,
    pub(super) requests: u64,
    pub(super) sent_bytes: u64,
    pub(super) filled_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Images {
    pub(super) count: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Limit {
    pub(super) max_size: u64,
    pub(super) used: u64,
    pub(super) min_free: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FileSystem {
    pub(super) total: u64,
    pub(super) available: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fill {
    pub(super) image_id: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) size: Option<u64>,
    pub(super) written: u64,
    pub(super) rate: f64,
    pub(super) clients: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) image_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Next {
    pub(super) image_id: String,
    pub(super) size: u64,
    pub(super) hits: u64,
    pub(super) last_accessed: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failed {
    pub(super) at: f64,
    pub(super) image_id: String,
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) times: u64,
}

impl Seen {
    /// Takes the answer of a daemon.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(super) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|error| Failure::failed(format!("what answers there is no daemon of this kind: {error}")))
    }
}
