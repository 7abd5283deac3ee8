//! Who leads, and who leads next: after a leader has failed, and when a leader should not lead.

pub(crate) mod failover;
pub(crate) mod handover;
pub(crate) mod leader;
pub(crate) mod silence;
pub(crate) mod slow_disk;
