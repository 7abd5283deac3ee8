//! Packets in the encoding of a batch.

use bytes::{BufMut, Bytes, BytesMut};
use quorate_packet::{PAYLOAD_SIZE_MAX, PUBLIC_KEY_SIZE, SignedPacket};

use crate::{
    BATCH_COUNT_MAX, BATCH_SIZE_MAX, BatchConditions, CommandError, Conditions,
    batch::{decode_packets, encode_packet},
};

/// The size of a packet in a batch without its payload.
const OVERHEAD: usize = PUBLIC_KEY_SIZE + 2;

const _: () = assert!(PAYLOAD_SIZE_MAX <= u16::MAX as usize);
// Including its conditions.
const _: () = assert!(BATCH_SIZE_MAX >= OVERHEAD + PAYLOAD_SIZE_MAX + 1024);
const _: () = assert!(BATCH_COUNT_MAX <= u16::MAX as usize);

/// Packets in the encoding of a batch: in order, each as key (32 bytes), size (u16, big-endian) and payload;
/// before them the conditions.
///
/// They are encoded once, by the node where they arrive, and go unchanged through the leader into the log.
/// There are at most [`BATCH_COUNT_MAX`] of them, in at most [`BATCH_SIZE_MAX`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedPackets {
    /// The bytes of the packets alone.
    pub(crate) bytes: BytesMut,
    count: usize,
    pub(crate) conditions: BatchConditions,
}

impl EncodedPackets {
    /// Decodes what another node encoded and verified.
    pub fn parse(mut bytes: Bytes) -> Result<Self, CommandError> {
        let size = bytes.len();
        let conditions = BatchConditions::decode(&mut bytes)?;
        let count = decode_packets(&mut bytes.clone())?.len();
        conditions.check(count)?;
        match count <= BATCH_COUNT_MAX && size <= BATCH_SIZE_MAX {
            true => Ok(Self {
                bytes: bytes.into(),
                count,
                conditions,
            }),
            false => Err(CommandError::BatchSize { count, size }),
        }
    }

    /// Adds a packet with its conditions. Returns false and adds nothing if it does not fit.
    pub fn push(&mut self, packet: &SignedPacket, conditions: &Conditions) -> bool {
        let mut own = BatchConditions::default();
        own.insert(0, conditions.clone());
        let fits = self.has_room(1, OVERHEAD + packet.payload().len() + own.size());
        if fits {
            self.conditions.append(self.next_place(), &own);
            encode_packet(&mut self.bytes, packet);
            self.count += 1;
        }
        fits
    }

    /// Adds all of `others`. Returns false and adds nothing if they do not fit.
    pub fn append(&mut self, others: &Self) -> bool {
        let fits = self.has_room(others.count, others.bytes.len() + others.conditions.size());
        if fits {
            self.conditions
                .append(self.next_place(), &others.conditions);
            self.bytes.put_slice(&others.bytes);
            self.count += others.count;
        }
        fits
    }

    /// Verifies all signatures. Takes about 40 µs for each.
    pub fn are_signed(&self) -> bool {
        let packets = decode_packets(&mut self.bytes.clone().freeze()).unwrap_or_default();
        let is_signed = |packet: &SignedPacket| {
            SignedPacket::parse(*packet.key(), packet.payload().clone()).is_ok()
        };
        packets.len() == self.count && packets.iter().all(is_signed)
    }

    /// The number of packets.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The conditions and packets, to be sent.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.size());
        self.conditions.encode(&mut out);
        out.put_slice(&self.bytes);
        out.freeze()
    }

    /// The size of the output of `encode`, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.conditions.size() + self.bytes.len()
    }

    fn next_place(&self) -> u16 {
        u16::try_from(self.count).expect("a batch has fewer, see above")
    }

    fn has_room(&self, count: usize, size: usize) -> bool {
        self.count + count <= BATCH_COUNT_MAX && self.size() + size <= BATCH_SIZE_MAX
    }
}

#[cfg(test)]
mod tests {
    use quorate_packet::PublicKey;

    use super::*;
    use crate::{Condition, Version};

    fn conditions(count: usize) -> Conditions {
        let version = Version::of(&packet(1, 104));
        Conditions::new(vec![Condition::AnyOf(vec![version; count])]).unwrap()
    }

    fn packet(byte: u8, size: usize) -> SignedPacket {
        let payload = vec![byte; size].into();
        SignedPacket::assume_verified(PublicKey::from_bytes([byte; 32]), payload).unwrap()
    }

    #[test]
    fn what_a_node_encoded_another_reads() {
        let mut packets = EncodedPackets::default();
        for byte in 0..3 {
            assert!(packets.push(&packet(byte, 200), &Conditions::default()));
        }
        let read = EncodedPackets::parse(packets.encode());
        assert_eq!(read, Ok(packets));
    }

    #[test]
    fn packets_of_several_nodes_make_one_batch() {
        let (mut first, mut second) = (EncodedPackets::default(), EncodedPackets::default());
        assert!(
            first.push(&packet(1, 200), &Conditions::default())
                && second.push(&packet(2, 300), &Conditions::default())
        );
        assert!(first.append(&second));
        let decoded = decode_packets(&mut first.encode().slice(2..));
        assert_eq!(decoded, Ok(vec![packet(1, 200), packet(2, 300)]));
    }

    #[test]
    fn no_batch_is_larger_than_the_largest() {
        let mut packets = EncodedPackets::default();
        while packets.push(&packet(1, 104), &Conditions::default()) {}
        assert_eq!(packets.count(), BATCH_COUNT_MAX);
        let full = packets.clone();
        assert!(!packets.append(&full));
        assert_eq!(packets, full);

        let mut packets = EncodedPackets::default();
        while packets.push(&packet(1, PAYLOAD_SIZE_MAX), &Conditions::default()) {}
        assert!(packets.encode().len() <= BATCH_SIZE_MAX);
        let bytes = [&full.encode()[..], &full.bytes[..]].concat();
        let size = bytes.len();
        let count = 2 * BATCH_COUNT_MAX;
        let too_many = EncodedPackets::parse(bytes.into());
        assert_eq!(too_many, Err(CommandError::BatchSize { count, size }));
    }

    #[test]
    fn bytes_that_end_early_are_no_packets() {
        let mut packets = EncodedPackets::default();
        packets.push(&packet(1, 200), &Conditions::default());
        let bytes = packets.encode();
        // Without bytes after the conditions, the batch is empty.
        for size in (0..bytes.len()).filter(|size| *size != 2) {
            let cut = bytes.slice(..size);
            assert!(EncodedPackets::parse(cut).is_err(), "of {size} bytes");
        }
    }

    #[test]
    fn conditions_go_with_their_packets_from_node_to_node() {
        let (mut first, mut second) = (EncodedPackets::default(), EncodedPackets::default());
        assert!(first.push(&packet(1, 200), &Conditions::default()));
        assert!(first.conditions.is_empty());
        assert!(second.push(&packet(2, 200), &Conditions::default()));
        assert!(second.push(&packet(3, 200), &conditions(1)));
        let read = EncodedPackets::parse(second.encode());
        assert_eq!(read.as_ref(), Ok(&second));
        assert!(first.append(&read.unwrap()));
        let of = |place| first.conditions.of(place).cloned();
        let expected = [None, None, Some(conditions(1)), None];
        assert_eq!([0, 1, 2, 3].map(of), expected);
    }

    #[test]
    fn a_batch_with_conditions_is_no_larger_than_the_largest() {
        let mut packets = EncodedPackets::default();
        while packets.push(&packet(1, 1000), &conditions(crate::VERSION_COUNT_MAX)) {}
        let bytes = packets.encode();
        assert!(bytes.len() <= BATCH_SIZE_MAX, "{}", bytes.len());
        assert_eq!(EncodedPackets::parse(bytes), Ok(packets));
    }

    #[test]
    fn conditions_of_no_packet_are_none() {
        let mut packets = EncodedPackets::default();
        assert!(packets.push(&packet(1, 200), &conditions(2)));
        let bytes = packets.encode();
        for (place, at) in [(1, 2..4), (0, 0..2)] {
            let mut wrong = bytes.to_vec();
            wrong[at].copy_from_slice(&u16::to_be_bytes(place));
            let read = EncodedPackets::parse(wrong.into());
            assert!(read.is_err(), "{read:?}");
        }
    }
}
