//! The database of Glance's `sqlite` driver: read, never written.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icewell::{Cache, ErrorKind, ImageId, Reader, layout};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::failure::{Failure, Result};
use crate::glance_conf::GlanceConf;

/// What the database says.
pub(crate) struct GlanceDb {
    pub(crate) path: PathBuf,
    pub(crate) images: Vec<Noted>,
}

/// What is noted of one image.
pub(crate) struct Noted {
    id: ImageId,
    pub(crate) hits: u64,
    pub(crate) last_accessed: SystemTime,
}

/// How an image stands that the database knows.
pub(crate) enum Standing {
    NotCached,
    /// Its hits are counted in its own tag.
    Counted,
    /// What is noted of it can be taken over.
    Open(Box<Reader>),
}

impl GlanceDb {
    /// Reads the database in the cache's directory; none where there is none.
    pub(crate) fn beside(cache: &Cache, glance: &GlanceConf) -> Result<Option<Self>> {
        let name = glance.conf.text("DEFAULT", "image_cache_sqlite_db")?;
        let path = cache.dir().join(name.as_deref().unwrap_or(layout::glance::DATABASE));
        if !path.is_file() {
            return Ok(None);
        }
        match read(&path) {
            Ok(images) => Ok(Some(GlanceDb { path, images })),
            // An image by that name, or another program's.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Ok(None),
            Err(error) if error.to_string().contains("no such table") => Ok(None),
            Err(error) => Err(Failure::failed(format!("cannot read Glance's database {path:?}: {error}"))),
        }
    }
}

fn read(path: &std::path::Path) -> rusqlite::Result<Vec<Noted>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    // A Glance may be writing: each of its changes takes a moment.
    db.busy_timeout(Duration::from_secs(10))?;
    let mut rows = db.prepare("SELECT image_id, hits, last_accessed FROM cached_images ORDER BY image_id")?;
    let rows =
        rows.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, f64>(2)?)))?;
    let mut images = Vec::new();
    for row in rows {
        let (id, hits, last_accessed) = row?;
        let Ok(id) = ImageId::new(&id) else { continue };
        let since = Duration::try_from_secs_f64(last_accessed).unwrap_or_default();
        let last_accessed = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
        images.push(Noted { id, hits: hits.try_into().unwrap_or_default(), last_accessed });
    }
    Ok(images)
}

impl Noted {
    /// How the image stands in the cache.
    pub(crate) fn standing(&self, cache: &Cache) -> Result<Standing> {
        match cache.read(&self.id) {
            Ok(reader) if reader.has_hits_tag() => Ok(Standing::Counted),
            Ok(reader) => Ok(Standing::Open(Box::new(reader))),
            Err(error) if error.kind() == ErrorKind::NotCached => Ok(Standing::NotCached),
            Err(error) => Err(error.into()),
        }
    }
}
