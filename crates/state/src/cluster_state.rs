//! What the cluster has agreed on beside its packets.

use crate::{Capacity, Level};

/// What the cluster has agreed on beside its packets: equal on all nodes that have applied the same
/// entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// The feature level in use. A command above it is rejected by all nodes.
    pub level: Level,
    /// The capacity, if one is set: without, everything is taken.
    pub capacity: Option<Capacity>,
}

impl ClusterState {
    /// The size of the encoding, in bytes.
    pub const ENCODED_SIZE: usize = 2 + 1 + 8 + 8;

    /// Level, whether there is a capacity, its count and size, big-endian.
    pub fn encode(&self) -> [u8; Self::ENCODED_SIZE] {
        let capacity = self.capacity.unwrap_or(Capacity {
            count_max: 0,
            size_max: 0,
        });
        let mut bytes = [0; Self::ENCODED_SIZE];
        bytes[..2].copy_from_slice(&self.level.0.to_be_bytes());
        bytes[2] = u8::from(self.capacity.is_some());
        bytes[3..11].copy_from_slice(&capacity.count_max.to_be_bytes());
        bytes[11..].copy_from_slice(&capacity.size_max.to_be_bytes());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, and returns what follows it.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (level, bytes) = bytes.split_first_chunk()?;
        let ([has_capacity], bytes) = bytes.split_first_chunk()?;
        let (count_max, bytes) = bytes.split_first_chunk()?;
        let (size_max, bytes) = bytes.split_first_chunk()?;
        let capacity = Capacity {
            count_max: u64::from_be_bytes(*count_max),
            size_max: u64::from_be_bytes(*size_max),
        };
        let state = Self {
            level: Level(u16::from_be_bytes(*level)),
            capacity: (*has_capacity != 0).then_some(capacity),
        };
        Some((state, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let capacity = Capacity {
            count_max: 1,
            size_max: u64::MAX,
        };
        for (level, capacity) in [(1, None), (u16::MAX, Some(capacity))] {
            let state = ClusterState {
                level: Level(level),
                capacity,
            };
            let bytes = [&state.encode()[..], b"more"].concat();
            assert_eq!(ClusterState::decode(&bytes), Some((state, &b"more"[..])));
            for len in 0..ClusterState::ENCODED_SIZE {
                assert_eq!(ClusterState::decode(&bytes[..len]), None);
            }
        }
    }
}
