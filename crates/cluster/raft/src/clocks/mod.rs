//! What nodes tell each other of themselves, and the time that follows from it.

pub(crate) mod clock;
pub(crate) mod commit_freshness;
pub(crate) mod gossip;
pub(crate) mod wall_clock;
