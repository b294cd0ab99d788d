//! Values that only settings have.

use std::net::SocketAddr;
use std::str::FromStr;

use icewell::Count;

/// The address of the admin listener, if there is to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admin(pub(crate) Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "off" => Ok(Admin(None)),
            text => text.parse().map(|address| Admin(Some(address))).map_err(|error| format!("{error}, nor \"off\"")),
        }
    }
}

/// [`Count`], as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Counted {
    /// The sizes of the files, as Glance does.
    Size,
    /// The bytes allocated on disk: less for images with holes.
    Allocated,
}

impl From<Counted> for Count {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Size => Count::Size,
            Counted::Allocated => Count::Allocated,
        }
    }
}
