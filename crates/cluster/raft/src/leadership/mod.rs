//! Who leads, and who leads next: when the leader is gone, and when it should not lead.

pub(crate) mod failover;
pub(crate) mod handover;
pub(crate) mod leader;
pub(crate) mod slow_disk;
