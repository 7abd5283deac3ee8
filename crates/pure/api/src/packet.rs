//! Stored packets, and which of them have changed.

use quorate_packet::PublicKey;
use quorate_state::LogIndex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The packets that the node holds, in key order. GET.
    pub const PACKETS: &str = "/v1/packets";
    /// A packet that the node holds. GET; DELETE deletes it in the whole cluster.
    pub const PACKET: &str = "/v1/packets/{key}";
    /// Which packets have changed after an entry of the log. GET.
    pub const CHANGES: &str = "/v1/changes";
}

/// How many packets a page has by default.
pub const PACKET_COUNT_DEFAULT: usize = 100;
/// The most packets of a page: so many keep an answer below 200 KB.
pub const PACKET_COUNT_MAX: usize = 1000;

/// Some of the packets that a node holds, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketPage {
    /// The packets.
    pub packets: Vec<PacketSummary>,
    /// The value of `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// A packet without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketSummary {
    /// The key that signed it, in z-base-32.
    pub key: String,
    /// Its timestamp, which its publisher sets, in microseconds since 1970.
    pub timestamp_us: u64,
    /// When the cluster last received it, in milliseconds since 1970.
    pub received_ms: u64,
    /// Its stored size without the key, in bytes.
    pub size: usize,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Packet {
    /// The key that signed it, in z-base-32.
    pub key: String,
    /// Its timestamp, which its publisher sets, in microseconds since 1970.
    pub timestamp_us: u64,
    /// When the cluster last received it, in milliseconds since 1970.
    pub received_ms: u64,
    /// The complete packet as relays transfer it (signature, timestamp, DNS message), in base64
    /// (RFC 4648, section 4).
    #[schema(content_encoding = "base64")]
    pub payload: String,
    /// The records of the DNS message that can be decoded.
    pub records: Vec<PacketRecord>,
}

/// A DNS resource record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketRecord {
    /// Its owner name, as it is in the packet.
    pub name: String,
    /// Its type, such as `TXT`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its data in the format of zone files (RFC 1035, section 5).
    pub data: String,
}

/// How many changes an answer has by default.
pub const CHANGE_COUNT_DEFAULT: usize = 100;
/// The most changes that can be asked for, to keep an answer below 200 KB. An answer has more only
/// if one entry of the log has more.
pub const CHANGE_COUNT_MAX: usize = 1000;

/// The packets that have changed after an entry of the log. An entry has the same index on all
/// nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PacketChanges)]
pub struct Changes {
    /// The changes in the order in which they were applied. A key whose packet changed twice is
    /// listed twice.
    pub changes: Vec<ChangedPacket>,
    /// The value of `since` for the next request.
    #[schema(value_type = u64)]
    pub next: LogIndex,
}

/// A change of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PacketChange)]
pub struct ChangedPacket {
    /// The entry of the log that changed it.
    #[schema(value_type = u64)]
    pub index: LogIndex,
    /// The key of the packet, in z-base-32.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// Whether it was stored or deleted.
    pub kind: ChangeKind,
}

/// How a packet has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChangeKind {
    /// A new packet is stored, the first or a newer one. Sending identical bytes again is no
    /// change.
    Stored,
    /// The packet is gone: it expired, was evicted for others, or was deleted by an operator.
    Deleted,
}
