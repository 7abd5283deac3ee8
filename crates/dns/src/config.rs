//! What the operator configures.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use quorate_setting::settings;

use crate::OriginSettings;

/// The most loops by default: one answers some 100,000 datagrams a second.
const UDP_LOOP_COUNT_DEFAULT_MAX: usize = 4;

settings! {
    /// Where to listen, which zones to serve, and how long to bear with clients.
    pub struct Config {
        /// Where DNS listens, over UDP and TCP. Resolvers ask on port 53: forward it here, or listen
        /// on it (the program then needs CAP_NET_BIND_SERVICE).
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 5300).into();
        /// How many TCP connections are served at once.
        tcp_connection_count_max was tcp_connections_max: usize = 1_000,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// The zones under which records are served, as <name>.<key>.<zone>. Repeat the block for
        /// more zones.
        origins: Vec<OriginSettings> = Vec::new();
    }
    fixed {
        /// How many loops receive and answer datagrams, each at most one at a time.
        udp_loop_count: usize = udp_loop_count();
        /// How long a TCP connection may bring no whole query (RFC 7766, section 6.2.3).
        tcp_idle_timeout: Duration = Duration::from_secs(10);
        /// How long a TCP client may take to accept the responses to what it sent at once.
        tcp_write_timeout: Duration = Duration::from_secs(5);
    }
}

fn udp_loop_count() -> usize {
    let cpu_count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cpu_count.min(UDP_LOOP_COUNT_DEFAULT_MAX)
}

impl Config {
    /// The defaults, at this address. Port 0 takes one that is free for both UDP and TCP.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            ..Self::default()
        }
    }
}
