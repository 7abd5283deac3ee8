//! Checkpoints of this node, and snapshots on their way to and from peers.

pub(crate) mod checkpoint;
pub(crate) mod incoming;
pub(crate) mod pull;
pub(crate) mod transfers;

/// The most pieces of a snapshot in flight. Of a megabyte each, they fill a link of a gigabit a second
/// and 64 ms; what the receiver has not taken yet waits in the buffers of the connection.
pub(crate) const WINDOW: usize = 8;
