//! What the operator configures.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use quorate_authority::{Authority, Origin};
use quorate_setting::{Findings, KeyPath, settings};

use crate::OriginSettings;

/// The most loops by default: one answers some 100,000 datagrams a second.
const UDP_LOOP_COUNT_DEFAULT_MAX: usize = 4;

/// The most bytes of what a server tells of itself.
const IDENTITY_SIZE_MAX: usize = 64;

/// The most origins: every query is compared with each.
const ORIGIN_COUNT_MAX: usize = 64;

settings! {
    /// Where to listen, which zones to serve, and how long to bear with clients.
    pub struct Config {
        /// Where DNS listens, over UDP and TCP. Resolvers ask on port 53: forward it here, or listen
        /// on it (the program then needs CAP_NET_BIND_SERVICE).
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 5300).into();
        /// How many TCP connections are served at once.
        tcp_connection_count_max was tcp_connections_max: usize = 1_000,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
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
