//! The reports that nodes exchange about themselves, and the time that follows from them.

pub(crate) mod clock;
pub(crate) mod commit_freshness;
pub(crate) mod gossip;
pub(crate) mod wall_clock;
