//! What fuzzing calls: each function takes any bytes and panics where a promise about them does not hold. The tests here are
//! its short run; `fuzz/README.md` tells of the long one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::digest::Digest;
use crate::image_id::{ImageId, MAX_LEN};
use crate::mark::Mark;
use crate::{layout, time};

/// An image ID is one plain file name, or refused; what it is refused with can be printed.
pub fn image_id(data: &[u8]) {
    let from_name = ImageId::from_file_name(OsStr::from_bytes(data));
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(from_name.is_none(), "BUG: an ID that is no UTF-8");
        return;
    };
    match ImageId::new(text) {
        Ok(id) => {
            let name = id.as_str();
            assert_eq!(name, text, "BUG: an ID is another text than was asked for");
            assert!((1..=MAX_LEN).contains(&name.len()), "BUG: no length of a file name");
            assert!(!name.contains(['/', '\0']) && name != "." && name != "..", "BUG: more than one plain name");
            assert!(!layout::RESERVED.contains(&name), "BUG: a name of the cache's own");
            assert_eq!(from_name, Some(id), "BUG: no way back from its file");
        }
        Err(refused) => {
            assert_eq!(refused.text(), text, "BUG: another text is refused");
            assert!(from_name.is_none(), "BUG: a file that no ID names");
            let told = refused.to_string();
            assert!(!told.contains(char::is_control), "BUG: raw control characters in {told:?}");
        }
    }
}

/// A mark is what was written, or none; it never lets more be trusted than was written.
pub fn mark(data: &[u8]) {
    let Some(mark) = Mark::from_text(&String::from_utf8_lossy(data)) else { return };
    for boot in ["", &mark.boot, "another"] {
        assert!(mark.trusted(boot) <= mark.written, "BUG: more is trusted than was written");
    }
    assert!(mark.trusted("another boot") <= mark.synced, "BUG: what was not synced is trusted in another boot");
    assert_eq!(Mark::from_text(&mark.to_text()), Some(mark), "BUG: it reads otherwise than it was written");
}

/// Digests and times in tags: what can be read reads the same after it was written again.
pub fn tag(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse(), Ok(digest), "BUG: a digest changes on its way");
    }
    if let Some(known) = time::from_tag(&text) {
        assert_eq!(time::from_tag(&time::to_tag(known)), Some(known), "BUG: a time changes on its way");
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "it reads its corpus, outside any cache")]
#[path = "../../../fuzz/short.rs"]
mod short;

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn image_ids() {
        short::run("image_id", 20_000, super::image_id);
    }

    #[test]
    fn marks() {
        short::run("mark", 20_000, super::mark);
    }

    #[test]
    fn tags() {
        short::run("tag", 20_000, super::tag);
    }
}
