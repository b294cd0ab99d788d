//! Tags with their meaning: what is known of an image, as typed values.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::time::SystemTime;

use tracing::warn;

use crate::digest::Digest;
use crate::image_id::ImageId;
use crate::layout::tag;
use crate::{sys, time};

/// The origin's validators of an image (RFC 9110 §8.8): what tells that the origin still has the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` field's value, with its quotes.
    pub etag: Option<String>,
    /// The `Last-Modified` field's value.
    pub last_modified: Option<String>,
}

/// What is known of an image besides its bytes; each part is optional and kept in a tag of its own.
///
/// A tag that does not fit the file system's space for tags (about 4 KiB in all on ext4) is left out with a warning;
/// the image is cached all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// A name for people.
    pub name: Option<String>,
    /// The origin's validators.
    pub validators: Validators,
    /// The media type.
    pub content_type: Option<String>,
    /// A front end's own record of how long the image is fresh; the library does not look into it.
    pub freshness: Option<String>,
}

/// Where tags are read from: an open file, or a name in a folder.
pub(crate) enum Tagged<'a> {
    File(&'a dyn AsFdDyn),
    Name(&'a sys::Dir, &'a OsStr),
}

/// [`AsFd`] as a trait object.
pub(crate) trait AsFdDyn {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: AsFd> AsFdDyn for T {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Tagged<'_> {
    /// What `read` makes of a tag's value. A pass over many images copies none of them.
    fn read<T>(&self, key: &str, read: impl FnOnce(Option<&[u8]>) -> T) -> io::Result<T> {
        match self {
            Tagged::File(file) => sys::read_tag(file.fd(), key, read),
            Tagged::Name(dir, name) => sys::read_tag_at(dir, name, key, read),
        }
    }

    fn raw(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        self.read(key, |value| value.map(<[u8]>::to_vec))
    }

    /// The tag as text. One that cannot be read, or is no text, counts as missing: tags are what is known, and
    /// nothing that depends on them may fail because somebody wrote garbage.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.raw(key) {
            Ok(value) => {
                let value = String::from_utf8(value?);
                value.inspect_err(|_| warn!(tag = key, "the tag is not UTF-8 and is passed over")).ok()
            }
            Err(error) => {
                warn!(tag = key, %error, "the tag cannot be read and is passed over");
                None
            }
        }
    }

    /// Whether there is such a tag, or what the system said: for who must not take "cannot be read" for "no".
    pub(crate) fn tell(&self, key: &str) -> io::Result<bool> {
        self.tell_as(key, |value| value.is_some())
    }

    /// What `read` makes of a tag's value, or what the system said. A value longer than any of ours is garbage, as good as
    /// an empty one.
    pub(crate) fn tell_as<T>(&self, key: &str, read: impl Fn(Option<&[u8]>) -> T) -> io::Result<T> {
        match self.read(key, &read) {
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => Ok(read(Some(b""))),
            other => other,
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.tell(key).unwrap_or(false)
    }

    /// Whether the image is to stay. One of which nobody can tell stays.
    pub(crate) fn are_of_pinned(&self) -> bool {
        self.tell(tag::PINNED).unwrap_or_else(|error| {
            warn!(tag = tag::PINNED, %error, "the tag cannot be read, and the image counts as pinned");
            true
        })
    }

    /// Whether Icewell made the file, or has taken it over.
    pub(crate) fn are_ours(&self) -> bool {
        [tag::IMAGE_ID, tag::CLAIM, tag::FILL].into_iter().any(|key| self.has(key))
    }

    /// How often the image was read; 0 where the tag is missing or no number, as Glance has it.
    pub(crate) fn hits(&self) -> u64 {
        self.tell_hits().unwrap_or_else(|error| {
            warn!(tag = tag::HITS, %error, "the tag cannot be read and counts as 0");
            0
        })
    }

    /// As [`hits`](Tagged::hits), or what the system said: for who is about to write down more of them.
    pub(crate) fn tell_hits(&self) -> io::Result<u64> {
        self.tell_as(tag::HITS, |value| {
            let Some(value) = value else { return 0 };
            let number = str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            number.unwrap_or_else(|| {
                warn!(tag = tag::HITS, value = %value.escape_ascii(), "the tag is not a number and counts as 0");
                0
            })
        })
    }

    pub(crate) fn digest(&self, key: &str) -> Option<Digest> {
        digest(key, &self.text(key)?)
    }

    /// As [`digest`](Tagged::digest), or what the system said: for who is about to say that there is none.
    pub(crate) fn tell_digest(&self, key: &str) -> io::Result<Option<Digest>> {
        self.tell_as(key, |value| digest(key, &String::from_utf8_lossy(value?)))
    }

    /// When the image was last used: its access time, or the tag where somebody who may not set it left a later one.
    pub(crate) fn last_accessed(&self, stat: &sys::Stat) -> SystemTime {
        let access_time = stat.accessed;
        // The owner sets the time itself. A file that nobody else may write has no such tag: a call less for each image.
        if stat.mode & 0o022 == 0 {
            return access_time;
        }
        self.time(tag::ACCESSED).map_or(access_time, |tagged| tagged.max(access_time))
    }

    /// A time in a tag. Looked up without a warning: it is missing on most files.
    pub(crate) fn time(&self, key: &str) -> Option<SystemTime> {
        let value = String::from_utf8(self.raw(key).ok()??).ok()?;
        time::from_tag(&value)
    }

    pub(crate) fn metadata(&self) -> Metadata {
        Metadata {
            name: self.text(tag::NAME),
            validators: Validators { etag: self.text(tag::ETAG), last_modified: self.text(tag::LAST_MODIFIED) },
            content_type: self.text(tag::CONTENT_TYPE),
            freshness: self.text(tag::FRESHNESS),
        }
    }

    /// What the tags say of this file's being the cached image `id`.
    pub(crate) fn identity(&self, id: &ImageId) -> io::Result<Identity> {
        let named = match self.read(tag::IMAGE_ID, |value| value.map(|value| value == id.as_str().as_bytes())) {
            // Longer than any ID of ours.
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => return Ok(Identity::Another),
            other => other?,
        };
        Ok(match named {
            Some(true) => Identity::Itself,
            Some(false) => Identity::Another,
            None if self.read(tag::CLAIM, |value| value.is_some())? => Identity::Claim,
            None => Identity::Untagged,
        })
    }
}

fn digest(key: &str, text: &str) -> Option<Digest> {
    text.parse().inspect_err(|_| warn!(tag = key, value = ?text, "the tag is not a digest and is passed over")).ok()
}

/// What the tags of a file say of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Committed by Icewell under this name.
    Itself,
    /// Committed by Icewell under another name: somebody moved it.
    Another,
    /// Icewell's claim, which a Glance beside us took for its own fill and committed.
    Claim,
    /// Not Icewell's: a Glance's, or one whose tags were lost.
    Untagged,
}

/// Sets the tags of `metadata`, in order of importance; those that do not fit are left out, those that are absent
/// are removed.
pub(crate) fn set_metadata<Fd: AsFd + Copy>(file: Fd, metadata: &Metadata) -> io::Result<()> {
    let Metadata { name, validators, content_type, freshness } = metadata;
    for (key, value) in [
        (tag::ETAG, &validators.etag),
        (tag::LAST_MODIFIED, &validators.last_modified),
        (tag::FRESHNESS, freshness),
        (tag::CONTENT_TYPE, content_type),
        (tag::NAME, name),
    ] {
        match value {
            Some(value) => set_if_it_fits(file, key, value)?,
            None => sys::remove_tag(file, key)?,
        }
    }
    Ok(())
}

/// Sets a tag that the image can be without; removes it where the value does not fit, lest an old one stay.
pub(crate) fn set_if_it_fits<Fd: AsFd + Copy>(file: Fd, key: &str, value: &str) -> io::Result<()> {
    match sys::set_tag(file, key, value.as_bytes()) {
        Err(error) if does_not_fit(&error) => {
            warn!(tag = key, bytes = value.len(), "the tag does not fit and is left out");
            sys::remove_tag(file, key)
        }
        other => other,
    }
}

/// Sets a tag of free text, cut at the end of a character to what fits.
pub(crate) fn set_cut_to_fit<Fd: AsFd + Copy>(file: Fd, key: &str, text: &str) -> io::Result<()> {
    let mut length = text.len();
    loop {
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        match sys::set_tag(file, key, &text.as_bytes()[..length]) {
            Err(error) if does_not_fit(&error) && length > 0 => length /= 2,
            Err(error) if does_not_fit(&error) => return Ok(()),
            other => return other,
        }
    }
}

pub(crate) fn does_not_fit(error: &io::Error) -> bool {
    // setxattr(2): ENOSPC and EDQUOT for the file system's room, E2BIG and ERANGE for one value's length.
    [libc::ENOSPC, libc::EDQUOT, libc::E2BIG, libc::ERANGE].map(Some).contains(&error.raw_os_error())
}
