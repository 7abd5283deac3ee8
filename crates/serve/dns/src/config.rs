//! What the operator configures.

use std::{net::SocketAddr, num::NonZeroUsize, thread, time::Duration};

use quorate_http::listener::Place;
use quorate_setting::{Findings, KeyPath, settings};
use quorate_zone::{Authority, Origin};

use crate::{ListenAddresses, OriginSettings};

/// The most threads for each address: more than machines have cores.
const UDP_THREAD_COUNT_MAX: usize = 1024;

/// The most bytes of what a server tells of itself.
const IDENTITY_SIZE_MAX: usize = 64;

/// The most origins: every query is compared with each.
const ORIGIN_COUNT_MAX: usize = 64;

settings! {
    /// Where to listen, which zones to serve, and how long to bear with clients.
    pub struct DnsConfig {
        /// Where DNS listens, over UDP and TCP: every address of the machine by default, those of
        /// IPv6 if it has any. Resolvers ask on port 53: forward it here, or listen on it (the program
        /// then needs CAP_NET_BIND_SERVICE).
        listen: ListenAddresses = ListenAddresses::default();
        /// Where DNS over TLS listens (RFC 7858), usually on port 853. It needs tls.certificate_file.
        tls_listen: Vec<SocketAddr> = Vec::new();
        /// Where DNS over QUIC listens (RFC 9250), usually on port 853 of UDP. Experimental. It needs
        /// tls.certificate_file.
        quic_listen: Vec<SocketAddr> = Vec::new();
        /// How many threads answer UDP at each address. 0: one for each core.
        udp_thread_count: usize = 0, in 0..=UDP_THREAD_COUNT_MAX,
            "more threads than cores only take turns";
        /// How many connections are served at once over TCP, as many over TLS, and as many over QUIC.
        /// When all are open, the one that was idle the longest gives way to another. Two addresses
        /// with as many endpoints as limits leave room for may restart at once.
        tcp_connection_count_max: usize = 4_000,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// How many of them one client may have, an IPv4 address or an IPv6 /64. It gets another for
        /// the one that it left idle the longest. The default is one for each of 2,000 endpoints
        /// behind one address, all of which ask again over TCP at the same moment.
        tcp_connection_count_per_client_max: usize = 2_000, in 1..=1_000_000,
            "0 would leave answers that do not fit UDP unheard";
        /// Whether clients are given DNS cookies (RFC 7873), and those who show theirs are trusted to
        /// be where they say.
        cookies: bool = true;
        /// What this node is called in the answers to NSID (RFC 5001), id.server and hostname.bind
        /// (RFC 4892). Empty: they are told nothing.
        server_id: String = String::new();
        /// What version.server and version.bind are told. Empty: nothing.
        server_version: String = String::new();
        /// One query in so many is logged, at most 100 a second, with the target quorate::queries.
        /// 0: none.
        query_log_one_in: u32 = 0;
        /// The zones under which records are served, as <name>.<key>.<zone>. Repeat the block for
        /// more zones.
        origins: Vec<OriginSettings> = Vec::new();
    }
    fixed {
        /// How long a TCP connection may bring no whole query (RFC 7766, section 6.2.3).
        tcp_idle_timeout: Duration = Duration::from_secs(10);
        /// The same when more than half of the connections are taken.
        tcp_idle_timeout_when_crowded: Duration = Duration::from_secs(2);
        /// How long a TLS or QUIC handshake may take: three round trips and their repetitions.
        tls_handshake_timeout: Duration = Duration::from_secs(5);
        /// How long a TCP client may take to accept the responses to what it sent at once.
        tcp_write_timeout: Duration = Duration::from_secs(5);
    }
}

impl DnsConfig {
    /// The defaults, at this address. Port 0 takes one that is free for both UDP and TCP.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen: vec![listen].into(),
            ..Self::default()
        }
    }

    /// How many threads answer UDP at each address.
    pub(crate) fn udp_threads(&self) -> usize {
        match self.udp_thread_count {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            count => count,
        }
    }

    /// How long the connection that has this place may now bring no whole query.
    pub(crate) fn idle_timeout(&self, place: &Place) -> Duration {
        match place.connections().is_crowded() {
            true => self.tcp_idle_timeout_when_crowded,
            false => self.tcp_idle_timeout,
        }
    }

    /// Finds what is wrong with where to listen.
    pub fn check_listeners(&self, key: &KeyPath, findings: &mut Findings) {
        if self.listen.is_empty() {
            let reason = "it is empty: resolvers ask over UDP and TCP first";
            findings.error(key.key("listen"), reason);
        }
    }

    /// The zones that are served, if nothing is wrong with them. `findings` gets to know all that
    /// is wrong or doubtful of the settings at `key`.
    pub fn origins(&self, key: &KeyPath, findings: &mut Findings) -> Option<Vec<Origin>> {
        self.check_identity(key, findings);
        let key = key.key("origins");
        let origins = &self.origins;
        if origins.is_empty() {
            let reason = "there is none, so every DNS question is refused";
            findings.warning(key.clone(), reason);
        }
        if origins.len() > ORIGIN_COUNT_MAX {
            let (count, max) = (origins.len(), ORIGIN_COUNT_MAX);
            let reason =
                format!("{count} origins are more than {max}: every query is compared with each");
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
        // How they stand to each other, if nothing else is wrong with them: that has a better key.
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
                    "it has more than {IDENTITY_SIZE_MAX} bytes, or others than of printable \
                     ASCII: every answer that asks for it has to have room for it"
                );
                findings.error(key.key(name), reason);
            }
        }
    }
}
