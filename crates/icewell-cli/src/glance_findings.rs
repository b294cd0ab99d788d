//! What `icewell doctor` says of a Glance that has filled the directory, or uses it.

use std::path::Path;

use icewell::{Cache, Filler, Severity};

use crate::commands::doctor::Row;
use crate::failure::Result;
use crate::glance_conf::GlanceConf;
use crate::glance_db::{GlanceDb, Standing};
use crate::output::count;

/// What there is to know of Glance's share in the cache, and how its configuration fits.
pub(crate) fn of(cache: &Cache, glance: &GlanceConf) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut add = |severity, message: String, advice: &str| {
        let advice = Some(advice.to_owned()).filter(|advice| !advice.is_empty());
        rows.push(Row { severity, path: cache.dir().to_string_lossy().into_owned(), message, advice });
    };
    let db = GlanceDb::beside(cache, glance)?;
    if let Some(message) = images(cache, db.is_some())? {
        add(Severity::Info, message, "");
    }
    if let Some((message, advice)) = db.as_ref().map(|db| noted(cache, db)).transpose()? {
        add(Severity::Info, message, advice);
    }
    let foreign = cache.incomplete()?.into_iter().filter(|fill| fill.filler == Filler::Other);
    let (alive, dead): (Vec<_>, Vec<_>) = foreign.partition(|fill| fill.active);
    if !alive.is_empty() {
        let fills = count(alive.len() as u64, "image", "images");
        add(Severity::Info, format!("a Glance is filling {fills} at this moment"), "");
    }
    if !dead.is_empty() {
        let fills = count(dead.len() as u64, "fill", "fills");
        let message =
            format!("{fills} of a Glance's broke off; Glance takes each for under way until it is cleaned up");
        add(Severity::Warning, message, "icewell clean --stall-time 0");
    }
    let queued = cache.queued()?.len() as u64;
    if queued > 0 {
        let images = count(queued, "image is", "images are");
        add(Severity::Info, format!("{images} queued"), "icewell fetch");
    }
    configured(cache, glance, &mut add)?;
    Ok(rows)
}

/// Whose the images are, as far as their tags tell, and what that says of the driver.
fn images(cache: &Cache, has_db: bool) -> Result<Option<String>> {
    let (mut ours, mut counted, mut bare) = (0, 0, 0);
    let mut hits = 0u64;
    for image in cache.images()? {
        hits = hits.saturating_add(image.hits);
        // A commit of ours leaves one of these.
        if image.digest.is_some() || image.computed_digest.is_some() {
            ours += 1;
        } else if cache.read(&image.id).is_ok_and(|reader| reader.has_hits_tag()) {
            counted += 1;
        } else {
            bare += 1;
        }
    }
    if counted + bare == 0 {
        return Ok(None);
    }
    let driver = match (has_db, counted, bare) {
        (true, _, _) => "its sqlite driver, by the database",
        (false, _, 0) => "its xattr driver, by the tags",
        (false, 0, _) => {
            "its centralized_db driver, by the lack of tags and of a database: hits and times of last use are in Glance's \
             own database, out of reach"
        }
        (false, _, _) => "its xattr driver, by the tags, and another, or the tags of some are lost",
    };
    let (all, sum) = (count(counted + bare, "image", "images"), count(hits, "hit", "hits"));
    Ok(Some(format!("{all} from a Glance and {ours} from Icewell, {sum} in all; Glance filled it with {driver}")))
}

/// What the database has that is not in tags yet.
fn noted(cache: &Cache, db: &GlanceDb) -> Result<(String, &'static str)> {
    let (mut images, mut hits) = (0u64, 0u64);
    for noted in &db.images {
        if let Standing::Open(_) = noted.standing(cache)? {
            images += 1;
            hits = hits.saturating_add(noted.hits);
        }
    }
    let name = db.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let begin = format!("{name} of Glance's sqlite driver");
    Ok(if images == 0 {
        (format!("{begin}: nothing in it that is not taken over"), "")
    } else {
        let (images, hits) = (count(images, "image", "images"), count(hits, "hit", "hits"));
        (format!("{begin}: {images}, {hits} not taken over yet"), "icewell adopt")
    })
}

/// How the directory fits what Glance is told.
fn configured(cache: &Cache, glance: &GlanceConf, add: &mut dyn FnMut(Severity, String, &str)) -> Result<()> {
    if glance.conf.files().is_empty() {
        return Ok(());
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    match &glance.image_cache_dir {
        None => add(Severity::Warning, "Glance is told no image_cache_dir: it does not cache".into(), ""),
        Some(dir) if real(dir) != real(cache.dir()) => {
            add(Severity::Warning, format!("Glance is told another image_cache_dir: {}", dir.display()), "");
        }
        Some(_) => {}
    }
    match glance.image_cache_driver.as_deref() {
        Some("xattr") => {}
        Some(driver @ ("sqlite" | "centralized_db")) | Some(driver) => {
            let message = format!("Glance is told the driver {driver}: it does not count hits where Icewell does");
            add(Severity::Warning, message, "set image_cache_driver = xattr");
        }
        None => {
            let message =
                "Glance is told no driver and takes centralized_db: it does not count hits where Icewell does";
            add(Severity::Warning, message.into(), "set image_cache_driver = xattr");
        }
    }
    let (in_force, configured) = (cache.limit()?.max_size, glance.image_cache_max_size.unwrap_or(10 << 30));
    if in_force != configured {
        let message = format!("Glance prunes to {configured} bytes, and the limit in force here is {in_force}");
        add(Severity::Warning, message, "give both the same: image_cache_max_size, and --max-size of icewell serve");
    }
    Ok(())
}
