//! Why a command stopped, in words for its user.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use crate::exit::Exit;

/// What every verb returns.
pub(crate) type Result<T = Exit> = std::result::Result<T, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked makes no sense.
    Usage(Box<dyn Error + Send + Sync>),
    /// It could not be done.
    Failed(Box<dyn Error + Send + Sync>),
    /// Whoever read our output has had enough of it.
    ReaderGone,
}

impl Failure {
    /// Wrong usage, as one sentence without a full stop.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into().into())
    }

    /// Something that failed, as one sentence without a full stop.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Failure::Failed(message.into().into())
    }

    /// What the system said of a file: "cannot open "x": No such file or directory".
    pub(crate) fn io(tried: &str, path: &Path, error: &io::Error) -> Self {
        Failure::failed(format!("cannot {tried} {path:?}: {error}"))
    }

    /// What the system said when we wrote to standard output.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::failed(format!("cannot write to standard output: {error}")),
        }
    }

    /// The exit status that tells it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Failed(_) => Exit::Failed,
            Failure::ReaderGone => Exit::Done,
        }
    }
}

/// The message and those of its sources, with ": " between.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = match self {
            Failure::Usage(error) | Failure::Failed(error) => error,
            Failure::ReaderGone => return f.write_str("the reader of standard output has gone"),
        };
        write!(f, "{error}")?;
        let mut source = error.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl From<icewell::Error> for Failure {
    fn from(error: icewell::Error) -> Self {
        Failure::Failed(error.into())
    }
}

impl From<icewell_server::Error> for Failure {
    fn from(error: icewell_server::Error) -> Self {
        if error.is_usage() { Failure::Usage(error.into()) } else { Failure::Failed(error.into()) }
    }
}
