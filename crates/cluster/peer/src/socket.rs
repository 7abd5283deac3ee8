//! Sockets between nodes.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long a connection is silent before TCP probes the other end.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// How long TCP waits between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// How many unanswered probes end the connection: together with the idle time, a peer that vanished
/// is noticed within 10 s.
const KEEPALIVE_RETRY_COUNT: u32 = 5;

/// How long sent bytes may stay unacknowledged, or the peer's receive window closed.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets options: small messages are sent immediately, and a vanished peer is noticed.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRY_COUNT),
    )?;
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}
