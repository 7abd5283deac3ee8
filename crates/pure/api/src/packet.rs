//! What is stored.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
