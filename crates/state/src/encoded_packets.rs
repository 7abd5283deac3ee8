//! Packets on their way into a batch.

use bytes::{BufMut, Bytes, BytesMut};
use quorate_packet::{PAYLOAD_SIZE_MAX, PUBLIC_KEY_SIZE, SignedPacket};

use crate::{BATCH_COUNT_MAX, BATCH_SIZE_MAX, CommandError, command::decode_packets};

/// The size of a packet in a batch, beside its payload.
const OVERHEAD: usize = PUBLIC_KEY_SIZE + 2;

const _: () = assert!(PAYLOAD_SIZE_MAX <= u16::MAX as usize);
const _: () = assert!(BATCH_SIZE_MAX >= OVERHEAD + PAYLOAD_SIZE_MAX);

/// Packets as a batch holds them: one behind the other, each as key (32 bytes), size (u16,
/// big-endian) and payload.
///
/// They are encoded once, by the node where they arrive, and go through the leader into the log as
/// they are. There are at most [`BATCH_COUNT_MAX`] of them, in at most [`BATCH_SIZE_MAX`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedPackets {
    bytes: BytesMut,
    count: usize,
}

impl EncodedPackets {
    /// Reads what another node encoded, and has verified.
    pub fn parse(bytes: Bytes) -> Result<Self, CommandError> {
        let (size, count) = (bytes.len(), decode_packets(&mut bytes.clone())?.len());
        match count <= BATCH_COUNT_MAX && size <= BATCH_SIZE_MAX {
            true => Ok(Self {
                bytes: bytes.into(),
                count,
            }),
            false => Err(CommandError::BatchSize { count, size }),
        }
    }

    /// Adds a packet. Returns false, and adds nothing, if there is no room for it.
    pub fn push(&mut self, packet: &SignedPacket) -> bool {
        let payload = packet.payload();
        let fits = self.has_room(1, OVERHEAD + payload.len());
        if fits {
            let size = u16::try_from(payload.len()).expect("a payload fits, see above");
            self.bytes.put_slice(packet.key().as_bytes());
            self.bytes.put_u16(size);
            self.bytes.put_slice(payload);
            self.count += 1;
        }
        fits
    }

    /// Adds all of `others`. Returns false, and adds nothing, if there is no room for them.
    pub fn append(&mut self, others: &Self) -> bool {
        let fits = self.has_room(others.count, others.bytes.len());
        if fits {
            self.bytes.put_slice(&others.bytes);
            self.count += others.count;
        }
        fits
    }

    /// How many packets these are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The bytes of all of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, to be sent.
    pub fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }

    fn has_room(&self, count: usize, size: usize) -> bool {
        self.count + count <= BATCH_COUNT_MAX && self.bytes.len() + size <= BATCH_SIZE_MAX
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

    use super::*;

    fn packet(byte: u8, size: usize) -> SignedPacket {
        let payload = vec![byte; size].into();
        SignedPacket::assume_verified(PublicKey::from_bytes([byte; 32]), payload).unwrap()
    }

    #[test]
    fn what_a_node_encoded_another_reads() {
        let mut packets = EncodedPackets::default();
        for byte in 0..3 {
            assert!(packets.push(&packet(byte, 200)));
        }
        let read = EncodedPackets::parse(packets.clone().into_bytes());
        assert_eq!(read, Ok(packets));
    }

    #[test]
    fn packets_of_several_nodes_make_one_batch() {
        let (mut first, mut second) = (EncodedPackets::default(), EncodedPackets::default());
        assert!(first.push(&packet(1, 200)) && second.push(&packet(2, 300)));
        assert!(first.append(&second));
        let decoded = decode_packets(&mut first.into_bytes());
        assert_eq!(decoded, Ok(vec![packet(1, 200), packet(2, 300)]));
    }

    #[test]
    fn no_batch_is_larger_than_the_largest() {
        let mut packets = EncodedPackets::default();
        while packets.push(&packet(1, 104)) {}
        assert_eq!(packets.count(), BATCH_COUNT_MAX);
        let full = packets.clone();
        assert!(!packets.append(&full));
        assert_eq!(packets, full);

        let mut packets = EncodedPackets::default();
        while packets.push(&packet(1, PAYLOAD_SIZE_MAX)) {}
        assert!(packets.as_bytes().len() <= BATCH_SIZE_MAX);
        let bytes = [full.as_bytes(), full.as_bytes()].concat();
        let size = bytes.len();
        let count = 2 * BATCH_COUNT_MAX;
        let too_many = EncodedPackets::parse(bytes.into());
        assert_eq!(too_many, Err(CommandError::BatchSize { count, size }));
    }

    #[test]
    fn bytes_that_end_early_are_no_packets() {
        let mut packets = EncodedPackets::default();
        packets.push(&packet(1, 200));
        for size in 1..packets.as_bytes().len() {
            let cut = Bytes::copy_from_slice(&packets.as_bytes()[..size]);
            assert!(EncodedPackets::parse(cut).is_err(), "of {size} bytes");
        }
    }
}
