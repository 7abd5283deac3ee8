//! Stored packets, and the trait through which the state machine reaches them.

use bytes::Bytes;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket};

use crate::{UnixMillis, Usage};

/// What is kept of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPacket {
    /// When the cluster last received this packet: a stamp, see [`ClusterTime`](crate::ClusterTime).
    /// Fronts are given the time that it stands for.
    pub received: UnixMillis,
    pub packet: SignedPacket,
}

impl StoredPacket {
    /// What it counts for in a [`Capacity`](crate::Capacity), in bytes: key and encoding. What a
    /// node needs to hold it, in memory or on disk, is more.
    pub fn size(&self) -> u64 {
        (PUBLIC_KEY_SIZE + size_of::<u64>() + self.packet.payload().len()) as u64
    }

    /// The stored form of everything but the key: `received` (8 bytes, big-endian), payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.packet.payload().len());
        bytes.extend_from_slice(&self.received.0.to_be_bytes());
        bytes.extend_from_slice(self.packet.payload());
        bytes
    }

    /// Reads what [`encode`](Self::encode) wrote, or `None` if it cannot be that.
    pub fn decode(key: PublicKey, bytes: &[u8]) -> Option<Self> {
        let (received, payload) = bytes.split_first_chunk()?;
        Some(Self {
            received: UnixMillis(u64::from_be_bytes(*received)),
            packet: SignedPacket::assume_verified(key, Bytes::copy_from_slice(payload))?,
        })
    }
}

/// The packets of one node.
pub trait StoredPackets {
    /// What is stored of `key`.
    fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket>;

    fn usage(&self) -> Usage;

    /// When the packet that was received longest ago was received, and its key: of several, the
    /// smallest.
    fn oldest(&self) -> Option<(UnixMillis, PublicKey)>;

    /// Stores a packet in place of any that its key has.
    fn put(&mut self, stored: &StoredPacket);

    /// Removes the packet of `key`, if there is one.
    fn remove(&mut self, key: &PublicKey);
}
