//! What systemd is told, by the protocol of `sd_notify(3)`: lines of `NAME=value` in one datagram to the socket that
//! `NOTIFY_SOCKET` names. Where nobody asks to be told, nothing is.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

/// How long a message may wait to be read by the manager.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Debug)]
pub(crate) struct Notify {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Whoever the environment names. To be called before the daemon gives up what it needs not.
    pub(crate) fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let opened = address(&name).and_then(|address| {
                let socket = UnixDatagram::unbound()?;
                // A manager that does not read is not waited for any longer.
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok((socket, address))
            });
            opened.inspect_err(|error| warn!(?name, %error, "NOTIFY_SOCKET cannot be used; nobody is told")).ok()
        });
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        Notify { watchdog: watchdog.filter(|_| socket.is_some()), socket }
    }

    /// Whether anybody listens.
    pub(crate) fn is_wanted(&self) -> bool {
        self.socket.is_some()
    }

    /// Within which time a sign of life is expected each time.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Clients are served, or the settings are in force again.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// The settings are being read again. systemd wants to know since when, to tell this reload from the last.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The end has begun, and may take this long.
    pub(crate) fn stopping(&self, takes: Duration) {
        self.send(&format!("STOPPING=1\nSTATUS=Draining\nEXTEND_TIMEOUT_USEC={}", takes.as_micros()));
    }

    /// One line for `systemctl status`.
    pub(crate) fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// A sign of life.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            debug!(%error, message, "systemd cannot be told");
        }
    }
}

/// `/run/…`, or `@…` for the abstract namespace (`unix(7)`).
fn address(name: &OsString) -> std::io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(std::io::Error::other("it is neither a path nor an abstract name")),
    }
}

/// The time, if this process is the one that is watched (`sd_watchdog_enabled(3)`).
fn watchdog(micros: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    let meant = pid.is_none_or(|pid| pid.parse() == Ok(own));
    meant.then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_watched() {
        let text = |text: &str| Some(text.to_owned());
        let second = Some(Duration::from_secs(1));
        for (micros, pid, watched) in [
            (text("1000000"), None, second),
            (text("1000000"), text("7"), second),
            (text("1000000"), text("8"), None),
            (text("1000000"), text("x"), None),
            (text("0"), None, None),
            (text("soon"), None, None),
            (None, text("7"), None),
        ] {
            assert_eq!(watchdog(micros.clone(), pid.clone(), 7), watched, "{micros:?} {pid:?}");
        }
    }

    #[test]
    fn where_the_socket_is() {
        assert!(address(&"@name".into()).unwrap().as_abstract_name().is_some());
        assert_eq!(address(&"/run/x".into()).unwrap().as_pathname(), Some("/run/x".as_ref()));
        assert!(address(&"vsock:2:1".into()).is_err());
    }
}
