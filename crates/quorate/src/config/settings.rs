//! Version 1 of the configuration: every setting of a node.

use std::path::PathBuf;

use quorate_peer::LinkServerConfig;
use quorate_raft::{
    ClockSettings, LogSettings, PacketSettings, PutSettings, RaftSettings, StoreSettings,
};
use quorate_setting::settings;

use super::NodeAddress;

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
        /// Which nodes found the cluster. The same on all of them.
        cluster: ClusterSettings = ClusterSettings::default();
        /// The pkarr relay (/pkarr) and DNS over HTTPS (/dns-query).
        http: quorate_http::Config = quorate_http::Config::default();
        /// The listener for other nodes.
        peer: LinkServerConfig = LinkServerConfig::default();
        /// Health (/livez, /readyz, /healthz), metrics (/metrics) and the admin API.
        admin: quorate_admin::Config = quorate_admin::Config::default();
        /// Authoritative DNS over UDP and TCP.
        dns: quorate_dns::Config = quorate_dns::Config::default();
        /// The rate of PUTs of each client: an IPv4 address or an IPv6 /64.
        limit: quorate_limit::Config = quorate_limit::Config::default();
        /// How long packets live, and how many may.
        packets was records: PacketSettings = PacketSettings::default();
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
    }
}

settings! {
    /// Which nodes found the cluster.
    pub(crate) struct ClusterSettings {
        /// What the cluster is called. Nodes of clusters with different names do not talk to each
        /// other.
        name: String = "quorate".into();
        /// The nodes that found the cluster, this one among them, each as <key>@host:port. The same
        /// list goes into the file of every node. The key is the node's identity: peers check it at
        /// every connection. Names are resolved by the system, ahead and again when a dial fails.
        /// Without a list the node is a cluster by itself.
        nodes: Vec<NodeAddress> = Vec::new();
    }
}
