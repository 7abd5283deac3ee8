//! How much the cluster holds, and what gives way when it is full.

use std::time::Duration;

/// How long ago a packet must have been received to give way to one of an unknown key.
///
/// Endpoints publish every few minutes. Who has not for two days is gone, or is back within the
/// retention and publishes again; and nobody drives out the packets of those who live by publishing
/// many of their own.
pub const EVICTION_AGE_MIN: Duration = Duration::from_secs(2 * 24 * 3600);

/// The most packets that give way to one.
///
/// One is enough, or some ten small ones where packets of known keys have grown. More are in the way
/// only when the capacity was shrunk: that then takes place bit by bit, and no entry stalls writes.
pub const EVICTION_COUNT_MAX: u32 = 16;

/// How much is stored at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub count_max: u64,
    /// The size of all packets at which no other key is taken, in bytes as [`Usage::size`] counts
    /// them. The packet that reaches it may pass it, and packets of known keys, which are always
    /// taken, may grow beyond it: by the largest payload for each key.
    pub size_max: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub count: u64,
    /// The sum of [`StoredPacket::size`](crate::StoredPacket::size).
    pub size: u64,
}

impl Capacity {
    pub fn is_reached(&self, usage: Usage) -> bool {
        usage.count >= self.count_max || usage.size >= self.size_max
    }
}
