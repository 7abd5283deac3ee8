//! Batches of packets.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_packet::{PublicKey, SignedPacket};

use crate::{
    BatchConditions, CommandError, UnixMillis,
    codec::{Codec, fields},
};

/// The most packets in one batch: enough to share the cost of an entry, few enough to apply a batch in
/// much less than a heartbeat.
pub const BATCH_COUNT_MAX: usize = 256;

/// The largest encoded batch, in bytes: `BATCH_COUNT_MAX` packets of the usual size.
pub const BATCH_SIZE_MAX: usize = 256 * 1024;

/// Packets that arrived together, in the order of their arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBatch {
    /// The cluster time of the proposal, against which blocks are checked. Packets are stored with its
    /// stamp, see [`ClusterTime`](crate::ClusterTime).
    pub now: UnixMillis,
    /// The latest timestamp that a packet may have, in whole milliseconds:
    /// [`TIMESTAMP_AHEAD_MAX`](crate::TIMESTAMP_AHEAD_MAX) after the latest possible time on the leader.
    pub timestamp_max: UnixMillis,
    /// The conditions of some packets.
    pub conditions: BatchConditions,
    /// At most [`BATCH_COUNT_MAX`] packets.
    pub packets: Vec<SignedPacket>,
}

/// Packets that another server or cluster received before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// When each packet was received, if that is to be kept. A packet without a time counts as received now.
    pub received: Vec<Option<UnixMillis>>,
    /// The packets, without conditions.
    pub batch: PutBatch,
}

fields! {
    Import { received, batch }
}

impl Codec for PutBatch {
    fn put(&self, out: &mut BytesMut) {
        self.now.put(out);
        self.timestamp_max.put(out);
        self.conditions.encode(out);
        for packet in &self.packets {
            encode_packet(out, packet);
        }
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let batch = Self {
            now: Codec::take(bytes)?,
            timestamp_max: Codec::take(bytes)?,
            conditions: BatchConditions::decode(bytes)?,
            packets: decode_packets(bytes)?,
        };
        batch.conditions.check(batch.packets.len())?;
        Ok(batch)
    }
}

pub(crate) fn encode_packet(out: &mut BytesMut, packet: &SignedPacket) {
    let payload = packet.payload();
    packet.key().put(out);
    out.put_u16(u16::try_from(payload.len()).expect("a payload fits, see `EncodedPackets`"));
    out.put_slice(payload);
}

pub(crate) fn decode_packets(bytes: &mut Bytes) -> Result<Vec<SignedPacket>, CommandError> {
    let mut packets = Vec::new();
    while bytes.has_remaining() {
        let key = PublicKey::take(bytes)?;
        let size = usize::from(u16::take(bytes)?);
        if size > bytes.len() {
            return Err(CommandError::Truncated);
        }
        let packet = SignedPacket::assume_verified(key, bytes.split_to(size))
            .ok_or(CommandError::PayloadSize(size))?;
        packets.push(packet);
    }
    Ok(packets)
}
