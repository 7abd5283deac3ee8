//! Stored packets, and the trait with which the state machine accesses them.

use bytes::Bytes;
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket};

use crate::{UnixMillis, Usage};

/// What is kept of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPacket {
    /// When the cluster last received this packet: a stamp, see [`ClusterTime`](crate::ClusterTime). Servers
    /// receive the time that it means.
    pub received: UnixMillis,
    pub packet: SignedPacket,
}

impl StoredPacket {
    /// Its size for the [`Capacity`](crate::Capacity), in bytes: key and encoding. A node needs more, in
    /// memory and on disk.
    pub fn size(&self) -> u64 {
        (PUBLIC_KEY_SIZE + size_of::<u64>() + self.packet.payload().len()) as u64
    }

    /// Encodes everything except the key: `received` (8 bytes, big-endian), payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.packet.payload().len());
        bytes.extend_from_slice(&self.received.0.to_be_bytes());
        bytes.extend_from_slice(self.packet.payload());
        bytes
    }

    /// Decodes the output of [`encode`](Self::encode); `None` if the size is impossible.
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
    /// The stored packet of `key`.
    fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket>;

    fn usage(&self) -> Usage;

    /// The packet received longest ago: its time of receipt, and the smallest key of several.
    fn oldest(&self) -> Option<(UnixMillis, PublicKey)>;

    /// Stores a packet, replacing that of its key.
    fn put(&mut self, stored: &StoredPacket);

    /// Removes the packet of `key`, if there is one.
    fn remove(&mut self, key: &PublicKey);
}
