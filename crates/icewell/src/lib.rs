#![doc = include_str!("../README.md")]

mod cache;
mod image_id;
pub mod layout;

mod entry;
mod reader;
mod writer;

mod attrs;
mod claim;
mod digest;
mod holes;
mod leftover;
mod mark;
mod observer;
mod publish;
mod verify;

mod binding;
mod clean;
mod copy;
mod evict;
mod limit;
mod lock;
mod lru;
mod open_files;
mod prune;
mod queue;
mod removals;
mod room;
mod scan;
mod space;

mod error;
mod examine;
mod folders;
mod glances_own;
mod sys;
mod time;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

/// Where a test has a build for development fail, stop or die; `CONTRIBUTING.md` says how. No part of the interface.
#[cfg(debug_assertions)]
#[doc(hidden)]
pub mod failpoints {
    pub use crate::sys::failpoints::{Armed, arm, calls, steps};
}

pub use attrs::{Metadata, Validators};
pub use binding::Adoption;
pub use cache::{Cache, FileSystem, LeastRecent};
pub use clean::{Cleaned, DEFAULT_STALL_TIME};
pub use copy::Copied;
pub use digest::{Algorithm, Digest, InvalidDigest};
pub use entry::{Filler, Image, Incomplete, Invalid, Stamp, Summary};
pub use error::{Error, ErrorKind, Result};
pub use examine::{Finding, Severity, examine};
pub use holes::Holes;
pub use image_id::{ImageId, InvalidImageId, MAX_LEN};
pub use leftover::Resumable;
pub use limit::{Count, DEFAULT_MAX_SIZE, DEFAULT_MIN_FREE, InvalidMinFree, Limit, MinFree};
pub use lru::Lru;
pub use observer::{Observed, Observer};
pub use prune::{Mode, Pruned, PrunedImage};
pub use publish::Commit;
pub use queue::Queued;
pub use reader::Reader;
pub use removals::{Gone, Removal, Removed, Why};
pub use space::{Space, Usage};
pub use time::{Clock, SystemClock};
pub use verify::Verdict;
pub use writer::{Announced, Writer};

/// The examples of `docs/semantics.md` are tests. Only in the repository: a packaged crate has no documents beside it,
/// and never sees this.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/semantics.md")]
mod semantics {}
