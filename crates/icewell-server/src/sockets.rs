//! The sockets that clients connect to: those that systemd hands over (`sd_listen_fds(3)`), or else new ones at the
//! addresses of the settings.
//!
//! A socket that is handed over stays open when the daemon ends. Who connects then waits for the next one, and no
//! connection is refused over a restart.

use std::net::{SocketAddr, TcpListener as StdTcpListener};

use listenfd::ListenFd;
use tokio::net::TcpListener;
use tracing::info;

use crate::error::Error;

/// What a socket is for: the name that its unit gives it (`FileDescriptorName=`), or what is left to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Clients,
    Admin,
}

/// Sockets that were handed over.
#[derive(Debug, Default)]
pub(crate) struct HandedOver {
    clients: Vec<StdTcpListener>,
    admin: Vec<StdTcpListener>,
}

impl HandedOver {
    /// Takes what the environment names, once. To be called while there is only one thread, as it changes the environment.
    ///
    /// # Errors
    ///
    /// A descriptor that is no listening TCP socket, or more of them than there is use for.
    pub(crate) fn take() -> Result<Self, Error> {
        let mut handed = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let purposes = purposes(&names, handed.len()).map_err(Error::usage)?;
        let mut taken = HandedOver::default();
        for (number, purpose) in purposes.into_iter().enumerate() {
            let unusable = |error: std::io::Error| {
                Error::new(format!("cannot use the socket number {number} that was handed over (LISTEN_FDS)"))
                    .with_source(error)
            };
            let Some(listener) = handed.take_tcp_listener(number).map_err(unusable)? else { continue };
            listener.set_nonblocking(true).map_err(unusable)?;
            match purpose {
                Purpose::Clients => taken.clients.push(listener),
                Purpose::Admin => taken.admin.push(listener),
            }
        }
        Ok(taken)
    }

    /// What clients are to connect to, and whether it outlives the daemon.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub(crate) async fn clients(&mut self, address: SocketAddr) -> Result<(Vec<TcpListener>, bool), Error> {
        let handed = std::mem::take(&mut self.clients);
        if handed.is_empty() {
            return Ok((vec![bind(address).await?], false));
        }
        info!(sockets = handed.len(), "clients come by sockets that were handed over");
        Ok((handed.into_iter().map(registered).collect::<Result<_, _>>()?, true))
    }

    /// What those who watch are to connect to; none where there is to be no such listener.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub(crate) async fn admin(&mut self, address: Option<SocketAddr>) -> Result<Vec<TcpListener>, Error> {
        let handed = std::mem::take(&mut self.admin);
        match address {
            _ if !handed.is_empty() => handed.into_iter().map(registered).collect(),
            Some(address) => Ok(vec![bind(address).await?]),
            None => Ok(Vec::new()),
        }
    }
}

fn registered(listener: StdTcpListener) -> Result<TcpListener, Error> {
    TcpListener::from_std(listener).map_err(|error| Error::new("cannot listen").with_source(error))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Error::new(format!("cannot listen on {address}")).with_source(error))
}

/// What each of `number` sockets is for, by their names with colons between. The first without a name that says it is for
/// clients, the second for those who watch.
fn purposes(names: &str, number: usize) -> Result<Vec<Purpose>, String> {
    let mut names = names.split(':');
    let named: Vec<_> = (0..number)
        .map(|_| match names.next() {
            Some("http") => Some(Purpose::Clients),
            Some("admin") => Some(Purpose::Admin),
            _ => None,
        })
        .collect();
    let mut left = [Purpose::Clients, Purpose::Admin].into_iter().filter(|purpose| !named.contains(&Some(*purpose)));
    let purposes = named.iter().map(|purpose| purpose.or_else(|| left.next()));
    purposes.collect::<Option<_>>().ok_or_else(|| {
        "more sockets were handed over (LISTEN_FDS) than there is use for; name each with FileDescriptorName=http or =admin"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::Purpose::{Admin, Clients};
    use super::*;

    #[test]
    fn what_a_socket_is_for() {
        for (names, number, expected) in [
            ("", 0, Some(vec![])),
            ("", 1, Some(vec![Clients])),
            ("", 2, Some(vec![Clients, Admin])),
            ("", 3, None),
            ("unknown:unknown", 2, Some(vec![Clients, Admin])),
            ("admin:http", 2, Some(vec![Admin, Clients])),
            ("http:http:admin", 3, Some(vec![Clients, Clients, Admin])),
            ("admin", 1, Some(vec![Admin])),
            ("admin:icewell.socket", 2, Some(vec![Admin, Clients])),
            ("icewell.socket:http", 2, Some(vec![Admin, Clients])),
            ("http:x:y", 3, None),
        ] {
            assert_eq!(purposes(names, number).ok(), expected, "{names} {number}");
        }
    }
}
