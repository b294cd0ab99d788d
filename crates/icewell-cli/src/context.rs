//! What every verb starts from: the global options, made good.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use icewell::Cache;

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::glance_conf::GlanceConf;
use crate::output::Output;
use crate::settings::File;
use crate::settings::about::DIR;

/// The cache directory of root, where nobody names one.
pub(crate) const SYSTEM_DIR: &str = "/var/cache/icewell";

/// The global options, made good.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    dir: Option<&'a Path>,
    /// What Glance's file says, if one was named.
    pub(crate) glance: GlanceConf,
    pub(crate) output: &'a Output,
}

impl<'a> Context<'a> {
    pub(crate) fn new(global: &'a Global, output: &'a Output) -> Result<Self> {
        let glance = GlanceConf::read(&global.glance_conf)?;
        Ok(Context { dir: global.dir.as_deref(), glance, output })
    }

    /// The cache directory: the option or `ICEWELL_DIR`, else Glance's, else what the daemon's file of settings names,
    /// else the usual place.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        match self.dir.or(self.glance.image_cache_dir.as_deref()) {
            None if self.glance.conf.files().is_empty() => self.dir_of_daemon(of_the_file()?.as_deref()),
            _ => self.dir_of_daemon(None),
        }
    }

    /// The cache directory of a daemon whose settings name this one: that, unless an option or `ICEWELL_DIR` names
    /// another; else Glance's, else the usual place.
    pub(crate) fn dir_of_daemon(&self, configured: Option<&Path>) -> Result<PathBuf> {
        if let Some(dir) = self.dir.or(configured).or(self.glance.image_cache_dir.as_deref()) {
            return Ok(dir.into());
        }
        if let [.., last] = self.glance.conf.files() {
            let message =
                format!("{}: [DEFAULT] sets no image_cache_dir; name the directory with --dir", last.display());
            return Err(Failure::usage(message));
        }
        let root = rustix::process::geteuid().is_root();
        let place = usual_dir(root, std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"));
        place.ok_or_else(|| Failure::usage("there is no home directory to keep a cache in; name one with --dir"))
    }

    /// The cache, made if it is missing.
    pub(crate) fn cache(&self) -> Result<Cache> {
        Ok(Cache::open(self.dir()?)?)
    }
}

/// What the daemon's file of settings names, where that is for everybody to read.
fn of_the_file() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("ICEWELL_CONFIG").map(PathBuf::from);
    let Some(path) = File::find(named.as_deref()) else { return Ok(None) };
    if std::fs::File::open(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        return Ok(None);
    }
    let file = File::read(Some(path)).map_err(|wrong| {
        let first = wrong.first().map(ToString::to_string).unwrap_or_default();
        Failure::usage(format!("{first} (it may name the cache directory; or name that with --dir)"))
    })?;
    Ok(file.values.into_iter().find(|value| value.key == DIR).map(|value| value.text.into()))
}

fn usual_dir(root: bool, cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    if root {
        return Some(SYSTEM_DIR.into());
    }
    // The XDG specification has relative paths ignored.
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute(cache_home).or_else(|| Some(absolute(home)?.join(".cache")))?;
    Some(cache.join("icewell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_place() {
        let text = |text: &str| Some(OsString::from(text));
        assert_eq!(usual_dir(true, text("/x"), text("/root")), Some("/var/cache/icewell".into()));
        assert_eq!(usual_dir(false, text("/x"), text("/home/a")), Some("/x/icewell".into()));
        assert_eq!(usual_dir(false, text("x"), text("/home/a")), Some("/home/a/.cache/icewell".into()));
        assert_eq!(usual_dir(false, None, text("/home/a")), Some("/home/a/.cache/icewell".into()));
        assert_eq!(usual_dir(false, text(""), None), None);
    }
}
