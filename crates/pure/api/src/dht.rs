//! The bridge to the Mainline DHT.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Packet;

/// The paths of these requests.
pub(crate) mod path {
    /// The state of this node's bridge to the DHT. GET.
    pub const DHT: &str = "/v1/dht";
    /// A packet in the DHT. GET looks it up; POST publishes the stored one.
    pub const DHT_PACKET: &str = "/v1/dht/{key}";
}

/// The state of a node's bridge to the Mainline DHT. Counts are since the start of the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DhtStatus {
    /// What the node does there: `resolve` or `resolve-and-publish`.
    pub mode: String,
    /// Known nodes of the DHT; 0 while it cannot be reached.
    pub routing_nodes: u64,
    /// The estimated number of nodes in the DHT.
    pub estimated_nodes: u64,
    /// How long a node of the DHT may take to answer, in milliseconds.
    pub request_timeout_ms: u64,
    /// Nodes of the DHT that were asked.
    pub nodes_asked: u64,
    /// Nodes of the DHT that answered.
    pub nodes_answered: u64,
    /// Lookups that found a packet.
    pub lookups_found: u64,
    /// Lookups after which the DHT has no packet of the key.
    pub lookups_absent: u64,
    /// Lookups to which too few nodes answered, or that did not end.
    pub lookups_failed: u64,
    /// The mean time to the first packet, in milliseconds.
    #[schema(required)]
    pub first_packet_ms: Option<f64>,
    /// The mean time to the newest packet, in milliseconds.
    #[schema(required)]
    pub newest_packet_ms: Option<f64>,
    /// Packets that were published.
    pub publications_stored: u64,
    /// Packets that no node of the DHT took.
    pub publications_failed: u64,
    /// The mean number of nodes of the DHT that took a packet.
    #[schema(required)]
    pub copies: Option<f64>,
    /// Keys that wait for their publication.
    pub publications_waiting: u64,
    /// How long ago the next publication was due, in seconds.
    pub publication_delay_secs: u64,
}

/// A packet in the DHT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtPacket {
    /// The newest valid packet. It counts as received now.
    pub packet: Packet,
    /// Nodes of the DHT that were asked.
    pub nodes_asked: u32,
    /// Nodes of the DHT that answered.
    pub nodes_answered: u32,
}

/// The result of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DhtPublished {
    /// Nodes of the DHT that took the packet.
    pub copies: u32,
}
