//! Stored packets, and which of them have changed.

use quorate_packet::{PAYLOAD_SIZE_MAX, PublicKey};
use quorate_state::{BATCH_SIZE_MAX, LogIndex};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The paths of these requests.
pub(crate) mod path {
    /// The packets that the node holds, in key order. GET.
    pub const PACKETS: &str = "/v1/packets";
    /// A packet that the node holds. GET; DELETE deletes it in the whole cluster.
    pub const PACKET: &str = "/v1/packets/{key}";
    /// Packets that other servers received before. POST.
    pub const IMPORT_PACKETS: &str = "/v1/packets/import";
    /// Which packets have changed after an entry of the log. GET.
    pub const CHANGES: &str = "/v1/changes";
}

/// How many packets a page has by default.
pub const PACKET_COUNT_DEFAULT: usize = 100;
/// The most packets of a page: so many keep an answer below 200 KB.
pub const PACKET_COUNT_MAX: usize = 1000;

/// The most packets of one import: the longest ones fit into one log entry.
pub const IMPORT_COUNT_MAX: usize = 128;

const _: () = assert!(IMPORT_COUNT_MAX * (PAYLOAD_SIZE_MAX + 64) <= BATCH_SIZE_MAX);

/// The largest request to import packets, in bytes: the longest packets in base64, with their keys.
pub const IMPORT_PACKETS_SIZE_MAX: usize = IMPORT_COUNT_MAX * 2048;

/// A packet outside of a cluster: a line of `quorate export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortablePacket {
    /// The key that signed it, in z-base-32.
    pub key: String,
    /// When it was last received, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_ms: Option<u64>,
    /// The complete packet as relays transfer it (signature, timestamp, DNS message), in base64
    /// (RFC 4648, section 4).
    #[schema(content_encoding = "base64")]
    pub payload: String,
}

/// Asks to store packets that other servers received before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportPackets {
    /// At most 128. A packet without `received_ms` counts as received now.
    #[schema(max_items = 128)]
    pub packets: Vec<PortablePacket>,
}

/// What became of imported packets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// How many are stored now and were not before.
    pub stored: u64,
    /// How many were stored already.
    pub unchanged: u64,
    /// How many are older than what is stored, or than a deletion.
    pub superseded: u64,
    /// How many found the capacity of the cluster reached.
    pub full: u64,
    /// The others, in their order.
    pub rejected: Vec<RejectedPacket>,
}

/// A packet that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedPacket {
    /// Its key, as in the request.
    pub key: String,
    /// Why.
    pub reason: String,
}

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
    /// The value of `cluster` for the next request: the id of the cluster, in hex.
    #[serde(default)]
    #[schema(required)]
    pub cluster: Option<String>,
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
