//! How a command ends.

use std::process::ExitCode;

/// The exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked. A reader that went away before it had everything is no failure.
    Done = 0,
    /// Something of what was asked could not be done.
    Failed = 1,
    /// What was asked makes no sense; nothing was done.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
