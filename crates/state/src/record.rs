//! Records, and the trait through which the state machine reaches them.

use std::{fmt, time::Duration};

use bytes::Bytes;
use quorate_packet::{PublicKey, SignedPacket};

/// A moment on the leader's clock: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `span` earlier, at the earliest the epoch.
    pub fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// The moment `span` later, at the latest the end of the scale.
    pub fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in the log (Raft paper, section 5.3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct LogPosition {
    /// Term of the leader that proposed the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A stored packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the cluster last received this packet, by the leader's clock.
    pub received: UnixMillis,
    /// The packet.
    pub packet: SignedPacket,
}

impl Record {
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

/// The records of one node.
pub trait Records {
    /// Why the records cannot be read or written: always fatal to the node.
    type Error;

    /// The record of `key`.
    fn record(&self, key: &PublicKey) -> Result<Option<Record>, Self::Error>;

    /// Stores a record in place of `old`, which is what [`record`](Self::record) returned.
    fn put(&mut self, record: &Record, old: Option<&Record>) -> Result<(), Self::Error>;

    /// Removes up to `count_max` records received before `cutoff`, oldest first, and says how many.
    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, Self::Error>;
}
