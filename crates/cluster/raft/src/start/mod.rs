//! The way from a start to the first read.

pub(crate) mod opening;
pub(crate) mod recovery;
