//! What Glance's own configuration says of its image cache, read as Glance reads it.

pub(crate) mod ini;
mod oslo;
mod places;

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Result;

pub(crate) use oslo::Conf;
pub(crate) use places::{default_files, default_folders, expand_home};

/// The settings of Glance's image cache; what the configuration does not say is none.
#[derive(Debug, Default)]
pub(crate) struct GlanceConf {
    pub(crate) image_cache_dir: Option<PathBuf>,
    pub(crate) image_cache_max_size: Option<u64>,
    pub(crate) image_cache_stall_time: Option<Duration>,
    /// `xattr`, `sqlite` or `centralized_db`, in small letters.
    pub(crate) image_cache_driver: Option<String>,
    /// All else that the configuration says, and which files it is.
    pub(crate) conf: Conf,
}

impl GlanceConf {
    /// Reads files, and folders for their `*.conf`; the later counts before the earlier. What cannot be read or makes no
    /// sense is wrong usage.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut conf = Conf::default();
        for path in paths {
            if path.is_dir() { conf.add_folder(path)? } else { conf.add_file(path)? }
        }
        GlanceConf::of(conf)
    }

    /// The settings in `conf`.
    pub(crate) fn of(conf: Conf) -> Result<Self> {
        Ok(GlanceConf {
            image_cache_dir: conf.text("DEFAULT", "image_cache_dir")?.map(PathBuf::from),
            image_cache_max_size: conf.whole_number("DEFAULT", "image_cache_max_size")?,
            image_cache_stall_time: conf.whole_number("DEFAULT", "image_cache_stall_time")?.map(Duration::from_secs),
            image_cache_driver: conf.text("DEFAULT", "image_cache_driver")?.map(|driver| driver.to_lowercase()),
            conf,
        })
    }
}
