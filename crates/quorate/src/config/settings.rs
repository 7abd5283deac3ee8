//! Version 1 of the configuration: every setting of a node.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use quorate_limit::LimitSettings;
use quorate_raft::{LogSettings, PacketSettings, PutSettings, RaftSettings, StoreSettings};
use quorate_setting::settings;

use super::{NodeAddress, origin::OriginSettings};

/// The version of the form that this program reads.
pub(crate) const VERSION: u32 = 1;

settings! {
    /// All settings of a node.
    pub(crate) struct ConfigV1 {
        /// The version of this file's form.
        version: u32 = VERSION;
        /// Where the node keeps its identity (node.key), its log and its packets. Whoever loses it
        /// loses the node: its identity must not be used again without the data beside it.
        data_dir: PathBuf = "/var/lib/quorate".into();
        /// Which nodes found the cluster. The same on all of them.
        cluster: ClusterSettings = ClusterSettings::default();
        /// The pkarr relay (/pkarr) and DNS over HTTPS (/dns-query).
        http: HttpSettings = HttpSettings::default();
        /// The listener for other nodes.
        peer: PeerSettings = PeerSettings::default();
        /// Health (/livez, /readyz, /healthz), metrics (/metrics) and the admin API.
        admin: AdminSettings = AdminSettings::default();
        /// Authoritative DNS over UDP and TCP.
        dns: DnsSettings = DnsSettings::default();
        /// The rate of PUTs of each client: an IPv4 address or an IPv6 /64.
        limit: LimitSettings = LimitSettings::default();
        /// How long packets live.
        packets was records: PacketSettings = PacketSettings::default();
        /// How PUTs are answered.
        put: PutSettings = PutSettings::default();
        /// The clock of elections: how often the leader is heard, and how long a node waits in vain,
        /// by chance between the two bounds, before it stands for election. The same on all nodes.
        /// For nodes on different continents, multiply all three by 5.
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
        /// every connection. Names are resolved by the system at every dial. Without a list the node
        /// is a cluster by itself.
        nodes: Vec<NodeAddress> = Vec::new();
    }
}

settings! {
    /// The pkarr relay and DNS over HTTPS.
    pub(crate) struct HttpSettings {
        /// Where it listens. Plain HTTP: a proxy in front of it brings TLS.
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 8080).into();
        /// How many connections are served at once.
        connection_count_max was connections_max: usize = 16_384,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// Proxies whose X-Forwarded-For is believed: addresses, or prefixes such as "10.0.0.0/8".
        /// Without this, all clients behind a proxy share the proxy's rate limit.
        trusted_proxies: Vec<String> = Vec::new();
    }
}

settings! {
    /// The listener for other nodes.
    pub(crate) struct PeerSettings {
        /// Where other nodes are heard: TLS 1.3, and only for keys of the cluster.
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 7700).into();
    }
}

settings! {
    /// Health, metrics and the admin API.
    pub(crate) struct AdminSettings {
        /// Where it listens. It asks for no password: keep it on loopback or on a network of your
        /// own.
        listen: SocketAddr = (Ipv4Addr::LOCALHOST, 9100).into();
    }
}

settings! {
    /// Authoritative DNS over UDP and TCP.
    pub(crate) struct DnsSettings {
        /// Where DNS listens, over UDP and TCP. Resolvers ask on port 53: forward it here, or listen
        /// on it (the program then needs CAP_NET_BIND_SERVICE).
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 5300).into();
        /// How many TCP connections are served at once.
        tcp_connection_count_max was tcp_connections_max: usize = 1_000,
            in 1..=1_000_000, "each connection takes memory and a file descriptor";
        /// The zones under which records are served, as <name>.<key>.<zone>. Repeat the block for
        /// more zones.
        origins: Vec<OriginSettings> = Vec::new();
    }
}
