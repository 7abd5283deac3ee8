//! What comes of a PUT.

use serde::{Deserialize, Serialize};

/// What became of one packet. Nodes tell it each other, so its variants are never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutOutcome {
    Stored,
    /// It was stored before; the cluster has received it again.
    Unchanged,
    /// A newer one is stored, or this one was deleted, or one that is newer.
    Superseded,
    /// Its timestamp lies too far ahead of the cluster's time:
    /// [`PutBatch::timestamp_max`](crate::PutBatch::timestamp_max).
    TooFarAhead,
    /// Its key is unknown, the [`Capacity`](crate::Capacity) is reached, and no stored packet is old
    /// enough to give way.
    Full,
    /// What is stored is not what its [`Conditions`](crate::Conditions) ask for.
    ConditionFailed,
    /// Its key may not publish, as operators have agreed.
    Forbidden,
    /// Its key may not publish until a time that operators have agreed on.
    Blocked,
}
