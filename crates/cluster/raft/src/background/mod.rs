//! Background tasks of a node: the leader's own proposals, the commit index, expiry,
//! scrubbing, disk space.

pub(crate) mod commit_index;
pub(crate) mod expiry;
pub(crate) mod leader_proposals;
pub(crate) mod publishers;
pub(crate) mod scrub;
pub(crate) mod space;
pub(crate) mod space_watch;
