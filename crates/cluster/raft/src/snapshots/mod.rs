//! Checkpoints of this node, and snapshots on their way to and from peers.

pub(crate) mod checkpoint;
pub(crate) mod incoming;
pub(crate) mod pull;
pub(crate) mod transfers;
pub(crate) mod window;
