//! The packets in memory, ready to be served. Their invariants are in the docs of the crate.

mod feed;
mod packets_index;
mod progress;
mod ring;
mod watches;

pub use feed::ChangeFeed;
pub use packets_index::{Index, PreparedPackets};
