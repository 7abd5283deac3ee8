//! The encoding of packets in a snapshot, and the size of its digest.

use quorate_packet::PUBLIC_KEY_SIZE;

use crate::schema::Key;

/// The size of a digest, in bytes.
pub(crate) const DIGEST_SIZE: usize = 32;

/// The bytes around a packet in a snapshot, which is key, size (u16, big-endian), value.
pub(crate) const PACKET_OVERHEAD: usize = PUBLIC_KEY_SIZE + 2;

/// Appends a packet to a chunk.
pub(crate) fn encode_packet(out: &mut Vec<u8>, key: &Key, value: &[u8]) {
    let size = u16::try_from(value.len()).expect("a packet is a payload and 8 bytes");
    out.extend_from_slice(key);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(value);
}
