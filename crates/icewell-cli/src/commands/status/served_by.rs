//! The daemon that serves the directory, if one answers that does.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::commands::running::Running;
use crate::commands::running::seen::Seen;
use crate::failure::{Failure, Result};
use crate::settings::File;

/// How long the daemon may take: whoever wants a summary wants it soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon that has answered.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) address: SocketAddr,
    pub(super) seen: Seen,
    /// All that it told.
    pub(super) told: Value,
}

/// The daemon that `running` and the settings mean.
///
/// # Errors
///
/// Why there is none to show: it cannot be asked, does not answer, or serves another directory.
pub(super) fn daemon_of(dir: &Path, running: &Running) -> Result<Daemon> {
    // As for the directory: the variable, else the usual file.
    let named = std::env::var_os("ICEWELL_CONFIG").map(PathBuf::from);
    let file = File::read(File::find(named.as_deref())).map_err(|wrong| {
        let first = wrong.first().map(ToString::to_string);
        Failure::usage(first.unwrap_or_default())
    })?;
    let listener = running.listener(&file, PATIENCE)?;
    let answer = listener.status()?;
    let (address, seen) = (listener.address(), Seen::read(&answer)?);
    if !is_same(Path::new(&seen.dir), dir) {
        return Err(Failure::failed(format!("the one at http://{address}/ serves {:?}", seen.dir)));
    }
    let told = serde_json::from_slice(&answer).unwrap_or_default();
    Ok(Daemon { address, seen, told })
}

/// Whether both are names of one directory.
fn is_same(one: &Path, other: &Path) -> bool {
    let id = |dir: &Path| std::fs::metadata(dir).map(|found| (found.dev(), found.ino()));
    match (id(one), id(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
