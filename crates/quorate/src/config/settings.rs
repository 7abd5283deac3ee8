//! Version 1 of the configuration: every setting of a node.

use std::path::PathBuf;

use quorate_http::CertificateFiles;
use quorate_peer::LinkServerConfig;
use quorate_raft::{
    ClockSettings, LogSettings, PacketSettings, PutSettings, RaftSettings, StoreSettings,
};
use quorate_setting::settings;

use crate::logging::NODE_LOGS;

/// The version of the form that this program reads.
pub(crate) const FORM_VERSION: u32 = 1;

settings! {
    /// All settings of a node.
    pub(crate) struct ConfigV1 {
        /// The version of this file's form.
        version: u32 = FORM_VERSION;
        /// Where the node keeps its identity (node.key), its log and its packets. Whoever loses it
        /// loses the node: its identity must not be used again without the data beside it.
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
        tls: CertificateFiles = CertificateFiles::default();
        /// How much each client may do, an IPv4 address or an IPv6 /64, and how much is answered over
        /// UDP to each address. Networks have limits too, multiples of a client's: an IPv4 /24 and an
        /// IPv6 /48 may PUT and GET 16 times as much, an IPv6 /32 64 times; of new keys they may bring
        /// 4 and 8 times as many. Each node counts for itself.
        limit: quorate_limit::LimitConfig = quorate_limit::LimitConfig::default();
        /// Requests that wait for changes of a packet: /pkarr/<key>?wait=30s and /pkarr/<key>/events.
        watch: quorate_relay::WatchSettings = quorate_relay::WatchSettings::default();
        /// How long packets live, and how many may.
        packets: PacketSettings = PacketSettings::default();
        /// How PUTs are answered.
        put: PutSettings = PutSettings::default();
        /// When the clocks of nodes agree. The time of the cluster is one on which a majority does.
        clock: ClockSettings = ClockSettings::default();
        /// The timing of elections: how often the leader is heard, and how long a node waits in
        /// vain, by chance between the two bounds, before it stands for election. The same on all
        /// nodes.
        raft: RaftSettings = RaftSettings::default();
        /// The packets on disk. What follows the last checkpoint is replayed after a restart.
        store: StoreSettings = StoreSettings::default();
        /// What stays in the Raft log although a checkpoint holds it. A node that was away for
        /// longer gets all packets anew.
        log: LogSettings = LogSettings::default();
        /// What the program tells of itself, on standard error. Not to be mistaken for the Raft log.
        logging: LoggingSettings = LoggingSettings::default();
    }
}

settings! {
    /// The cluster, and this node's part in it.
    pub(crate) struct ClusterSettings {
        /// What this node is called in the answers to operators, beside its key: up to 63 of a to z,
        /// 0 to 9, hyphens, underscores and dots. No two nodes have one name. Another one after a
        /// restart is that by which all call it from then on.
        node_name: String = String::new();
        /// After how many seconds in which the leader has heard nothing of a voter it is removed
        /// unasked. 0: never, so that a node that was down for a night comes back as it was.
        cleanup_after_secs: u64 = 0, in 0..=366 * 86_400, "0 turns it off";
        /// How many voters such removals leave at least.
        cleanup_voters_min: usize = 3, in 1..=NODE_COUNT_MAX, "that many voters a cluster can have";
        /// Whether no leader raises the feature level by itself while this node lives: for operators
        /// who want to look at a new version first, since no older one comes back afterwards.
        /// `quorate cluster raise-level` raises it all the same.
        level_hold: bool = false;
    }
}

/// The most voters that are spoken of. Every PUT waits for a majority, so that more of them make a
/// cluster slower and hardly safer.
const NODE_COUNT_MAX: usize = 9;

/// Settings that are gone: they said with whom a cluster is founded.
pub(super) const GONE: [&str; 2] = ["cluster.nodes", "cluster.name"];

/// What to do instead of setting one of them.
pub(crate) const INSTEAD: &str = "it is gone: `quorate init --found` founds a cluster, and others \
                                  join that by a token";

settings! {
    /// What the program tells of itself.
    pub(crate) struct LoggingSettings {
        /// Which lines: levels, by default and by the part of the program, as in
        /// "info,quorate_raft=debug". The library openraft is silent unless it is named. What
        /// operators change is told whatever this says. The variable RUST_LOG overrules it.
        filter: String = NODE_LOGS.into();
    }
}
