//! What is stored, and what has changed in that.

use quorate_packet::PublicKey;
use quorate_state::LogIndex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where these are.
pub(crate) mod path {
    /// The packets that the node holds, in key order. GET.
    pub const PACKETS: &str = "/v1/packets";
    /// A packet that the node holds. GET; DELETE to have the cluster delete it.
    pub const PACKET: &str = "/v1/packets/{key}";
    /// What has changed in packets behind an entry of the log. GET.
    pub const CHANGES: &str = "/v1/changes";
}

/// How many packets a page has if nobody says.
pub const PACKET_COUNT_DEFAULT: usize = 100;
/// How many packets a page has at most, so that an answer stays below 200 KB.
pub const PACKET_COUNT_MAX: usize = 1000;

/// Some of the packets that a node holds, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketPage {
    /// The packets.
    pub packets: Vec<PacketSummary>,
    /// What to give as `after` for the next page, if there is one.
    #[schema(required)]
    pub next: Option<String>,
}

/// A packet, its content aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketSummary {
    /// The key that signed it, in z-base-32.
    pub key: String,
    /// When its publisher says it was made, in microseconds since 1970.
    pub timestamp_us: u64,
    /// When the cluster last received it, in milliseconds since 1970.
    pub received_ms: u64,
    /// Its size as it is stored, in bytes, the key aside.
    pub size: usize,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Packet {
    /// The key that signed it, in z-base-32.
    pub key: String,
    /// When its publisher says it was made, in microseconds since 1970.
    pub timestamp_us: u64,
    /// When the cluster last received it, in milliseconds since 1970.
    pub received_ms: u64,
    /// All of it as relays carry it (signature, timestamp, DNS message), in base64 (RFC 4648,
    /// section 4).
    #[schema(content_encoding = "base64")]
    pub payload: String,
    /// The records of the DNS message, as far as it can be read.
    pub records: Vec<PacketRecord>,
}

/// A DNS resource record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketRecord {
    /// Its owner, as the packet has it.
    pub name: String,
    /// Its type, such as `TXT`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// Its TTL in seconds.
    pub ttl: u32,
    /// Its data, as zone files write it (RFC 1035, section 5).
    pub data: String,
}

/// How many changes an answer has if nobody says.
pub const CHANGE_COUNT_DEFAULT: usize = 100;
/// How many changes are asked for at most, so that an answer stays below 200 KB. It has more where one
/// entry of the log has.
pub const CHANGE_COUNT_MAX: usize = 1000;

/// What has changed behind an entry of the log. Entries have one index on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PacketChanges)]
pub struct Changes {
    /// In the order in which it was applied. A key whose packet changed twice is there twice.
    pub changes: Vec<ChangedPacket>,
    /// What to give as `since` to go on.
    #[schema(value_type = u64)]
    pub next: LogIndex,
}

/// That a packet has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PacketChange)]
pub struct ChangedPacket {
    /// The entry of the log that changed it.
    #[schema(value_type = u64)]
    pub index: LogIndex,
    /// Whose packet, in z-base-32.
    #[serde(with = "crate::text")]
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// How.
    pub kind: ChangeKind,
}

/// How a packet has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChangeKind {
    /// Another one is stored, or the first. That identical bytes were sent again is no change.
    Stored,
    /// None is there any more: it expired, gave way to others, or was deleted by an operator.
    Deleted,
}
