//! What has changed in packets, entry by entry.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many changes an answer has if nobody says.
pub const CHANGE_COUNT_DEFAULT: usize = 100;
/// How many changes are asked for at most, so that an answer stays below 200 KB. It has more where one
/// entry of the log has.
pub const CHANGE_COUNT_MAX: usize = 1000;

/// What has changed behind an entry of the log. Entries have one index on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketChanges {
    /// In the order in which it was applied. A key whose packet changed twice is there twice.
    pub changes: Vec<PacketChange>,
    /// What to give as `since` to go on.
    pub next: u64,
}

/// That a packet has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketChange {
    /// The entry of the log that changed it.
    pub index: u64,
    /// Whose packet, in z-base-32.
    pub key: String,
    /// How.
    pub kind: ChangeKind,
}

/// How a packet has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Another one is stored, or the first. That identical bytes were sent again is no change.
    Stored,
    /// None is there any more: it expired, gave way to others, or was deleted by an operator.
    Deleted,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stored => "stored",
            Self::Deleted => "deleted",
        })
    }
}
