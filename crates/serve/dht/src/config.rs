//! The settings of the bridge.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use quorate_setting::{Findings, KeyPath, settings};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// What the node does in the DHT.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum DhtMode {
    /// Nothing: no datagram is sent.
    #[default]
    Off,
    /// Looks up keys that the cluster does not store.
    Resolve,
    /// That, and publishes the packets that the cluster stores.
    ResolveAndPublish,
}

quorate_setting::impl_setting_value!(
    DhtMode => "\"off\", \"resolve\" or \"resolve-and-publish\""
);

/// The DHT of BitTorrent has IPv4 only here, as in the library.
const PUBLIC_BOOTSTRAP: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "relay.pkarr.org:6881",
];

settings! {
    /// The bridge to the Mainline DHT, the public network of BitTorrent (BEP 5, BEP 44).
    pub struct DhtSettings {
        /// What this node does there: "off", "resolve" for keys that the cluster does not store, or
        /// "resolve-and-publish", which also makes all stored packets public there.
        mode: DhtMode = DhtMode::Off;
        /// Nodes of the DHT through which this node finds others, each a name or an IPv4 address with
        /// a port.
        bootstrap: Vec<String> = PUBLIC_BOOTSTRAP.map(str::to_owned).into();
        /// The IPv4 address and UDP port of this node in the DHT. Port 0: any free one.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        /// The public IPv4 address of this node, if the DHT should not guess it: 0.0.0.0 for a guess.
        public_address: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
        /// Whether this node stores values for others and answers their questions. Then `listen` must
        /// be reachable for everybody.
        serve: bool = false;
        /// How long a GET waits for the newest packet in the DHT, in milliseconds.
        lookup_http_deadline_ms: u64 = 1500, in 10..=10_000, DEADLINE;
        /// How long a DNS query waits for it, in milliseconds: resolvers ask again after a second.
        lookup_dns_deadline_ms: u64 = 800, in 10..=10_000, DEADLINE;
        /// How many keys are looked up at the same time. Each takes some 100 datagrams.
        lookup_count_max: usize = 64, in 1..=4096, "each lookup sends some 100 datagrams";
        /// How many of them one client may cause: an IPv4 address or an IPv6 /64. Networks may cause
        /// more, an IPv4 /24 and an IPv6 /48 16 times as many and an IPv6 /32 64 times, but must leave
        /// half of what one client must leave.
        lookup_count_per_client_max: usize = 8, in 1..=4096, "each lookup sends some 100 datagrams";
        /// Whether packets that are found are stored in the cluster, like published ones. Then whoever
        /// asks for many keys fills the capacity.
        store_found: bool = false;
        /// How long a packet of the DHT is answered without another lookup, in seconds.
        found_secs: u64 = 60, in 1..=3600, "a changed packet stays unseen this long";
        /// How many packets of the DHT are kept, each up to 4 KiB of memory.
        found_count_max: usize = 10_000, in 1..=10_000_000, "each takes memory";
        /// How long a key that the DHT does not have is not looked up again, in seconds: at least half
        /// of it, at random.
        absent_secs: u64 = 30, in 1..=3600, "a new packet stays unseen this long";
        /// How many of these keys are kept, each 150 bytes of memory.
        absent_count_max: usize = 100_000, in 1..=10_000_000, "each takes memory";
        /// The time in which all nodes of the cluster together publish every stored packet once, in
        /// seconds. The DHT forgets a packet after some 30 h.
        republish_interval_secs: u64 = 43_200, in 60..=86_400, "the DHT forgets a packet after some 30 h";
        /// How many packets this node publishes at the same time. Each may take some 2 s.
        publish_count_max: usize = 32, in 1..=4096, "each publication sends some 150 datagrams";
        /// How many packets per second this node publishes at most: a million keys need 23 per second.
        publish_per_sec: u32 = 30, in 1..=10_000, "each publication sends some 150 datagrams";
        /// How many keys may wait for their publication, each 200 bytes of memory.
        publish_queue_count_max: usize = 100_000, in 1..=10_000_000, "each takes memory";
    }
}

const DEADLINE: &str = "a shorter one finds nothing, and clients do not wait longer";

impl DhtSettings {
    /// Reports settings that do not fit together.
    pub fn check_bridge(&self, at: &KeyPath, findings: &mut Findings) {
        if self.mode == DhtMode::Off {
            return;
        }
        if self.bootstrap.is_empty() {
            findings.error(at.key("bootstrap"), "name at least one node of the DHT");
        }
        for (index, node) in self.bootstrap.iter().enumerate() {
            let port = node.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                let reason = "write a name or an IPv4 address and a port, such as \
                              \"router.bittorrent.com:6881\"";
                findings.error(at.key("bootstrap").index(index), reason);
            }
        }
        if self.listen.is_ipv6() {
            let reason = "the DHT is reached over IPv4 only: write an IPv4 address";
            findings.error(at.key("listen"), reason);
        }
        if self.serve && self.listen.port() == 0 {
            let reason =
                "others cannot find a port that changes at each start: set one, such as 6881";
            findings.error(at.key("listen"), reason);
        }
    }

    /// How long a GET waits.
    pub fn http_deadline(&self) -> Duration {
        Duration::from_millis(self.lookup_http_deadline_ms)
    }

    /// How long a DNS query waits.
    pub fn dns_deadline(&self) -> Duration {
        Duration::from_millis(self.lookup_dns_deadline_ms)
    }
}
