//! What a client's socket is told before anything is sent.
//!
//! A client that is gone, or that takes nothing of what it is sent, is noticed by the kernel, which then fails the next
//! read or write; nobody here has to look at a clock for that.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_congestion, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_user_timeout,
};
use tokio::net::TcpStream;
use tracing::debug;

/// A congestion control that every Linux has, and that waits for nothing where nothing is lost (RFC 5681).
const WITHOUT_PACING: &str = "reno";

/// After how long without a word a client is asked whether it is still there, how often, and how often in vain.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// Sets a client's socket up: one that for `send_timeout` takes nothing of what it is sent is given up; zero leaves that to
/// the system. What cannot be set is left as the system has it.
pub(crate) fn set_up(stream: &TcpStream, client: SocketAddr, send_timeout: Duration) {
    stream.set_nodelay(true).ok();
    let (idle, between, times) = KEEP_ALIVE;
    set_tcp_keepidle(stream, idle).ok();
    set_tcp_keepintvl(stream, between).ok();
    set_tcp_keepcnt(stream, times).ok();
    set_socket_keepalive(stream, true).ok();
    // Counts for what is not acknowledged, and for a window that stays shut (tcp(7), TCP_USER_TIMEOUT). A timer of ours would
    // count until a third of the socket's buffer is free, and so cut off whoever is slow, and not only who stands still.
    let millis = u32::try_from(send_timeout.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(stream, millis).ok();
    // Between two processes of one machine there is no path to measure, and a congestion control that paces (BBR) only
    // costs: timers, and a third to a half of the throughput. To other machines the system's choice holds.
    if client.ip().to_canonical().is_loopback()
        && let Err(error) = set_tcp_congestion(stream, WITHOUT_PACING)
    {
        debug!(%client, %error, "the congestion control cannot be set");
    }
}
