//! Where to listen, and how long to wait for clients.

use std::{net::SocketAddr, time::Duration};

/// Where to listen, and how long to wait for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many connections may be open. Each takes up to 32 KB, and a file descriptor.
    pub connection_count_max: usize,
    /// How long the header of a request may take, and a connection be idle before it.
    pub header_read_timeout: Duration,
    /// How long the body of a request may take.
    pub body_read_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a shutdown waits for the answers that are under way.
    pub drain_timeout: Duration,
}

impl Config {
    /// The defaults, at this address.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            // Of a million endpoints that publish each 300 s, a third comes to each of three
            // nodes: 1,111 a second, each on a connection that is then idle for 10 s.
            connection_count_max: 16_384,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            // A PUT that is under way is answered within 10 s, and usually in a few ms.
            drain_timeout: Duration::from_secs(5),
        }
    }
}
