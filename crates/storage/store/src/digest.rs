//! The running digest over a snapshot.

use quorate_packet::PUBLIC_KEY_SIZE;
use sha2::{Digest, Sha256};

use crate::schema::Key;

/// The size of a digest, in bytes.
pub(crate) const DIGEST_SIZE: usize = 32;

/// A packet in a stream: key, size (u16, big-endian), value.
pub(crate) const PAIR_OVERHEAD: usize = PUBLIC_KEY_SIZE + 2;

/// Appends a packet to a stream.
pub(crate) fn encode_packet(out: &mut Vec<u8>, key: &Key, value: &[u8]) {
    let size = u16::try_from(value.len()).expect("a packet is a payload and 8 bytes");
    out.extend_from_slice(key);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(value);
}

/// SHA-256 over what the cluster has agreed on and a stream of packets in key order.
#[derive(Clone, Default)]
pub(crate) struct StreamDigest(Sha256);

impl StreamDigest {
    pub(crate) fn update(&mut self, stream: &[u8]) {
        self.0.update(stream);
    }

    /// The digest of all so far.
    pub(crate) fn so_far(&self) -> [u8; DIGEST_SIZE] {
        self.0.clone().finalize().into()
    }
}
