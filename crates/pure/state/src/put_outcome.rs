//! The outcome of a PUT.

use serde::{Deserialize, Serialize};

/// The outcome of one packet. It is sent between nodes, so its variants must never be reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutOutcome {
    Stored,
    /// The identical packet was stored before; its receipt is recorded.
    Unchanged,
    /// A newer packet is stored, or this packet or a newer one was deleted.
    Superseded,
    /// Its timestamp is too far ahead of the cluster time:
    /// [`PutBatch::timestamp_max`](crate::PutBatch::timestamp_max).
    TooFarAhead,
    /// Its key is unknown, the [`Capacity`](crate::Capacity) is reached, and no stored packet is old enough
    /// to be evicted.
    Full,
    /// Its [`Conditions`](crate::Conditions) do not hold.
    ConditionFailed,
    /// Its key may not publish, by the publish policy.
    Forbidden,
    /// Its key is blocked until a time set by an operator.
    Blocked,
}
