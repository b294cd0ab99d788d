//! What a client's socket is told before anything is sent.

use std::net::SocketAddr;

use rustix::net::sockopt::set_tcp_congestion;
use tokio::net::TcpStream;
use tracing::debug;

/// A congestion control that every Linux has, and that waits for nothing where nothing is lost (RFC 5681).
const WITHOUT_PACING: &str = "reno";

/// Sets a client's socket up. What cannot be set is left as the system has it.
pub(crate) fn set_up(stream: &TcpStream, client: SocketAddr) {
    stream.set_nodelay(true).ok();
    // Between two processes of one machine there is no path to measure, and a congestion control that paces (BBR) only
    // costs: timers, and a third to a half of the throughput. To other machines the system's choice holds.
    if client.ip().to_canonical().is_loopback()
        && let Err(error) = set_tcp_congestion(stream, WITHOUT_PACING)
    {
        debug!(%client, %error, "the congestion control cannot be set");
    }
}
