//! What a daemon tells of itself (`GET /v1/status`), as far as it is shown.

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::output::count;

/// The daemon at one moment. What an older one does not tell is nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub(crate) version: String,
    /// When it was asked, in seconds since 1970.
    pub(crate) now: f64,
    pub(crate) started: f64,
    pub(crate) uptime: f64,
    pub(crate) dir: String,
    pub(crate) origin: String,
    pub(crate) notes: Vec<Note>,
    pub(crate) counters: Counters,
    pub(crate) images: Images,
    pub(crate) limit: Limit,
    pub(crate) file_system: FileSystem,
    pub(crate) fills: Vec<Fill>,
    pub(crate) queue_length: u64,
    pub(crate) queue: Vec<Named>,
    pub(crate) next: Vec<Next>,
    pub(crate) failures: Vec<Failed>,
    pub(crate) forecast: Forecast,
    pub(crate) scrub: Scrub,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Note {
    pub(crate) level: String,
    pub(crate) text: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    pub(crate) from_cache: u64,
    pub(crate) from_fill: u64,
    pub(crate) passed: u64,
    pub(crate) requests: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) filled_bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Images {
    pub(crate) count: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limit {
    pub(crate) max_size: u64,
    pub(crate) used: u64,
    pub(crate) min_free: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FileSystem {
    pub(crate) total: u64,
    pub(crate) available: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fill {
    pub(crate) image_id: String,
    pub(crate) name: Option<String>,
    pub(crate) state: String,
    pub(crate) size: Option<u64>,
    pub(crate) written: u64,
    pub(crate) rate: f64,
    pub(crate) clients: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    pub(crate) image_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Next {
    pub(crate) image_id: String,
    pub(crate) size: u64,
    pub(crate) hits: u64,
    pub(crate) last_accessed: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Failed {
    pub(crate) at: f64,
    pub(crate) image_id: String,
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) times: u64,
}

/// When the cache is full, in the daemon's words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Forecast {
    pub(crate) state: String,
    pub(crate) bytes_per_second: f64,
    pub(crate) seconds: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scrub {
    pub(crate) every: f64,
    pub(crate) due: u64,
    pub(crate) sound: u64,
    pub(crate) corrupt: u64,
}

impl Counters {
    /// How many requests for images the cache has answered, of how many.
    pub(crate) fn hits(&self) -> String {
        let images = self.from_cache + self.from_fill + self.passed;
        let share = match (self.from_cache * 1000).checked_div(images) {
            Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
            None => "-".into(),
        };
        format!(
            "{share} from the cache: {} of {}, {} from fills, {} passed on; {} in all",
            self.from_cache,
            count(images, "request", "requests"),
            self.from_fill,
            self.passed,
            self.requests
        )
    }
}

impl Seen {
    /// Takes the answer of a daemon.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn read(answer: &[u8]) -> Result<Self> {
        serde_json::from_slice(answer)
            .map_err(|error| Failure::failed(format!("what answers there is no daemon of this kind: {error}")))
    }
}
