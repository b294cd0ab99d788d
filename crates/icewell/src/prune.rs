//! Prune: down to the limit, the least recently used image first.

use std::time::SystemTime;

use tracing::info;

use crate::attrs::Tagged;
use crate::error::{Context, Result};
use crate::evict::{self, Candidate, Class, Excess};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::limit::Limit;
use crate::removals::{Removed, Why};
use crate::sys::{Step, step};
use crate::{entry, lock, room};

/// An image that a prune removed, or would remove.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrunedImage {
    /// Its ID.
    pub id: ImageId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last used.
    pub last_accessed: SystemTime,
}

/// What a prune removed, or would remove, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The images.
    pub images: Vec<PrunedImage>,
}

impl Pruned {
    /// How many images.
    pub fn files(&self) -> u64 {
        self.images.len() as u64
    }

    /// The sum of their sizes in bytes.
    pub fn bytes(&self) -> u64 {
        self.images.iter().map(|image| image.size).sum()
    }
}

/// Whether a prune removes what it finds, or only tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Remove.
    Act,
    /// Only tell.
    DryRun,
}

/// One pass, one sort, and the victims' removals. The space lock keeps two prunes apart.
pub(crate) fn prune(folders: &Folders, limit: Limit, mode: Mode) -> Result<Pruned> {
    let _held = lock::space(folders)?;
    let mut total = 0u64;
    let mut candidates = Vec::new();
    for image in entry::cached(folders)? {
        let (id, stat) = image?;
        let bytes = limit.count.of(&stat);
        total = total.saturating_add(bytes);
        let last_used = Tagged::Name(&folders.root, id.as_str().as_ref()).last_accessed(&stat);
        let image = PrunedImage { id, size: stat.size, last_accessed: last_used };
        candidates.push(Candidate {
            what: ByName(image),
            class: Class::Cached,
            bytes,
            blocks: stat.allocated,
            last_used,
        });
    }
    let pinned = |id: &ImageId| Tagged::Name(&folders.root, id.as_str().as_ref()).are_of_pinned();
    let blocks = if limit.min_free.is_some() { room::shortfall(folders, limit, 0)? } else { 0 };
    let excess = Excess { counted: total.saturating_sub(limit.max_size), blocks };
    // An image without bytes frees none, but a limit of 0 empties the cache.
    let plan = if limit.max_size == 0 {
        evict::plan(candidates, Excess { counted: u64::MAX, blocks: 0 }, |candidate| pinned(&candidate.what.0.id))
    } else {
        evict::plan(candidates, excess, |candidate| pinned(&candidate.what.0.id))
    };
    let mut pruned = Pruned::default();
    for Candidate { what: ByName(image), bytes, last_used, .. } in plan.victims {
        let name = image.id.as_str();
        let gone = mode == Mode::DryRun
            || folders.root.unlink(name.as_ref()).context("remove", || folders.root.path_of(name))?;
        if gone {
            if mode == Mode::Act {
                step(Step::PruneRemoved);
                info!(image_id = %image.id, size = image.size, "pruned");
                folders.removals.note(name, Removed::Image, Why::Prune, bytes, last_used);
            }
            pruned.images.push(image);
        }
    }
    Ok(pruned)
}

/// Orders images by name: which of two goes first when both were used at the same time.
struct ByName(PrunedImage);

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ByName {}
