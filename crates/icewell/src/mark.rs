//! The mark on a fill's bytes: how much of them may be trusted after a crash.

use std::fs::File;
use std::io;

use crate::attrs::Tagged;
use crate::layout::tag;
use crate::sys;

/// How far a fill has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Bytes handed to the system. They count after a crash of the process, not after one of the machine.
    pub(crate) written: u64,
    /// Bytes known to be on the disk.
    pub(crate) synced: u64,
    /// The image's size, where it is known.
    pub(crate) size: Option<u64>,
    /// Bytes promised to the fill while it is alive: what the limit counts.
    pub(crate) reserved: u64,
    /// The boot of the machine in which `written` was written.
    pub(crate) boot: String,
}

impl Mark {
    /// The bytes that are surely there, now, in the boot `boot`.
    pub(crate) fn trusted(&self, boot: &str) -> u64 {
        if !boot.is_empty() && self.boot == boot { self.written } else { self.synced.min(self.written) }
    }

    pub(crate) fn store(&self, bytes: &File) -> io::Result<()> {
        sys::set_tag(bytes, tag::FILL, self.to_text().as_bytes())
    }

    /// The mark among these tags; none where there is none, or garbage.
    pub(crate) fn load(tags: &Tagged<'_>) -> io::Result<Option<Self>> {
        tags.tell_as(tag::FILL, |value| Mark::from_text(str::from_utf8(value?).ok()?))
    }

    pub(crate) fn to_text(&self) -> String {
        let Mark { written, synced, size, reserved, boot } = self;
        let size = size.map_or("unknown".to_owned(), |size| size.to_string());
        format!("written={written} synced={synced} size={size} reserved={reserved} boot={boot}")
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let field = |name: &str| text.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        Some(Mark {
            written: field("written")?.parse().ok()?,
            synced: field("synced")?.parse().ok()?,
            size: field("size")?.parse().ok(),
            reserved: field("reserved").and_then(|text| text.parse().ok()).unwrap_or(0),
            boot: field("boot")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_trusted() {
        let mark = Mark { written: 9, synced: 4, size: Some(20), reserved: 20, boot: "a".into() };
        assert_eq!(mark.trusted("a"), 9);
        assert_eq!(mark.trusted("b"), 4);
        assert_eq!(Mark { boot: String::new(), ..mark.clone() }.trusted(""), 4);
        assert_eq!(Mark::from_text(&mark.to_text()), Some(mark.clone()));
        let unknown = Mark { size: None, ..mark };
        assert_eq!(Mark::from_text(&unknown.to_text()), Some(unknown));
    }

    #[test]
    fn garbage_is_no_mark() {
        for text in ["", "written=1", "written=x synced=1 size=1 boot=", "synced=-1 written=1 size=unknown boot=a"] {
            assert_eq!(Mark::from_text(text), None, "{text}");
        }
    }
}
