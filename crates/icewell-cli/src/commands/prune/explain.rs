//! Why a prune takes what it takes: how much has to go, what goes in which order until that is reached, and what stays.

use icewell::{Cache, Count, Image, Limit, Pruned};
use serde::Serialize;

use crate::failure::Result;
use crate::output::{Column, Output, ago, count, escape, size};

/// A plan in figures. Bytes, as the limit counts them where nothing else is said.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    /// What all images have.
    used: u64,
    /// What of that is over the limit.
    over_limit: u64,
    /// What is free on the file system, is to stay free, and is missing to that.
    available: u64,
    floor: u64,
    below_floor: u64,
    /// Those that go, in order.
    steps: Vec<Step>,
    /// Those that stay whatever their age.
    pinned: Pinned,
    /// How many others stay.
    kept: u64,
    /// Which of those would be next.
    next: Option<Next>,
    /// Whether what goes is enough.
    enough: bool,
    #[serde(skip)]
    empties: bool,
    #[serde(skip)]
    limit: Limit,
}

#[derive(Debug, Serialize)]
struct Step {
    image_id: String,
    size: u64,
    hits: u64,
    #[serde(skip)]
    used: String,
    /// What is used, and what is free on the file system, once it is gone.
    left: u64,
    available: u64,
}

#[derive(Debug, Serialize)]
struct Pinned {
    count: u64,
    size: u64,
}

#[derive(Debug, Serialize)]
struct Next {
    image_id: String,
    #[serde(skip)]
    used: String,
}

/// Explains what `pruned` would be of the images that there are.
pub(super) fn explain(cache: &Cache, limit: Limit, pruned: &Pruned) -> Result<Explained> {
    let file_system = cache.file_system()?;
    let images = cache.images()?;
    Ok(explained(&images, limit, pruned, (file_system.available, file_system.total)))
}

fn explained(images: &[Image], limit: Limit, pruned: &Pruned, (available, total): (u64, u64)) -> Explained {
    let counted = |image: &Image| match limit.count {
        Count::Size => image.size,
        Count::Allocated => image.allocated,
    };
    let used = images.iter().fold(0u64, |sum, image| sum.saturating_add(counted(image)));
    let floor = limit.floor(total);
    let (mut left, mut free) = (used, available);
    let goes = |image: &Image| pruned.images.iter().any(|gone| gone.id == image.id);
    let steps = pruned.images.iter().filter_map(|gone| {
        // One that has gone by itself meanwhile is no step.
        let image = images.iter().find(|image| image.id == gone.id)?;
        left = left.saturating_sub(counted(image));
        free = free.saturating_add(image.allocated);
        Some(Step {
            image_id: image.id.to_string(),
            size: image.size,
            hits: image.hits,
            used: ago(image.last_accessed),
            left,
            available: free,
        })
    });
    let steps: Vec<Step> = steps.collect();
    let pinned = images.iter().filter(|image| image.pinned);
    let others = || images.iter().filter(|image| !image.pinned && !goes(image));
    let next = others().min_by(|a, b| (a.last_accessed, &a.id).cmp(&(b.last_accessed, &b.id)));
    Explained {
        used,
        over_limit: used.saturating_sub(limit.max_size),
        available,
        floor,
        below_floor: floor.saturating_sub(available),
        pinned: Pinned { count: pinned.clone().count() as u64, size: pinned.map(|image| image.size).sum() },
        kept: others().count() as u64,
        next: next.map(|image| Next { image_id: image.id.to_string(), used: ago(image.last_accessed) }),
        enough: left <= limit.max_size && free >= floor,
        empties: limit.max_size == 0,
        steps,
        limit,
    }
}

impl Explained {
    /// Tells it to a person.
    pub(super) fn print(&self, output: &Output) -> Result<()> {
        output.print(self.reasons().as_bytes())?;
        let columns = [
            Column::Text("GOES"),
            Column::Number("SIZE"),
            Column::Number("HITS"),
            Column::Text("LAST USED"),
            Column::Number("THEN USED"),
            Column::Number("THEN FREE"),
        ];
        let rows = self.steps.iter().map(|step| {
            let hits = step.hits.to_string();
            vec![step.image_id.clone(), size(step.size), hits, step.used.clone(), size(step.left), size(step.available)]
        });
        if !self.steps.is_empty() {
            output.table(&columns, rows.collect(), "")?;
        }
        output.print(self.rest().as_bytes())
    }

    fn reasons(&self) -> String {
        let Explained { used, over_limit, available, floor, below_floor, limit, .. } = self;
        let over = match over_limit {
            _ if self.empties => "a limit of 0 empties the cache".into(),
            0 => "nothing has to go for it".into(),
            over => format!("{} have to go", size(*over)),
        };
        let mut text = format!(
            "limit: {} are used of {}, counting {}: {over}\n",
            size(*used),
            size(limit.max_size),
            limit.count.name()
        );
        if *floor > 0 {
            let below = if *below_floor == 0 {
                "nothing has to go for it".into()
            } else {
                format!("{} have to come free", size(*below_floor))
            };
            text += &format!(
                "floor: {} are free on the file system, {} are to stay free: {below}\n",
                size(*available),
                size(*floor)
            );
        }
        if !self.steps.is_empty() {
            text += "order: the least recently used first, until both are met\n";
        }
        text
    }

    fn rest(&self) -> String {
        let Explained { pinned, kept, next, .. } = self;
        let mut text = String::new();
        if pinned.count > 0 {
            let stay = if pinned.count == 1 { "stays" } else { "stay" };
            text += &format!(
                "pinned: {}, {}, {stay} whatever the age\n",
                count(pinned.count, "image", "images"),
                size(pinned.size)
            );
        }
        let stay = if *kept == 1 { "stays" } else { "stay" };
        text += &format!("kept: {} {stay}", count(*kept, "other image", "other images"));
        if let Some(next) = next {
            text += &format!("; next would be {}, used {}", escape(&next.image_id), next.used);
        }
        if !self.enough {
            text += "\nnot enough: what is left is pinned, or is no image";
        }
        text + "\n"
    }
}
