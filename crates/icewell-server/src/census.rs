//! What a pass over the directory tells, for whoever watches the daemon: kept until another pass is worth its while.
//!
//! Nothing that serves images asks here. A pass costs some microseconds for each image, so in a directory of a million
//! it takes seconds, and a scrape must neither wait that long nor begin one each time. So what was counted is good for
//! a multiple of what it cost: of a small directory it is as good as now, and a large one is counted now and then.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use icewell::{Cache, FileSystem, Limit, Space, Summary};
use tracing::warn;

use crate::daemon::blocking;
use crate::error::chain;

/// A count is good for this many times what it took.
const TIMES_ITS_COST: u32 = 50;
/// But no longer than this.
const GOOD_AT_MOST: Duration = Duration::from_secs(600);
/// A count that took longer than this is not waited for again: meanwhile the last one is told.
const SLOW: Duration = Duration::from_millis(250);
/// How long images are kept in memory after somebody looked at their list.
const LISTED_FOR: Duration = Duration::from_secs(60);
/// How many of those that would be pruned next are told.
const NEXT: usize = 20;

/// The last count.
#[derive(Debug, Default)]
pub(crate) struct Census {
    last: Mutex<Option<Arc<Counted>>>,
    counting: Arc<tokio::sync::Mutex<()>>,
    /// When somebody last wanted to see the images themselves.
    listed: Mutex<Option<Instant>>,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) at: SystemTime,
    pub(crate) space: Space,
    pub(crate) limit: Limit,
    pub(crate) file_system: FileSystem,
    /// How many images are cached.
    pub(crate) images: u64,
    /// The sum of their sizes in bytes.
    pub(crate) size: u64,
    /// The sum of their hits.
    pub(crate) hits: u64,
    /// Those that a prune would remove first, in that order; pinned ones are not among them.
    pub(crate) next: Vec<Next>,
    /// All of them, if somebody looks at them.
    pub(crate) all: Option<Vec<Summary>>,
    /// What people call those, in the same order, once somebody has searched for one.
    names: OnceLock<Vec<Option<Box<str>>>>,
    good_until: Instant,
    cost: Duration,
}

/// An image that would go next, and what people call it.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) image: Summary,
    pub(crate) name: Option<String>,
}

impl Counted {
    /// What people call [all](Counted::all) of them, in the same order. A call for each the first time, so it may block.
    pub(crate) fn names(&self, cache: &Cache) -> &[Option<Box<str>>] {
        self.names.get_or_init(|| {
            let all = self.all.as_deref().unwrap_or_default();
            all.iter().map(|image| cache.name(&image.id).map(String::into_boxed_str)).collect()
        })
    }

    /// The bytes that the limit counts.
    pub(crate) fn used(&self) -> u64 {
        self.space.counted(self.limit.count)
    }
}

impl Census {
    /// What the directory holds, as of a moment ago.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub(crate) async fn counted(self: &Arc<Self>, cache: &Cache) -> Result<Arc<Counted>, icewell::Error> {
        self.ask(cache, false).await
    }

    /// The same, with all the images.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub(crate) async fn listed(self: &Arc<Self>, cache: &Cache) -> Result<Arc<Counted>, icewell::Error> {
        *lock(&self.listed) = Some(Instant::now());
        self.ask(cache, true).await
    }

    /// Something was changed, and whoever asked for it wants to see it.
    pub(crate) fn is_outdated(&self) {
        let mut last = lock(&self.last);
        if let Some(counted) = last.take() {
            // A slow count is told for a while all the same.
            *last = (counted.cost > SLOW).then_some(counted);
        }
    }

    async fn ask(self: &Arc<Self>, cache: &Cache, with_all: bool) -> Result<Arc<Counted>, icewell::Error> {
        let last = || lock(&self.last).clone().filter(|last| last.all.is_some() || !with_all);
        let fresh = || last().filter(|last| Instant::now() < last.good_until);
        if let Some(counted) = fresh() {
            return Ok(counted);
        }
        if let Some(old) = last().filter(|last| last.cost > SLOW) {
            if let Ok(counting) = self.counting.clone().try_lock_owned() {
                let (census, cache) = (self.clone(), cache.clone());
                tokio::spawn(async move {
                    if let Err(error) = census.count(&cache).await {
                        warn!(error = chain(&error), "the directory cannot be counted");
                    }
                    drop(counting);
                });
            }
            return Ok(old);
        }
        let _counting = self.counting.lock().await;
        match fresh() {
            Some(counted) => Ok(counted),
            None => self.count(cache).await,
        }
    }

    async fn count(&self, cache: &Cache) -> Result<Arc<Counted>, icewell::Error> {
        let with_all = lock(&self.listed).is_some_and(|listed| listed.elapsed() < LISTED_FOR);
        let cache = cache.clone();
        let counted = Arc::new(blocking(move || count(&cache, with_all)).await?);
        *lock(&self.last) = Some(counted.clone());
        Ok(counted)
    }
}

fn count(cache: &Cache, with_all: bool) -> Result<Counted, icewell::Error> {
    let (begun, at) = (Instant::now(), SystemTime::now());
    let (space, limit, file_system) = (cache.space()?, cache.limit()?, cache.file_system()?);
    let mut images = cache.summaries()?;
    let next = first_unpinned(cache, &mut images)?;
    let mut counted = Counted {
        at,
        space,
        limit,
        file_system,
        images: images.len() as u64,
        size: images.iter().fold(0, |sum, image| sum.saturating_add(image.size)),
        hits: images.iter().fold(0, |sum, image| sum.saturating_add(image.hits)),
        next,
        all: with_all.then_some(images),
        names: OnceLock::new(),
        good_until: begun,
        cost: begun.elapsed(),
    };
    counted.good_until = Instant::now() + (counted.cost * TIMES_ITS_COST).min(GOOD_AT_MOST);
    Ok(counted)
}

/// The least recently used images that are not pinned. Only the first few are put in order, and looked at for a pin.
fn first_unpinned(cache: &Cache, images: &mut [Summary]) -> Result<Vec<Next>, icewell::Error> {
    let mut next = Vec::new();
    let mut rest = images;
    while next.len() < NEXT && !rest.is_empty() {
        let some = (2 * NEXT).min(rest.len());
        if some < rest.len() {
            rest.select_nth_unstable_by(some, |a, b| (a.last_accessed, &a.id).cmp(&(b.last_accessed, &b.id)));
        }
        let (first, others) = std::mem::take(&mut rest).split_at_mut(some);
        first.sort_unstable_by(|a, b| (a.last_accessed, &a.id).cmp(&(b.last_accessed, &b.id)));
        for image in first {
            if next.len() < NEXT
                && let Some(found) = cache.image(&image.id)?.filter(|image| !image.pinned)
            {
                next.push(Next { image: image.clone(), name: found.metadata.name });
            }
        }
        rest = others;
    }
    Ok(next)
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use icewell::{Announced, ImageId};

    use super::*;

    fn add(cache: &Cache, name: &str) {
        let mut writer = cache.write(&ImageId::new(name).unwrap()).unwrap();
        writer.start(Announced::default()).unwrap();
        writer.write(name.as_bytes()).unwrap();
        writer.verify().unwrap();
        writer.commit().unwrap();
    }

    fn names(images: &[Summary]) -> Vec<String> {
        images.iter().map(|image| image.id.to_string()).collect()
    }

    #[test]
    fn the_next_are_the_least_recently_used_that_are_not_pinned() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let all: Vec<String> = (0..100).map(|n| format!("{n:03}")).collect();
        all.iter().for_each(|name| add(&cache, name));
        // More of them than are looked at in one go.
        for name in &all[..60] {
            cache.set_pinned(&ImageId::new(name).unwrap(), true).unwrap();
        }
        cache.set_pinned(&ImageId::new("061").unwrap(), true).unwrap();
        let counted = count(&cache, true).unwrap();
        let unpinned: Vec<&String> = all[60..].iter().filter(|name| *name != "061").collect();
        let next: Vec<Summary> = counted.next.iter().map(|next| next.image.clone()).collect();
        assert_eq!(names(&next), unpinned.into_iter().take(NEXT).cloned().collect::<Vec<_>>());
        assert_eq!((counted.images, counted.size, counted.used()), (100, 300, 300));
        assert_eq!(counted.all.unwrap().len(), 100);
    }

    #[test]
    fn what_was_changed_is_counted_anew_and_images_are_kept_for_who_looks() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let census = Arc::new(Census::default());
        runtime.block_on(async {
            assert!(census.counted(&cache).await.unwrap().all.is_none());
            add(&cache, "a");
            census.is_outdated();
            assert_eq!(census.counted(&cache).await.unwrap().images, 1);
            assert_eq!(names(census.listed(&cache).await.unwrap().all.as_ref().unwrap()), ["a"]);
            assert!(census.counted(&cache).await.unwrap().all.is_some(), "also to who looks at less");
        });
    }
}
