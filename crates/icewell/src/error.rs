//! What can go wrong, in words that name the thing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::image_id::InvalidImageId;

/// The result of everything the library does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong; what a caller may want to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is no image ID.
    InvalidImageId,
    /// There is no such cached image.
    NotCached,
    /// The image is cached already; nothing was changed.
    AlreadyCached,
    /// Somebody else, in this process, another one or a Glance, is filling the image.
    InProgress,
    /// The image cannot fit the limit, whatever is removed; nothing was removed.
    NoRoom,
    /// The file system (`ENOSPC`) or a quota (`EDQUOT`) is full, and nothing more could be removed.
    StorageFull,
    /// The image has another size than was announced.
    SizeMismatch,
    /// The image has another digest than the origin vouched for.
    DigestMismatch,
    /// The file system of the cache directory keeps no user extended attributes.
    NoXattrSupport,
    /// The cache directory belongs to another origin.
    OtherOrigin,
    /// The cache directory was written by a newer Icewell.
    UnknownFormat,
    /// The system refused for lack of permission.
    PermissionDenied,
    /// The file system is mounted read-only.
    ReadOnly,
    /// Anything else the system said.
    Io,
}

/// An operation of the cache that failed: its kind, what was tried, on which path, and what the system said.
///
/// The message does not repeat [`source`](std::error::Error::source); print the chain to see it all.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    /// What was tried, as it follows "cannot".
    operation: &'static str,
    path: PathBuf,
    /// What is wrong and what to do, where the kind alone does not say it.
    detail: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, operation: &'static str, path: impl Into<PathBuf>) -> Self {
        Error(Box::new(Inner { kind, operation, path: path.into(), detail: None, source: None }))
    }

    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
            _ => ErrorKind::Io,
        };
        let mut error = Error::new(kind, operation, path);
        error.0.source = Some(Box::new(source));
        error
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was tried, as it follows "cannot".
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message and its sources, on one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(next) = source {
            text = format!("{text}: {next}");
            source = next.source();
        }
        text
    }

    /// The file or folder it was tried on.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, path, detail, .. } = &*self.0;
        write!(f, "cannot {operation} {path:?}")?;
        let said = match kind {
            ErrorKind::InvalidImageId | ErrorKind::Io => "",
            ErrorKind::NotCached => "it is not cached",
            ErrorKind::AlreadyCached => "it is cached already",
            ErrorKind::InProgress => "its fill is in progress elsewhere",
            ErrorKind::NoRoom => "it cannot fit the limit",
            ErrorKind::StorageFull => "the file system is full",
            ErrorKind::SizeMismatch => "it has another size than announced",
            ErrorKind::DigestMismatch => "it has another digest than the origin vouched for",
            ErrorKind::NoXattrSupport => "the file system keeps no user extended attributes",
            ErrorKind::OtherOrigin => "the cache belongs to another origin",
            ErrorKind::UnknownFormat => "the cache was written by a newer Icewell",
            ErrorKind::PermissionDenied => "permission is denied",
            ErrorKind::ReadOnly => "the file system is mounted read-only",
        };
        match (said, detail) {
            ("", None) => Ok(()),
            ("", Some(detail)) => write!(f, ": {detail}"),
            (said, None) => write!(f, ": {said}"),
            (said, Some(detail)) => write!(f, ": {said}: {detail}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<InvalidImageId> for Error {
    fn from(error: InvalidImageId) -> Self {
        Error::new(ErrorKind::InvalidImageId, "use the name", error.text()).with_detail(error.why())
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidImageId => io::ErrorKind::InvalidInput,
            ErrorKind::NotCached => io::ErrorKind::NotFound,
            ErrorKind::AlreadyCached => io::ErrorKind::AlreadyExists,
            ErrorKind::InProgress => io::ErrorKind::WouldBlock,
            ErrorKind::NoRoom | ErrorKind::StorageFull => io::ErrorKind::StorageFull,
            ErrorKind::SizeMismatch | ErrorKind::DigestMismatch | ErrorKind::UnknownFormat => {
                io::ErrorKind::InvalidData
            }
            ErrorKind::NoXattrSupport => io::ErrorKind::Unsupported,
            ErrorKind::OtherOrigin | ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
            ErrorKind::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            ErrorKind::Io => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Adds operation and path to what the system said.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, operation: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T> {
        self.map_err(|source| Error::io(operation, path(), source))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_message_names_the_thing_and_leaves_the_source_to_the_chain() {
        let error = Error::io("open", "/cache/x", io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "cannot open \"/cache/x\": permission is denied");
        assert!(error.source().unwrap().to_string().contains("os error 13"));
    }

    #[test]
    fn an_invalid_id_is_quoted_with_escapes() {
        let error = Error::from(crate::ImageId::new("../\u{1b}[2J").unwrap_err());
        assert_eq!(error.to_string(), "cannot use the name \"../\\u{1b}[2J\": it contains '/'");
    }
}
