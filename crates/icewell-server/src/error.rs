//! What keeps the daemon or a fetch from working.

use std::fmt;

/// Why the daemon does not start, or a fetch failed. The message names the thing and what to do; what the system or
/// the origin said is the source.
#[derive(Debug)]
pub struct Error {
    message: String,
    usage: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Error { message: message.into(), usage: false, source: None }
    }

    /// The caller has to say something else.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Error { usage: true, ..Error::new(message) }
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error { source: Some(source.into()), ..self }
    }

    /// Whether what the caller asked for can never work, such as an origin that is no URL.
    pub fn is_usage(&self) -> bool {
        self.usage
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

impl From<icewell::Error> for Error {
    fn from(error: icewell::Error) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let error = Error::new(error.to_string());
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
