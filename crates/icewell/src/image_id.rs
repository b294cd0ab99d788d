//! The one road from text to a file name.
//!
//! Nothing else in Icewell turns text from outside into a name on disk: every function that opens, renames or removes
//! an image's file takes an [`ImageId`], and an [`ImageId`] cannot hold a name that leaves its folder.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use crate::layout;

/// The most bytes an image ID may have: `NAME_MAX` of every file system Icewell runs on (`limits.h`).
pub const MAX_LEN: usize = 255;

/// The name of an image, and of its file in each of the cache's folders.
///
/// What it guarantees:
///
/// - it is 1 to [`MAX_LEN`] bytes of UTF-8;
/// - it is one path component: it has no `/` and no NUL, and is neither `.` nor `..`;
/// - it is none of the cache's own folders: `incomplete`, `invalid`, `queue`, `.icewell`.
///
/// Everything else is a legal ID: a UUID, `Debian 12.qcow2`, a name that begins with a dot, one with a newline.
/// IDs are compared byte by byte; no Unicode normalisation takes place.
///
/// ```
/// use icewell::ImageId;
///
/// let id = ImageId::new("71c675ab-d94f-49cd-a114-e12490b328d9")?;
/// assert_eq!(id.as_str(), "71c675ab-d94f-49cd-a114-e12490b328d9");
/// assert!(ImageId::new("../etc/passwd").is_err());
/// assert!(ImageId::new("..").is_err());
/// assert!(ImageId::new("queue").is_err());
/// assert!(ImageId::new("").is_err());
/// assert!(ImageId::new(&"x".repeat(256)).is_err());
/// # Ok::<(), icewell::InvalidImageId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(Box<str>);

impl ImageId {
    /// Takes `text` as an image ID.
    ///
    /// # Errors
    ///
    /// [`InvalidImageId`], which quotes the text and says what is wrong with it. No path is made from refused text.
    pub fn new(text: &str) -> Result<Self, InvalidImageId> {
        let refuse = |why| Err(InvalidImageId { text: text.into(), why });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_LEN {
            return refuse("it is longer than 255 bytes");
        }
        if text.contains('/') {
            return refuse("it contains '/'");
        }
        if text.contains('\0') {
            return refuse("it contains a NUL byte");
        }
        if text == "." || text == ".." {
            return refuse("it names a folder");
        }
        if layout::RESERVED.contains(&text) {
            return refuse("the cache keeps that name for a folder of its own");
        }
        Ok(ImageId(text.into()))
    }

    /// The ID a file name found on disk stands for, if it stands for one.
    pub(crate) fn from_file_name(name: &OsStr) -> Option<Self> {
        name.to_str().and_then(|text| ImageId::new(text).ok())
    }

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageId {
    type Err = InvalidImageId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ImageId::new(text)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for ImageId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Text that cannot be an image ID, and why.
///
/// Its message quotes the text with escapes, so that it is safe to print on a terminal or in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidImageId {
    text: Box<str>,
    why: &'static str,
}

impl InvalidImageId {
    /// The refused text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with it, as the end of a sentence.
    pub fn why(&self) -> &'static str {
        self.why
    }
}

impl fmt::Display for InvalidImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an image ID: {}", self.text, self.why)
    }
}

impl std::error::Error for InvalidImageId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_file_names_are_ids() {
        for text in [
            "a",
            "71c675ab-d94f-49cd-a114-e12490b328d9",
            ".hidden",
            "...",
            "Queue",
            "incomplete ",
            "ünï",
            "a\nb",
            "%2e",
        ] {
            assert_eq!(ImageId::new(text).unwrap().as_str(), text);
        }
        assert!(ImageId::new(&"é".repeat(127)).is_ok());
        assert!(ImageId::new(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn everything_else_is_refused_and_quoted() {
        for text in ["", ".", "..", "incomplete", "invalid", "queue", ".icewell", "a/b", "/", "a\0b", &"é".repeat(128)]
        {
            let error = ImageId::new(text).unwrap_err();
            assert_eq!(error.text(), text);
            assert!(error.to_string().starts_with(&format!("{text:?} is not")), "{error}");
        }
    }

    #[test]
    fn names_on_disk_that_are_no_utf8_are_no_ids() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(ImageId::from_file_name(OsStr::from_bytes(b"\xff")), None);
    }
}
