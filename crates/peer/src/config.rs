//! The timeouts and bounds of both ends of links.

use std::{collections::BTreeMap, time::Duration};

use quorate_rpc::NodeId;

/// Where peers are, and how long to wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Where peers are, as `host:port`. For these, the address in the membership does not count.
    pub addresses: BTreeMap<NodeId, String>,
    /// How long a name lookup and the TCP connection may take together.
    pub connect_timeout: Duration,
    /// How long TLS and the greeting may take.
    pub handshake_timeout: Duration,
}

impl TransportConfig {
    /// The defaults, with these addresses.
    pub fn new(addresses: BTreeMap<NodeId, String>) -> Self {
        Self {
            addresses,
            // TCP repeats a lost SYN after 1 s: a new dial does it no later, and asks the resolver.
            connect_timeout: Duration::from_secs(1),
            // Two round trips and four signatures; a peer that was paused goes on after it.
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// How much of peers to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkServerConfig {
    /// How many handshakes may be under way. When another comes the oldest is given up, so that
    /// strangers who connect and say nothing cannot keep peers out.
    pub handshake_count_max: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How many links may be open.
    pub link_count_max: usize,
    /// How many links one peer may have open.
    pub link_count_per_peer_max: usize,
    /// How long a peer may take nothing of the responses that are ready for it.
    pub write_timeout: Duration,
    /// How long a shutdown waits for requests that were read to be answered.
    pub drain_timeout: Duration,
}

impl Default for LinkServerConfig {
    fn default() -> Self {
        Self {
            // A peer needs some ms, or some 100 ms from afar: of 1,000 strangers a second, none
            // crowds it out. Each takes some 20 KB.
            handshake_count_max: 256,
            handshake_timeout: Duration::from_secs(5),
            // Sixteen nodes at their limit.
            link_count_max: 512,
            // A node has up to three links on a lane while a leader changes, and may come back
            // before this end has noticed that the former ones are dead.
            link_count_per_peer_max: 32,
            // As long as TCP bears with a peer that acknowledges nothing.
            write_timeout: Duration::from_secs(10),
            // What can be answered is answered within a round trip to the other nodes.
            drain_timeout: Duration::from_secs(1),
        }
    }
}
