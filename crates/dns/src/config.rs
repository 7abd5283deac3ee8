//! What the operator configures.

use std::{net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

/// The most loops by default: one answers some 100,000 datagrams a second.
const UDP_LOOP_COUNT_DEFAULT_MAX: usize = 4;

/// Where to listen, and how long to bear with clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, for UDP and TCP. Port 0 takes one that is free for both.
    pub listen: SocketAddr,
    /// How many loops receive and answer datagrams, each at most one at a time.
    pub udp_loop_count: usize,
    /// How many TCP connections may be open. Each takes up to some 10 KB, and a file descriptor.
    pub tcp_connection_count_max: usize,
    /// How long a TCP connection may bring no whole query (RFC 7766, section 6.2.3).
    pub tcp_idle_timeout: Duration,
    /// How long a TCP client may take to accept the responses to what it sent at once.
    pub tcp_write_timeout: Duration,
}

impl Config {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        let cpu_count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            listen,
            udp_loop_count: cpu_count.min(UDP_LOOP_COUNT_DEFAULT_MAX),
            tcp_connection_count_max: 1_000,
            tcp_idle_timeout: Duration::from_secs(10),
            tcp_write_timeout: Duration::from_secs(5),
        }
    }
}
