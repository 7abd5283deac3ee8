//! The way from a start to the first read.

pub(crate) mod founding;
pub(crate) mod log_state;
pub(crate) mod opening;
pub(crate) mod recovery;
