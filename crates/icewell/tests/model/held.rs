//! A fill that the other cache on the directory has begun, and that goes on while everything else is done.

use icewell::{Commit, ErrorKind, Writer};

use super::reference::{Harness, content, name};
use super::support::announced;

/// It counts whole, however much of it is written.
pub(super) struct Held {
    image: usize,
    size: u64,
    writer: Writer,
}

impl Harness {
    /// The other begins a fill with the first so many bytes of so many. One at a time.
    pub(super) fn begin(&mut self, image: usize, some: u64, size: u64) {
        if self.held.is_some() {
            return;
        }
        let claimed = self.other.write(&name(image));
        if self.model.cached(image).is_some() {
            assert_eq!(claimed.unwrap_err().kind(), ErrorKind::AlreadyCached);
            self.model.fills.remove(&image);
            return;
        }
        let mut writer = claimed.unwrap();
        let begun = writer.start(announced(size));
        self.model.fills.remove(&image);
        assert_eq!(begun.is_ok(), self.model.can_make_room(image, size), "{begun:?}");
        if begun.is_ok() {
            self.evicted(size);
            writer.write(&content(image, size)[..some as usize]).unwrap();
            self.model.held = Some((image, size));
            self.held = Some(Held { image, size, writer });
        }
    }

    /// The other comes to the end of its fill.
    pub(super) fn finish(&mut self) {
        let Some(Held { image, size, mut writer }) = self.held.take() else { return };
        self.model.held = None;
        writer.write(&content(image, size)[writer.written() as usize..]).unwrap();
        assert_eq!(writer.commit().unwrap(), Commit::Stored);
        self.committed(image, content(image, size));
    }

    /// The other dies.
    #[cfg(debug_assertions)]
    pub(super) fn die(&mut self) {
        let Some(Held { image, writer, .. }) = self.held.take() else { return };
        self.model.held = None;
        let before = self.model.clone();
        let armed = icewell::failpoints::arm("any+=gone").unwrap();
        drop(writer);
        drop(armed);
        self.go_on_with_what_is_there(&before, &super::operations::Operation::Claim(image));
    }

    /// Whether the image is the other's now, and nobody else's.
    pub(super) fn is_held(&self, image: usize) -> bool {
        self.model.held.is_some_and(|(held, _)| held == image)
    }
}
