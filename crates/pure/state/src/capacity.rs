//! The capacity of a cluster, and eviction.

use std::time::Duration;

/// How long ago a packet must have been received to be evicted for one of an unknown key.
///
/// Endpoints publish every few minutes. One that has not for two days is gone, or comes back and publishes
/// again. So nobody can evict the packets of live endpoints by publishing many.
pub const EVICTION_AGE_MIN: Duration = Duration::from_secs(2 * 24 * 3600);

/// The most packets that are evicted for one.
///
/// One is enough, or about ten small ones if packets of known keys have grown. More is only needed after the
/// capacity was reduced: that then happens step by step, and no entry stalls writes.
pub const EVICTION_COUNT_MAX: u32 = 16;

/// The limits of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub count_max: u64,
    /// The total size at which no further key is accepted, in bytes as in [`Usage::size`]. The packet that
    /// reaches it may exceed it, and packets of known keys, which are always accepted, may grow beyond it:
    /// by at most the largest payload for each key.
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
