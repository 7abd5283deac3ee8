//! Timeouts and limits of both ends of links.

use std::{collections::BTreeMap, time::Duration};

use crate::NodeId;
use quorate_http::listener::ListenAddresses;
use quorate_setting::settings;

/// The port for other nodes.
const PORT: u16 = 7700;

/// How long TLS and the greeting may take, at either end: two round trips and four signatures, and some time
/// for a suspended peer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a joiner's registration may take: the leader must be found or elected, and must commit it.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Other addresses for some peers: for tests, whose links can fail.
    pub routes: BTreeMap<NodeId, String>,
    /// How long a name lookup and the TCP connection may take together.
    pub connect_timeout: Duration,
    /// How long TLS and the greeting may take.
    pub handshake_timeout: Duration,
    /// How long a member may take to answer a request to join.
    pub join_timeout: Duration,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            // TCP repeats a lost SYN after 1 s. A new dial is no later, and looks up the name again.
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            // The member times out first, and reports it.
            join_timeout: JOIN_TIMEOUT + HANDSHAKE_TIMEOUT,
        }
    }
}

settings! {
    /// The listener for peers, and its limits.
    pub struct LinkServerConfig {
        /// The addresses for other nodes: TLS 1.3, for keys of the cluster and for joiners with a valid
        /// token. The default is every address of the machine (IPv6 only if the machine has it).
        listen: ListenAddresses = ListenAddresses::everywhere(PORT);
        /// The host:port at which other nodes reach this one; they resolve a host name at every connection.
        /// Only read when the node founds or joins a cluster; later `quorate member move` changes it.
        /// Empty: the first listen address, or this machine's name if it listens on every address.
        advertise: String = String::new();
    }
    fixed {
        /// The most handshakes in progress. If there are more, the oldest is closed, so that strangers that
        /// connect and send nothing cannot keep out peers. A peer needs a few ms, or about 100 ms over a
        /// long distance, so 1,000 strangers a second do no harm. Each takes about 20 KB.
        handshake_count_max: usize = 256;
        /// How long a handshake may take.
        handshake_timeout: Duration = HANDSHAKE_TIMEOUT;
        /// The most open links. With V voters and L learners a voter accepts 3 (V − 1) + L links: 207 with
        /// 200 members, 5 of which vote. Twice that, because all may reconnect before their former links
        /// are known to be dead, and a hundred more.
        link_count_max: usize = 512;
        /// The most open links of one peer. A node has up to three links for a stream kind during a change of
        /// leader, and may reconnect before this end has noticed that the former ones are dead.
        link_count_per_peer_max: usize = 32;
        /// The most peers with vouchers that are not listed here yet and have links: more than are replaced
        /// while a member is away for hours.
        vouched_count_max: usize = 16;
        /// The most nodes that wait to be registered. Only nodes with a token wait.
        join_count_max: usize = 16;
        /// How long a joiner may wait.
        join_timeout: Duration = JOIN_TIMEOUT;
        /// How long a peer may read nothing of its responses: as long as TCP waits for a peer that
        /// acknowledges nothing.
        write_timeout: Duration = Duration::from_secs(10);
        /// How long a shutdown waits for the answers to requests that were read. An answer takes a round trip
        /// to the other nodes.
        drain_timeout: Duration = Duration::from_secs(1);
    }
}
