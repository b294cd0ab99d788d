//! The running daemon that is meant: where its admin listener is, with which token it answers, and what it tells.

pub(crate) mod seen;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use icewell_server::AdminListener;

use crate::failure::{Failure, Result};
use crate::settings::{File, InForce, Typed};

/// How a running daemon is found.
#[derive(Debug, clap::Args)]
pub(crate) struct Running {
    /// The daemon's admin listener [default: as the daemon's settings name it, else 127.0.0.1:9293]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,

    /// A file whose first line is the admin token [default: as the daemon's settings name it]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl Running {
    /// The listener of the daemon that is meant, where `file` is the daemon's file of settings. Whoever asks waits for
    /// `patience` at most. Nobody is asked yet.
    pub(super) fn listener(&self, file: &File, patience: Duration) -> Result<AdminListener> {
        let typed = Typed::in_environment().map_err(|error| Failure::usage(error.to_string()))?;
        let settings = InForce::of(&typed, file).settings()?;
        let usual = SocketAddr::from(([127, 0, 0, 1], 9293));
        let configured = settings.admin.map_or(Some(usual), |admin| admin.0);
        let off =
            || Failure::usage("the daemon's settings have no admin listener (admin = \"off\"); name one with --admin");
        let address = self.admin.or(configured).ok_or_else(off)?;
        let file = self.admin_token_file.clone().or(settings.admin_token_file);
        let token = file.as_deref().map(token).transpose()?;
        Ok(AdminListener::new(reachable(address), token.as_deref(), patience)?)
    }
}

fn token(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read the admin token in", file, &error))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Where a listener at `address` is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
