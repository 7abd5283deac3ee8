//! Version 1 of the configuration: every setting of a node.

use std::path::PathBuf;

use quorate_peer::LinkServerConfig;
use quorate_raft::{
    ClockSettings, LogSettings, PacketSettings, PutSettings, RaftSettings, StoreSettings,
};
use quorate_setting::settings;

use super::tls::TlsSettings;
use crate::backup::BackupSettings;
use crate::logging::{LogFormat, NODE_LOGS};

/// The version of the format that this program reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

settings! {
    /// All settings of a node.
    pub(crate) struct ConfigV1 {
        /// The version of this file's format.
        version: u32 = FORMAT_VERSION;
        /// The directory for the identity (node.key), the log and the packets. If it is lost, the node is
        /// lost: its identity must not be used again without this data.
        data_dir: PathBuf = "/var/lib/quorate".into();
        /// The cluster, and this node's part in it.
        cluster: ClusterSettings = ClusterSettings::default();
        /// The pkarr relay (/pkarr) and DNS over HTTPS (/dns-query).
        http: quorate_http::HttpConfig = quorate_http::HttpConfig::default();
        /// The listener for other nodes.
        peer: LinkServerConfig = LinkServerConfig::default();
        /// Health (/livez, /readyz, /healthz), metrics (/metrics) and the admin API.
        admin: quorate_admin::AdminConfig = quorate_admin::AdminConfig::default();
        /// Authoritative DNS over UDP and TCP, and encrypted over TLS and QUIC.
        dns: quorate_dns::DnsConfig = quorate_dns::DnsConfig::default();
        /// The certificate of HTTPS and of encrypted DNS.
        tls: TlsSettings = TlsSettings::default();
        /// The limits of each client (an IPv4 address or an IPv6 /64), and of UDP answers to each address.
        /// Networks have limits too: an IPv4 /24 and an IPv6 /48 may PUT and GET 16 times as much as a
        /// client, an IPv6 /32 64 times; new keys 4 and 8 times as many. Each node counts separately.
        limit: quorate_limit::LimitConfig = quorate_limit::LimitConfig::default();
        /// Requests that wait for changes of a packet: /pkarr/<key>?wait=30s and /pkarr/<key>/events.
        watch: quorate_relay::WatchSettings = quorate_relay::WatchSettings::default();
        /// The bridge to the Mainline DHT, the public network of BitTorrent (BEP 5, BEP 44). It is off:
        /// nothing is sent there.
        dht: quorate_dht::DhtSettings = quorate_dht::DhtSettings::default();
        /// The lifetime, number and size of packets.
        packets: PacketSettings = PacketSettings::default();
        /// How PUTs are answered.
        put: PutSettings = PutSettings::default();
        /// The agreement of clocks. The cluster time is one on which a majority of clocks agrees.
        clock: ClockSettings = ClockSettings::default();
        /// The timing of elections: how often the leader sends heartbeats, and how long a node waits for
        /// one, at random between the two bounds, before it stands for election. Must be the same on all
        /// nodes.
        raft: RaftSettings = RaftSettings::default();
        /// The packets on disk. After a restart, the log after the last checkpoint is replayed.
        store: StoreSettings = StoreSettings::default();
        /// What is kept in the Raft log after a checkpoint covers it. A node that was away for longer gets
        /// a snapshot of all packets.
        log: LogSettings = LogSettings::default();
        /// Scheduled backups.
        backup: BackupSettings = BackupSettings::default();
        /// The log lines on standard error (not the Raft log).
        logging: LoggingSettings = LoggingSettings::default();
    }
}

settings! {
    /// The cluster, and this node's part in it.
    pub(crate) struct ClusterSettings {
        /// The name of this node for operators, in addition to its key: up to 63 of a to z, 0 to 9, hyphens,
        /// underscores and dots. It must be unique in the cluster. A change is in force after a restart.
        node_name: String = String::new();
        /// After how many seconds without contact to the leader a voter is removed automatically. 0: never,
        /// so that a node that was down for a night comes back as a voter.
        cleanup_after_secs: u64 = 0, in 0..=366 * 86_400, "0 turns it off";
        /// The number of voters that these removals leave at least.
        cleanup_voters_min: usize = 3, in 1..=NODE_COUNT_MAX, "a cluster has at most 9 voters";
        /// Whether this node holds back the feature level: while it is live, no leader raises the level on
        /// its own. For operators who want to test a new version first, because no older one can run
        /// afterwards. `quorate cluster raise-level` raises it anyway.
        level_hold: bool = false;
    }
}

/// The most voters. Every PUT waits for a majority, so more voters make a cluster slower and hardly
/// safer.
const NODE_COUNT_MAX: usize = 9;

/// Removed settings, which named the founders of a cluster.
pub(super) const REMOVED: [&str; 2] = ["cluster.nodes", "cluster.name"];

/// The advice for a removed setting.
pub(crate) const REMOVED_ADVICE: &str = "this setting was removed: `quorate init --found` founds a cluster, and others join with a token";

settings! {
    /// The log lines of the program.
    pub(crate) struct LoggingSettings {
        /// Which lines are written: a default level and levels of parts of the program, as in
        /// "info,quorate_raft=debug". Lines of the library openraft are only written if it is named.
        /// Changes by operators are always written. The variable RUST_LOG overrides this setting.
        filter: String = NODE_LOGS.into();
        /// How the lines are written: "text", or "json" for one JSON object on each line.
        format: LogFormat = LogFormat::Text;
    }
}
