//! What nodes tell each other of themselves, and the time that follows from it.

pub(crate) mod clock;
pub(crate) mod currency;
pub(crate) mod exchange;
pub(crate) mod wall_clock;
