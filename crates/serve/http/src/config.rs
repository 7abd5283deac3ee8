//! The settings of the HTTP server.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quorate_limit::Networks;
use quorate_setting::{Findings, KeyPath, settings};

use crate::listener::ListenAddresses;

/// The port for plain HTTP: 80 needs a privilege.
const PORT: u16 = 8080;

/// Returns whether an address is a proxy that is trusted to name the client's address.
pub type IsTrusted = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

// If a million endpoints publish every 300 s to three nodes, each node gets 1,111 per second, each
// on a connection that is then idle for 10 s. A connection takes up to 32 KB.
const CONNECTION_COUNT_MAX: usize = 16_384;

// One address of a carrier or a cloud may have 2,000 endpoints behind it, each with one connection
// to publish and one to resolve.
const CONNECTION_COUNT_PER_CLIENT_MAX: usize = 8_192;

// A packet with its headers has less than 2 KB, so this allows 2,000 packets per second on one
// connection. It is low enough that a flood of the smallest HTTP/2 frames does not use up a core.
const CONNECTION_BYTES_PER_SEC: u64 = 4 * 1024 * 1024;

settings! {
    /// HTTP for clients: listen addresses, connection limits, and trusted proxies.
    pub struct HttpConfig {
        /// The addresses for plain HTTP/1.1 and HTTP/2. The default is every address of the machine
        /// (IPv6 only if the machine has it). For TLS, put a proxy in front of it or set tls_listen.
        listen: ListenAddresses = ListenAddresses::everywhere(PORT);
        /// The addresses for HTTPS, usually with port 443. They need a certificate (tls).
        tls_listen: ListenAddresses = ListenAddresses::default();
        /// The addresses for plain HTTP from proxies that name the client with version 2 of the
        /// PROXY protocol, such as HAProxy's send-proxy-v2. Only trusted_proxies may connect.
        proxy_listen: ListenAddresses = ListenAddresses::default();
        /// The same for HTTPS, if the proxy does not terminate TLS.
        proxy_tls_listen: ListenAddresses = ListenAddresses::default();
        /// How many connections may be open at the same time. One more closes the connection that
        /// was idle the longest.
        connection_count_max: usize = CONNECTION_COUNT_MAX,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// How many of them one client may have: an IPv4 address or an IPv6 /64. One more closes
        /// the client's connection that was idle the longest. The networks around it may have more,
        /// an IPv4 /24 and an IPv6 /48 16 times as many and an IPv6 /32 64 times, but must
        /// leave half of what one client must leave. Does not apply to trusted_proxies.
        connection_count_per_client_max: usize = CONNECTION_COUNT_PER_CLIENT_MAX,
            in 1..=1_000_000, "0 would reject everybody";
        /// How many bytes per second each connection may transfer, in both directions together. If
        /// it transfers more, reading from it is delayed. Does not apply to trusted_proxies.
        connection_bytes_per_sec: u64 = CONNECTION_BYTES_PER_SEC,
            in 65_536..=1_099_511_627_776, "a request and its answer take a few thousand bytes";
        /// Proxies whose X-Forwarded-For or Forwarded is trusted: addresses, or prefixes such as
        /// "10.0.0.0/8". A proxy must remove the one of the two fields that it does not write.
        /// Without this, all clients behind a proxy share the proxy's rate limit.
        trusted_proxies: Networks = Networks::default();
    }
    fixed {
        /// How long a TLS handshake may take: three round trips with retransmissions.
        tls_handshake_timeout: Duration = Duration::from_secs(5);
        /// How long the header of a request may take, including the idle time before it on an
        /// HTTP/1.1 connection. The header of the PROXY protocol has the same limit.
        header_read_timeout: Duration = Duration::from_secs(10);
        /// How long an HTTP/2 connection may have no active request. It is longer than for
        /// HTTP/1.1, because such a connection is for many requests and costs more to open.
        http2_idle_timeout: Duration = Duration::from_secs(30);
        /// How often a PING is sent to an HTTP/2 client, and how long its reply may take. A client
        /// that waits for a change of a packet sends nothing else.
        http2_ping_interval: Duration = Duration::from_secs(20);
        /// How long the body of a request may take.
        body_read_timeout: Duration = Duration::from_secs(10);
        /// How long a client may read nothing of an answer.
        write_timeout: Duration = Duration::from_secs(10);
        /// How long a shutdown waits for active requests. A PUT is answered within 10 s, and
        /// usually in a few ms.
        drain_timeout: Duration = Duration::from_secs(5);
    }
}

impl HttpConfig {
    /// The defaults with this address. Port 0 uses a free port.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen: vec![listen].into(),
            ..Self::default()
        }
    }

    /// Reports a missing address. `at` is the path of these settings.
    pub fn check_listeners(&self, at: &KeyPath, findings: &mut Findings) {
        self.listen.check_not_empty(at.key("listen"), findings);
    }
}
