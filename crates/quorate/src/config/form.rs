//! Version 1 of the configuration: every setting, its default and its meaning.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::node_address::NodeAddress;

/// The version of the form that this program reads.
pub(crate) const VERSION: u32 = 1;

const MEBIBYTE: u64 = 1024 * 1024;

/// All settings of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigV1 {
    /// Version of the form, [`VERSION`].
    pub(crate) version: u32,
    /// Where the node keeps its identity, its log and its records.
    pub(crate) data_dir: PathBuf,
    pub(crate) cluster: Cluster,
    pub(crate) http: Http,
    pub(crate) peer: Peer,
    pub(crate) admin: Admin,
    pub(crate) dns: Dns,
    pub(crate) limit: Limit,
    pub(crate) records: Records,
    pub(crate) put: Put,
    pub(crate) raft: Raft,
    pub(crate) store: Store,
    pub(crate) log: Log,
}

impl Default for ConfigV1 {
    fn default() -> Self {
        Self {
            version: VERSION,
            data_dir: "/var/lib/quorate".into(),
            cluster: Cluster::default(),
            http: Http::default(),
            peer: Peer::default(),
            admin: Admin::default(),
            dns: Dns::default(),
            limit: Limit::default(),
            records: Records::default(),
            put: Put::default(),
            raft: Raft::default(),
            store: Store::default(),
            log: Log::default(),
        }
    }
}

/// Which nodes found the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cluster {
    /// What the cluster is called, the same on all its nodes.
    pub(crate) name: String,
    /// The founding voters; empty for a node that is a cluster by itself.
    pub(crate) nodes: Vec<NodeAddress>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "quorate".into(),
            nodes: Vec::new(),
        }
    }
}

/// The pkarr relay and DNS over HTTPS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    /// Connections served at once; more wait in the kernel's backlog.
    pub(crate) connections_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed: addresses, or prefixes such as 10.0.0.0/8.
    pub(crate) trusted_proxies: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 8080).into(),
            connections_max: 16_384,
            trusted_proxies: Vec::new(),
        }
    }
}

/// The listener for other nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) listen: SocketAddr,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 7700).into(),
        }
    }
}

/// Health, metrics and the admin API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9100).into(),
        }
    }
}

/// Authoritative DNS over UDP and TCP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dns {
    pub(crate) listen: SocketAddr,
    /// TCP connections served at once.
    pub(crate) tcp_connections_max: usize,
    pub(crate) origins: Vec<Origin>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, 5300).into(),
            tcp_connections_max: 1_000,
            origins: Vec::new(),
        }
    }
}

/// A zone under which records are served, and what stands at its apex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Origin {
    /// The zone, `.` for the root.
    pub(crate) name: String,
    /// The zone's name servers.
    pub(crate) ns: Vec<String>,
    /// IPv4 addresses of the apex.
    pub(crate) a: Vec<Ipv4Addr>,
    /// IPv6 addresses of the apex.
    pub(crate) aaaa: Vec<Ipv6Addr>,
    /// The TTL of what stands at the apex and of the name servers' addresses.
    pub(crate) ttl_secs: u32,
    pub(crate) soa: Soa,
    /// The addresses of name servers whose names lie inside the zone.
    pub(crate) ns_addresses: BTreeMap<String, Vec<IpAddr>>,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            name: String::new(),
            ns: Vec::new(),
            a: Vec::new(),
            aaaa: Vec::new(),
            ttl_secs: 3600,
            soa: Soa::default(),
            ns_addresses: BTreeMap::new(),
        }
    }
}

/// The start of authority (RFC 1035, section 3.3.13).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Soa {
    /// The primary name server; empty for the first of `ns`, or the origin itself.
    pub(crate) mname: String,
    /// The mailbox of whom to ask, as a name; empty for `hostmaster.<origin>`.
    pub(crate) rname: String,
    pub(crate) serial: u32,
    pub(crate) refresh_secs: u32,
    pub(crate) retry_secs: u32,
    pub(crate) expire_secs: u32,
    /// How long "no such name" may be cached (RFC 2308, section 4).
    pub(crate) minimum_secs: u32,
}

impl Default for Soa {
    fn default() -> Self {
        Self {
            mname: String::new(),
            rname: String::new(),
            serial: 1,
            refresh_secs: 7200,
            retry_secs: 900,
            expire_secs: 1_209_600,
            minimum_secs: 60,
        }
    }
}

/// The rate of PUTs from one client address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) enabled: bool,
    /// PUTs that an idle client may make at once.
    pub(crate) put_burst: u32,
    /// PUTs a second that a client may make for ever.
    pub(crate) put_per_sec: u32,
    /// Clients that have a limit of their own; all others share one.
    pub(crate) clients_max: usize,
}

impl Default for Limit {
    fn default() -> Self {
        let limit = quorate_limit::Config::default();
        Self {
            enabled: true,
            put_burst: limit.burst.get(),
            put_per_sec: limit.rate_per_sec.get(),
            clients_max: limit.client_count_max,
        }
    }
}

/// How long records live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Records {
    /// How long after the cluster last received it a packet is kept.
    pub(crate) retention_secs: u64,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            retention_secs: 7 * 24 * 3600,
        }
    }
}

/// How PUTs are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Put {
    /// How long after its arrival every PUT has its answer.
    pub(crate) deadline_ms: u64,
}

impl Default for Put {
    fn default() -> Self {
        Self {
            deadline_ms: 10_000,
        }
    }
}

/// The clock of elections (Raft paper, section 5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raft {
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_timeout_min_ms: u64,
    pub(crate) election_timeout_max_ms: u64,
}

impl Default for Raft {
    fn default() -> Self {
        Self {
            heartbeat_ms: 50,
            election_timeout_min_ms: 200,
            election_timeout_max_ms: 350,
        }
    }
}

/// The records on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// Memory for pages of the store, in bytes.
    pub(crate) cache_size: u64,
    /// The longest time between checkpoints.
    pub(crate) checkpoint_interval_secs: u64,
    /// The size of the log since the last checkpoint that brings the next one, in bytes.
    pub(crate) checkpoint_log_size: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            cache_size: 256 * MEBIBYTE,
            checkpoint_interval_secs: 30,
            checkpoint_log_size: 64 * MEBIBYTE,
        }
    }
}

/// What stays in the Raft log although a checkpoint holds it: a follower that was away catches up
/// from it, and needs a snapshot of all records once it reaches not far enough back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// The most entries.
    pub(crate) kept_count_max: u64,
    /// The size of the log beyond which fewer stay, in bytes.
    pub(crate) kept_size_max: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            kept_count_max: 50_000,
            kept_size_max: 512 * MEBIBYTE,
        }
    }
}
