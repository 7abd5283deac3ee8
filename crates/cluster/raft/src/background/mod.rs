//! Background tasks of a node: the leader's own proposals, expiry, scrubbing, disk space.

pub(crate) mod expiry;
pub(crate) mod leader_proposals;
pub(crate) mod scrub;
pub(crate) mod space;
pub(crate) mod space_watch;
