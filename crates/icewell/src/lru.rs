//! Which image would go next: asked again and again, answered from one scan.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::attrs::Tagged;
use crate::cache::LeastRecent;
use crate::entry;
use crate::error::{Context, Result};
use crate::folders::Folders;
use crate::image_id::ImageId;
use crate::sys::Kind;

/// How long one scan is good for, at least: what an operator does to access times by hand is seen after this.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// A scan that took long is good for this many times as long, so that scanning stays a small part of the work.
const TIMES_ITS_COST: u32 = 10;

/// The cached images in the order in which a prune would remove them.
///
/// It is for those who remove images one by one and ask before each which is next, as Glance's own prune does. One
/// scan answers them all: using an image only moves it towards the end, a new one belongs at the end, so whatever is
/// first stays first until it is used or removed. Each answer is looked at again before it is given, so no image is
/// named that was used, replaced or removed since the scan. Pinned images are passed over.
#[derive(Debug)]
pub struct Lru {
    folders: Arc<Folders>,
    /// What is left of the last scan, the least recently used first.
    order: VecDeque<Seen>,
    /// The last scan is not to be trusted after this.
    good_until: Option<Instant>,
}

/// An image as the scan met it. Ordered as it goes: by time, and of two used at the same time by name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    last_used: SystemTime,
    id: ImageId,
    inode: (u32, u32, u64),
}

impl Lru {
    pub(crate) fn new(folders: Arc<Folders>) -> Self {
        Lru { folders, order: VecDeque::new(), good_until: None }
    }

    /// The least recently used image that is not pinned; none if there is none. It is named again and again for as long
    /// as it is there and not used.
    pub fn least(&mut self) -> Result<Option<LeastRecent>> {
        if self.good_until.is_some_and(|until| Instant::now() < until)
            && let Some(least) = self.first()?
        {
            return Ok(Some(least));
        }
        self.scan()?;
        self.first()
    }

    fn scan(&mut self) -> Result<()> {
        let begun = Instant::now();
        let mut order = entry::cached_at_once(&self.folders, |id, stat| {
            let last_used = self.tags(&id).last_accessed(stat);
            Seen { last_used, id, inode: stat.inode }
        })?;
        order.sort_unstable();
        self.order = order.into();
        let ended = Instant::now();
        self.good_until = Some(ended + GOOD_FOR.max((ended - begun) * TIMES_ITS_COST));
        Ok(())
    }

    /// The first of the last scan that is still as it was then. What is not is forgotten until the next scan.
    fn first(&mut self) -> Result<Option<LeastRecent>> {
        while let Some(seen) = self.order.front() {
            if let Some(size) = self.unchanged(seen)? {
                return Ok(Some(LeastRecent { id: seen.id.clone(), size }));
            }
            self.order.pop_front();
        }
        Ok(None)
    }

    fn unchanged(&self, seen: &Seen) -> Result<Option<u64>> {
        let name = OsStr::new(seen.id.as_str());
        let stat = self.folders.root.stat(name).context("look at", || self.folders.root.path_of(seen.id.as_str()))?;
        let Some(stat) = stat.filter(|stat| stat.kind == Kind::File && stat.inode == seen.inode) else {
            return Ok(None);
        };
        let tags = self.tags(&seen.id);
        let unused = tags.last_accessed(&stat) == seen.last_used;
        Ok((unused && !tags.are_of_pinned()).then_some(stat.size))
    }

    fn tags<'a>(&'a self, id: &'a ImageId) -> Tagged<'a> {
        Tagged::Name(&self.folders.root, OsStr::new(id.as_str()))
    }
}
