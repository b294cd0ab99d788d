//! A cache directory as text, for git keeps neither tags nor times.
//!
//! ```text
//! incomplete/.icewell/x file "its bytes" atime=…
//!     user.icewell.fill = "written=…"
//! ```

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::support::{names, set_accessed, set_modified, set_tag, tags};

/// Everything that the format is about: paths, kinds, sizes, bytes, and tags; and the times that mean something.
pub(crate) fn describe(dir: &Path) -> String {
    let mut text = String::new();
    describe_one(dir, "", &mut text);
    text
}

fn describe_one(dir: &Path, name: &str, text: &mut String) {
    let path = dir.join(name);
    let metadata = path.symlink_metadata().unwrap();
    let shown = if name.is_empty() { "." } else { name };
    if metadata.is_dir() {
        writeln!(text, "{shown} folder").unwrap();
    } else {
        let bytes = fs::read(&path).unwrap();
        write!(text, "{shown} file {:?}", String::from_utf8(bytes).unwrap()).unwrap();
        if name.starts_with("queue/") {
            write!(text, " mtime={}", nanoseconds(metadata.modified().unwrap())).unwrap();
        } else if !name.contains('/') {
            write!(text, " atime={}", nanoseconds(metadata.accessed().unwrap())).unwrap();
        }
        text.push('\n');
    }
    for (key, value) in tags(&path) {
        writeln!(text, "    {key} = {:?}", value.replace(&boot_id(), "BOOT")).unwrap();
    }
    if metadata.is_dir() {
        for below in names(&path) {
            let below = if name.is_empty() { below } else { format!("{name}/{below}") };
            describe_one(dir, &below, text);
        }
    }
}

/// Makes the directory that a manifest describes.
pub(crate) fn rebuild(manifest: &str, dir: &Path) {
    let mut path = dir.to_owned();
    for line in manifest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(tag) = line.strip_prefix("    ") {
            let (key, value) = tag.split_once(" = ").unwrap();
            set_tag(&path, key, unquote(value).replace("BOOT", &boot_id()).as_bytes());
            continue;
        }
        if let Some(folder) = line.strip_suffix(" folder") {
            path = dir.join(folder);
            fs::create_dir_all(&path).unwrap();
            continue;
        }
        let (name, rest) = line.split_once(" file ").unwrap();
        let (quoted, time) = rest.rsplit_once('"').unwrap();
        path = dir.join(name);
        fs::write(&path, unquote(&format!("{quoted}\""))).unwrap();
        match time.trim().split_once('=') {
            Some(("atime", time)) => set_accessed(&path, moment(time)),
            Some(("mtime", time)) => set_modified(&path, moment(time)),
            _ => {}
        }
    }
}

fn nanoseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

fn moment(text: &str) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(text.parse().unwrap())
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// The reverse of `{:?}`, as far as manifests need it.
fn unquote(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
    inner.replace("\\\"", "\"").replace("\\n", "\n").replace("\\0", "\0").replace("\\\\", "\\")
}
