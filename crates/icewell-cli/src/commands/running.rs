//! The running daemon that is meant: where its admin listener is, with which token it answers, and what it tells.

pub(crate) mod seen;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use icewell_server::AdminListener;

use crate::failure::{Failure, Result};
use crate::settings::{File, InForce, Typed};

/// How a running daemon is found.
#[derive(Debug, clap::Args)]
pub(crate) struct Running {
    /// The daemon's admin listener, HOST:PORT or http://HOST:PORT/ [default: as the daemon's settings name it, else
    /// 127.0.0.1:9293]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
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

/// An address as people have it at hand: also a name, and out of a browser.
fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    if text.starts_with("https://") {
        return Err("an admin listener speaks http, not https".to_owned());
    }
    let plain = text.strip_prefix("http://").unwrap_or(text);
    let authority = plain.split_once('/').map_or(plain, |(authority, _)| authority);
    let found =
        authority.to_socket_addrs().map_err(|error| format!("{error}; it is HOST:PORT, or http://HOST:PORT/"))?;
    found.into_iter().next().ok_or_else(|| "this name has no address".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_as_it_is_typed_or_pasted() {
        let there = SocketAddr::from(([127, 0, 0, 1], 9293));
        for text in
            ["127.0.0.1:9293", "http://127.0.0.1:9293", "http://127.0.0.1:9293/", "http://127.0.0.1:9293/page?x#y"]
        {
            assert_eq!(address(text), Ok(there), "{text}");
        }
        assert_eq!(address("http://[::1]:1/"), Ok(SocketAddr::from((Ipv6Addr::LOCALHOST, 1))));
        assert!(address("localhost:9293").is_ok_and(|address| address.ip().is_loopback()));
        for text in ["", "9293", "http://127.0.0.1/", "127.0.0.1:99999"] {
            assert!(address(text).is_err_and(|error| error.contains("HOST:PORT")), "{text}");
        }
        assert!(address("https://127.0.0.1:9293/").is_err_and(|error| error.contains("http, not https")));
    }
}
