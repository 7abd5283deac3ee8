//! What has changed in packets, entry by entry.

use quorate_packet::PublicKey;
use quorate_state::LogIndex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
