//! The tables, and the encoding of packets in them.

use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};
use quorate_state::{StoredPacket, Usage};
use redb::TableDefinition;
use twox_hash::{XxHash3_64, XxHash3_128};

pub(crate) type Key = [u8; PUBLIC_KEY_SIZE];

pub(crate) const PACKETS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("packets");
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The size of a checksum, in bytes.
const CHECKSUM_SIZE: usize = 8;

/// The checksum of `bytes`.
pub(crate) fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_SIZE] {
    XxHash3_64::oneshot(bytes).to_be_bytes()
}

/// `bytes` without the checksum at their end, or `None` if it is wrong.
pub(crate) fn verify_checksum(bytes: &[u8]) -> Option<&[u8]> {
    let (body, found) = bytes.split_last_chunk()?;
    (checksum(body) == *found).then_some(body)
}

/// The value of a packet: a checksum over key and encoding, the encoding.
pub(crate) fn encode_value(key: &Key, encoded: &[u8]) -> Vec<u8> {
    [&checksum(&[key, encoded].concat()), encoded].concat()
}

/// The encoding in a value, or `None` if its checksum is wrong.
pub(crate) fn verified_encoding<'a>(key: &Key, value: &'a [u8]) -> Option<&'a [u8]> {
    let (found, encoded) = value.split_first_chunk()?;
    (checksum(&[key, encoded].concat()) == *found).then_some(encoded)
}

/// The size of a set of packets, and the sum of their hashes. Equal sets have equal summaries;
/// different sets have different ones, unless someone constructs a collision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketsSummary {
    /// Their number and the sum of [`StoredPacket::size`], in bytes.
    pub usage: Usage,
    /// The sum of the XXH3-128 over key and encoding of each packet.
    pub hash: u128,
}

impl PacketsSummary {
    /// Adds a packet of another key.
    pub fn insert(&mut self, stored: &StoredPacket) {
        self.usage.count += 1;
        self.usage.size += stored.size();
        self.hash = self.hash.wrapping_add(hash(stored));
    }

    pub(crate) fn remove(&mut self, stored: &StoredPacket) {
        self.usage.count -= 1;
        self.usage.size -= stored.size();
        self.hash = self.hash.wrapping_sub(hash(stored));
    }
}

fn hash(stored: &StoredPacket) -> u128 {
    let key: &PublicKey = stored.packet.key();
    XxHash3_128::oneshot(&[key.as_bytes(), stored.encode().as_slice()].concat())
}
