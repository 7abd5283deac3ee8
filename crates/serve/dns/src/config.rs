//! The configuration of the DNS server, and its checks.

use std::{net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

use quorate_http::listener::{ConnectionSlot, ListenAddresses};
use quorate_setting::{Findings, KeyPath, settings};
use quorate_zone::{Authority, Origin};

use crate::OriginSettings;

/// The default port. Port 53, the standard port of DNS, needs a privilege.
const PORT: u16 = 5300;

/// The largest number of threads for each address: more than machines have cores.
const UDP_THREAD_COUNT_MAX: usize = 1024;

/// The largest size of `server_id` and `server_version`, in bytes.
const IDENTITY_SIZE_MAX: usize = 64;

/// The largest number of origins: every query is compared with each.
const ORIGIN_COUNT_MAX: usize = 64;

settings! {
    /// Where to listen, which zones to serve, and how long slow clients may take.
    pub struct DnsConfig {
        /// Addresses where DNS listens, over UDP and TCP. The default is every address of the
        /// machine (IPv6 only if the machine has it). Resolvers query port 53: forward it here, or
        /// listen on it (the program then needs CAP_NET_BIND_SERVICE).
        listen: ListenAddresses = ListenAddresses::everywhere(PORT);
        /// Addresses where DNS over TLS listens (RFC 7858), usually on port 853. It needs a
        /// certificate (tls).
        tls_listen: ListenAddresses = ListenAddresses::default();
        /// Addresses where DNS over QUIC listens (RFC 9250), usually on port 853 of UDP.
        /// Experimental. It needs a certificate (tls).
        quic_listen: ListenAddresses = ListenAddresses::default();
        /// Addresses for plain DNS, over UDP and TCP, from proxies that name the client with version
        /// 2 of the PROXY protocol, such as dnsdist's useProxyProtocol. Only http.trusted_proxies
        /// may use them. The source of a datagram can be forged, so these addresses must not be
        /// reachable from other networks.
        proxy_listen: ListenAddresses = ListenAddresses::default();
        /// The same for DNS over TLS, if the proxy does not terminate TLS.
        proxy_tls_listen: ListenAddresses = ListenAddresses::default();
        /// Number of threads that answer UDP at each address. 0: one for each core.
        udp_thread_count: usize = 0, in 0..=UDP_THREAD_COUNT_MAX,
            "more threads than cores bring nothing";
        /// Number of open connections over TCP; the same limit applies to TLS, and to QUIC. When
        /// all are open, a new connection closes the one that was idle the longest. The default
        /// lets two networks restart at the same time with as many endpoints as the limits allow.
        tcp_connection_count_max: usize = 4_000,
            in 1..=1_000_000, "each connection needs memory and a file descriptor";
        /// Number of these connections that one client may have, an IPv4 address or an IPv6 /64. A
        /// new connection closes the one that the client left idle the longest. The default is one
        /// for each of 2,000 endpoints behind one address that all retry over TCP at the same time.
        /// The networks around it may have more, an IPv4 /24 and an IPv6 /48 16 times as many and
        /// an IPv6 /32 64 times, but must leave half of what one client must leave.
        tcp_connection_count_per_client_max: usize = 2_000, in 1..=1_000_000,
            "with 0, clients could not receive responses that do not fit UDP";
        /// Whether clients get DNS cookies (RFC 7873). A client that returns its cookie has proved
        /// its address, so its responses are not limited.
        cookies: bool = true;
        /// Name of this node in the answers to NSID (RFC 5001), id.server and hostname.bind
        /// (RFC 4892). Empty: such queries get no name.
        server_id: String = String::new();
        /// Text of the answers to version.server and version.bind. Empty: no text.
        server_version: String = String::new();
        /// Logs one of every N queries, at most 100 a second, with the target quorate::queries.
        /// 0: none.
        query_log_one_in: u32 = 0;
        /// Zones under which records are served, as <name>.<key>.<zone>. Repeat it for more zones.
        origins: Vec<OriginSettings> = Vec::new();
    }
    fixed {
        /// How long a TCP connection may take to send a complete query (RFC 7766, section 6.2.3).
        tcp_idle_timeout: Duration = Duration::from_secs(10);
        /// The same when more than half of the connections are in use.
        tcp_idle_timeout_when_crowded: Duration = Duration::from_secs(2);
        /// How long a TLS or QUIC handshake may take: three round trips and their retransmissions.
        tls_handshake_timeout: Duration = Duration::from_secs(5);
        /// How long a TCP client may take to receive the responses to pipelined queries.
        tcp_write_timeout: Duration = Duration::from_secs(5);
    }
}

impl DnsConfig {
    /// The defaults, at this address. Port 0 picks a port that is free for both UDP and TCP.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen: vec![listen].into(),
            ..Self::default()
        }
    }

    /// The number of threads that answer UDP at each address.
    pub(crate) fn udp_threads(&self) -> usize {
        match self.udp_thread_count {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            count => count,
        }
    }

    /// How long a connection may now take to send a complete query.
    pub(crate) fn idle_timeout(&self, slot: &ConnectionSlot) -> Duration {
        match slot.connections().is_crowded() {
            true => self.tcp_idle_timeout_when_crowded,
            false => self.tcp_idle_timeout,
        }
    }

    /// Adds an error to `findings` if there is no address to listen on.
    pub fn check_listeners(&self, key: &KeyPath, findings: &mut Findings) {
        self.listen.check_not_empty(key.key("listen"), findings);
    }

    /// The zones to serve; `None` if their settings have errors. Adds all errors and warnings about
    /// the settings at `key` to `findings`.
    pub fn origins(&self, key: &KeyPath, findings: &mut Findings) -> Option<Vec<Origin>> {
        self.check_identity(key, findings);
        let key = key.key("origins");
        let origins = &self.origins;
        if origins.is_empty() {
            let reason = "no origin is configured, so every DNS query is answered with REFUSED";
            findings.warning(key.clone(), reason);
        }
        if origins.len() > ORIGIN_COUNT_MAX {
            let (count, max) = (origins.len(), ORIGIN_COUNT_MAX);
            let reason = format!(
                "{count} origins are configured, but at most {max} are allowed: every query is compared with each"
            );
            findings.error(key.clone(), reason);
        }
        let mut zones: Vec<Option<Origin>> = Vec::new();
        for (at, origin) in origins.iter().enumerate() {
            let key_of_origin = key.index(at);
            let zone = origin.zone(&key_of_origin, findings);
            if let Some(Origin { name, .. }) = &zone {
                let mut before = zones.iter();
                let is_same =
                    |zone: &Option<Origin>| zone.as_ref().is_some_and(|z| z.name == *name);
                if let Some(first) = before.position(is_same) {
                    let reason = format!("{name} is already {}", key.index(first));
                    findings.error(key_of_origin.key("name"), reason);
                }
            }
            zones.push(zone);
        }
        // Check them together only if each is valid alone: those errors name a more precise key.
        let mut errors = findings.errors.iter();
        if errors.any(|found| found.key.is_inside(&key)) {
            return None;
        }
        let zones: Vec<Origin> = zones.into_iter().flatten().collect();
        let authority = Authority::new(zones.clone());
        authority
            .map_err(|error| findings.error(key, error.to_string()))
            .ok()?;
        Some(zones)
    }

    fn check_identity(&self, key: &KeyPath, findings: &mut Findings) {
        for (name, text) in [
            ("server_id", &self.server_id),
            ("server_version", &self.server_version),
        ] {
            let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if text.len() > IDENTITY_SIZE_MAX || !is_printable {
                let reason = format!(
                    "use at most {IDENTITY_SIZE_MAX} bytes, all printable ASCII: every response that \
                     includes the text must have space for it"
                );
                findings.error(key.key(name), reason);
            }
        }
    }
}
