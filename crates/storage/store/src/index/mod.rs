//! The packets in memory, ready to be served. What must hold of them says the front page of the crate.

mod feed;
mod packets_index;
mod progress;
mod ring;
mod watches;

pub use feed::ChangeFeed;
pub use packets_index::{Index, Prepared};
