//! Where to listen, and how long to wait for clients.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quorate_limit::Networks;
use quorate_setting::{Findings, KeyPath, settings};

/// Says whether somebody is a proxy whose word about the client's address counts.
pub type Trust = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

// Of a million endpoints that publish each 300 s, a third comes to each of three nodes: 1,111 a
// second, each on a connection that is then idle for 10 s. Each connection takes up to 32 KB.
const CONNECTION_COUNT_MAX: usize = 16_384;

// Behind one address of a carrier or a cloud there may be 2,000 endpoints, each with a connection to
// publish and one to resolve.
const CONNECTION_COUNT_PER_CLIENT_MAX: usize = 8_192;

// A packet and its headers are below 2 KB, so these are 2,000 packets a second on one connection, and
// few enough of the smallest frames of HTTP/2 to leave a core its time.
const CONNECTION_BYTES_PER_SEC: u64 = 4 * 1024 * 1024;

settings! {
    /// Where to listen, how long to wait for clients, and whom to believe about them.
    pub struct HttpConfig {
        /// Where it listens. Plain HTTP/1.1 and HTTP/2: a proxy in front of it brings TLS.
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 8080).into();
        /// Where HTTPS listens, usually on port 443. It needs tls.certificate_file.
        tls_listen: Vec<SocketAddr> = Vec::new();
        /// Where plain HTTP listens for proxies that name the client by version 2 of the PROXY
        /// protocol, as HAProxy's send-proxy-v2 does. All others than trusted_proxies are cut off.
        proxy_listen: Vec<SocketAddr> = Vec::new();
        /// The same for HTTPS, where the proxy leaves TLS to this node.
        proxy_tls_listen: Vec<SocketAddr> = Vec::new();
        /// How many connections are served at once. When all are open, the one that was idle the
        /// longest gives way to another.
        connection_count_max: usize = CONNECTION_COUNT_MAX,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// How many of them one client may have, an IPv4 address or an IPv6 /64. It gets another for
        /// the one that it left idle the longest. Does not hold for trusted_proxies.
        connection_count_per_client_max: usize = CONNECTION_COUNT_PER_CLIENT_MAX,
            in 1..=1_000_000, "0 would shut everybody out";
        /// How many bytes a second each connection may have, in both directions together: whoever
        /// sends more is heard later. Does not hold for trusted_proxies.
        connection_bytes_per_sec: u64 = CONNECTION_BYTES_PER_SEC,
            in 65_536..=1_099_511_627_776, "a request and its answer take a few thousand bytes";
        /// Proxies whose X-Forwarded-For or Forwarded is believed: addresses, or prefixes such as
        /// "10.0.0.0/8". A proxy must remove the one of the two that it does not write. Without this,
        /// all clients behind a proxy share the proxy's rate limit.
        trusted_proxies: Networks = Networks::default();
    }
    fixed {
        /// How long a TLS handshake may take: three round trips and their repetitions.
        tls_handshake_timeout: Duration = Duration::from_secs(5);
        /// How long the header of a request may take, and a connection of HTTP/1.1 be idle before
        /// it. What a proxy says of the client first has as long.
        header_read_timeout: Duration = Duration::from_secs(10);
        /// How long a connection of HTTP/2 may have no request under way. It is for many requests,
        /// and dearer to open.
        http2_idle_timeout: Duration = Duration::from_secs(30);
        /// How often a client of HTTP/2 is asked whether it is still there, and how long it may take
        /// to say so: one that waits for a change of a packet need not say anything else.
        http2_ping_interval: Duration = Duration::from_secs(20);
        /// How long the body of a request may take.
        body_read_timeout: Duration = Duration::from_secs(10);
        /// How long a client may take nothing of an answer.
        write_timeout: Duration = Duration::from_secs(10);
        /// How long a shutdown waits for the answers that are under way. A PUT is answered within
        /// 10 s, and usually in a few ms.
        drain_timeout: Duration = Duration::from_secs(5);
    }
}

impl HttpConfig {
    /// The defaults, at this address. Port 0 takes a free one.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            ..Self::default()
        }
    }

    /// Finds what does not go together. The settings stand at `at`.
    pub fn check_listeners(&self, at: &KeyPath, findings: &mut Findings) {
        for (name, listen) in [
            ("proxy_listen", &self.proxy_listen),
            ("proxy_tls_listen", &self.proxy_tls_listen),
        ] {
            if !listen.is_empty() && self.trusted_proxies.is_empty() {
                let [name, proxies] = [name, "trusted_proxies"].map(|key| at.key(key).to_string());
                let reason = "nobody is believed there: list the proxies that connect to it";
                findings.error_between([&name, &proxies], reason);
            }
        }
    }
}
