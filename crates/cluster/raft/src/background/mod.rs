//! What a node does unasked: agrees on sizes, expires and scrubs packets, watches its disk.

pub(crate) mod agreement;
pub(crate) mod commit_mark;
pub(crate) mod expiry;
pub(crate) mod scrub;
pub(crate) mod space;
pub(crate) mod space_watch;
