//! Checkpoints of this node, and snapshots that are sent to and received from peers.

pub(crate) mod backup_source;
pub(crate) mod checkpoint;
pub(crate) mod pull;
pub(crate) mod receive_slot;
pub(crate) mod transfers;

/// The most pieces of a snapshot in flight. At a megabyte each, they fill a link of a gigabit a
/// second and 64 ms. What the receiver has not read yet waits in the buffers of the connection.
pub(crate) const WINDOW: usize = 8;
