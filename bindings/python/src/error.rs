//! Kinds of errors to Python's exceptions: the one place that knows both.

use std::ffi::OsString;

use icewell::{Error, ErrorKind, InvalidImageId};
use pyo3::create_exception;
use pyo3::exceptions::{
    PyBlockingIOError, PyFileExistsError, PyFileNotFoundError, PyOSError, PyPermissionError, PyValueError,
};
use pyo3::prelude::*;

create_exception!(icewell, InvalidImageIdError, PyValueError, "The text is no image ID.");
create_exception!(icewell, NotCachedError, PyFileNotFoundError, "There is no such cached image.");
create_exception!(icewell, AlreadyCachedError, PyFileExistsError, "The image is cached already.");
create_exception!(icewell, InProgressError, PyBlockingIOError, "Somebody else is filling the image.");
create_exception!(icewell, NoRoomError, PyOSError, "The image cannot fit the limit.");
create_exception!(icewell, StorageFullError, PyOSError, "The file system is full.");
create_exception!(icewell, SizeMismatchError, PyOSError, "The image has another size than was announced.");
create_exception!(icewell, DigestMismatchError, PyOSError, "The image has another digest than was announced.");
create_exception!(icewell, NoXattrSupportError, PyOSError, "The file system keeps no user extended attributes.");
create_exception!(icewell, OtherOriginError, PyPermissionError, "The cache directory belongs to another origin.");
create_exception!(icewell, UnknownFormatError, PyOSError, "The cache directory was written by a newer Icewell.");

/// Puts the exceptions into the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    for (name, exception) in [
        ("InvalidImageIdError", py.get_type::<InvalidImageIdError>()),
        ("NotCachedError", py.get_type::<NotCachedError>()),
        ("AlreadyCachedError", py.get_type::<AlreadyCachedError>()),
        ("InProgressError", py.get_type::<InProgressError>()),
        ("NoRoomError", py.get_type::<NoRoomError>()),
        ("StorageFullError", py.get_type::<StorageFullError>()),
        ("SizeMismatchError", py.get_type::<SizeMismatchError>()),
        ("DigestMismatchError", py.get_type::<DigestMismatchError>()),
        ("NoXattrSupportError", py.get_type::<NoXattrSupportError>()),
        ("OtherOriginError", py.get_type::<OtherOriginError>()),
        ("UnknownFormatError", py.get_type::<UnknownFormatError>()),
    ] {
        module.add(name, exception)?;
    }
    Ok(())
}

/// The exception for an error of the library.
pub(crate) fn raise(error: Error) -> PyErr {
    let raised = |default: i32| {
        // As Python's own: number, what went wrong, on which file.
        let path: OsString = error.path().into();
        (errno(&error).unwrap_or(default), chain(&error), path)
    };
    match error.kind() {
        ErrorKind::InvalidImageId => InvalidImageIdError::new_err(chain(&error)),
        ErrorKind::NotCached => NotCachedError::new_err(raised(libc::ENOENT)),
        ErrorKind::AlreadyCached => AlreadyCachedError::new_err(raised(libc::EEXIST)),
        ErrorKind::InProgress => InProgressError::new_err(raised(libc::EAGAIN)),
        ErrorKind::NoRoom => NoRoomError::new_err(raised(libc::ENOSPC)),
        ErrorKind::StorageFull => StorageFullError::new_err(raised(libc::ENOSPC)),
        ErrorKind::SizeMismatch => SizeMismatchError::new_err(raised(libc::EBADMSG)),
        ErrorKind::DigestMismatch => DigestMismatchError::new_err(raised(libc::EBADMSG)),
        ErrorKind::NoXattrSupport => NoXattrSupportError::new_err(raised(libc::EOPNOTSUPP)),
        ErrorKind::OtherOrigin => OtherOriginError::new_err(raised(libc::EPERM)),
        ErrorKind::UnknownFormat => UnknownFormatError::new_err(raised(libc::EINVAL)),
        ErrorKind::PermissionDenied => PyPermissionError::new_err(raised(libc::EACCES)),
        ErrorKind::ReadOnly => PyOSError::new_err(raised(libc::EROFS)),
        // OSError itself turns a number into the subclass that fits. A kind of a later library is such an error, too.
        _ => PyOSError::new_err(raised(libc::EIO)),
    }
}

/// The exception for text that is no image ID.
pub(crate) fn refuse(error: InvalidImageId) -> PyErr {
    raise(Error::from(error))
}

/// What the system said, where it said something.
fn errno(error: &Error) -> Option<i32> {
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        if let Some(number) = next.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return Some(number);
        }
        source = next.source();
    }
    None
}

/// An error with its sources, as one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}
