//! Where to listen, and how long to wait for clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use quorate_setting::settings;

// Of a million endpoints that publish each 300 s, a third comes to each of three nodes: 1,111 a
// second, each on a connection that is then idle for 10 s. Each connection takes up to 32 KB.
const CONNECTION_COUNT_MAX: usize = 16_384;

settings! {
    /// Where to listen, how long to wait for clients, and whom to believe about them. The last is
    /// for the routers: the server itself asks nobody who a client is.
    pub struct Config {
        /// Where it listens. Plain HTTP: a proxy in front of it brings TLS.
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 8080).into();
        /// How many connections are served at once.
        connection_count_max was connections_max: usize = CONNECTION_COUNT_MAX,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// Proxies whose X-Forwarded-For is believed: addresses, or prefixes such as "10.0.0.0/8".
        /// Without this, all clients behind a proxy share the proxy's rate limit.
        trusted_proxies: Vec<String> = Vec::new();
    }
    fixed {
        /// How long the header of a request may take, and a connection be idle before it.
        header_read_timeout: Duration = Duration::from_secs(10);
        /// How long the body of a request may take.
        body_read_timeout: Duration = Duration::from_secs(10);
        /// How long a client may take nothing of an answer.
        write_timeout: Duration = Duration::from_secs(10);
        /// How long a shutdown waits for the answers that are under way. A PUT is answered within
        /// 10 s, and usually in a few ms.
        drain_timeout: Duration = Duration::from_secs(5);
    }
}

impl Config {
    /// The defaults, at this address. Port 0 takes a free one.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            ..Self::default()
        }
    }
}
