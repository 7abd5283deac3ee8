//! The timeouts and bounds of both ends of links.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::NodeId;
use quorate_setting::settings;

/// How long TLS and the greeting may take, at either end: two round trips and four signatures; a peer
/// that was paused goes on after it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a joiner's registration may take: the leader is found, perhaps elected first, and has it
/// committed.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Peers that are dialed elsewhere than where they are: for tests, whose links can fail.
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
            // TCP repeats a lost SYN after 1 s: a new dial does it no later, and asks the resolver.
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            // The member gives up first, and says so.
            join_timeout: JOIN_TIMEOUT + HANDSHAKE_TIMEOUT,
        }
    }
}

settings! {
    /// Where to hear peers, and how much of them to take.
    pub struct LinkServerConfig {
        /// Where other nodes are heard: TLS 1.3, for keys of the cluster, and while a token is good
        /// for those who come with it.
        listen: SocketAddr = (Ipv4Addr::UNSPECIFIED, 7700).into();
        /// Where other nodes reach this one: a host:port, whose name they resolve at every dial. Read
        /// when the node founds or joins a cluster; `quorate member move` changes it. Empty: where it
        /// listens, or this machine's name if it listens at every address.
        advertise: String = String::new();
    }
    fixed {
        /// How many handshakes may be under way. When another comes the oldest is given up, so that
        /// strangers who connect and say nothing cannot keep peers out. A peer needs some ms, or
        /// some 100 ms from afar: of 1,000 strangers a second, none crowds it out. Each takes some
        /// 20 KB.
        handshake_count_max: usize = 256;
        /// How long a handshake may take.
        handshake_timeout: Duration = HANDSHAKE_TIMEOUT;
        /// How many links may be open: twice what 200 members open to a voter (207, ARCHITECTURE.md),
        /// who may all come back before their former links are known to be dead, and a hundred more.
        link_count_max: usize = 512;
        /// How many links one peer may have open. A node has up to three links on a stream while a
        /// leader changes, and may come back before this end has noticed that the former ones are
        /// dead.
        link_count_per_peer_max: usize = 32;
        /// How many peers at a time may have links that are vouched for and not listed here yet: more
        /// than are replaced while a member is away for hours.
        vouched_count_max: usize = 16;
        /// How many nodes may be waiting to be registered. Only those that have a token wait.
        join_count_max: usize = 16;
        /// How long one may wait.
        join_timeout: Duration = JOIN_TIMEOUT;
        /// How long a peer may take nothing of the responses that are ready for it: as long as TCP
        /// bears with a peer that acknowledges nothing.
        write_timeout: Duration = Duration::from_secs(10);
        /// How long a shutdown waits for requests that were read to be answered. What can be
        /// answered is answered within a round trip to the other nodes.
        drain_timeout: Duration = Duration::from_secs(1);
    }
}
