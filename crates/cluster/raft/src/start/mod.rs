//! From the start of a node to its first read.

pub(crate) mod opening;
pub(crate) mod recovery;
