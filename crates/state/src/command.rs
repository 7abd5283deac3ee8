//! Commands and their versioned encoding.
//!
//! ```text
//! version  u8 = 1
//! kind     u8: 1 PutBatch, 2 Expire
//! PutBatch now u64, then packets to the end: key 32 bytes, size u16, payload
//! Expire   cutoff u64, count_max u32
//! ```
//! All integers are big-endian. A node that meets a version or kind it does not know rejects the
//! command as every node of its version does; a new kind is proposed only once all nodes know it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_packet::{PAYLOAD_SIZE_MAX, PUBLIC_KEY_SIZE, PublicKey, SignedPacket};

use crate::{EncodedPackets, UnixMillis};

/// The most packets in one batch: enough to spread the cost of an entry thin, few enough that one
/// batch is applied in well under a heartbeat.
pub const BATCH_COUNT_MAX: usize = 256;

/// The largest encoded batch, in bytes: `BATCH_COUNT_MAX` packets of the usual size.
pub const BATCH_SIZE_MAX: usize = 256 * 1024;

/// The most packets that one `Expire` removes, so that a mass expiry does not stall writes.
pub const EXPIRE_COUNT_MAX: u32 = 1024;

const VERSION: u8 = 1;
const KIND_PUT_BATCH: u8 = 1;
const KIND_EXPIRE: u8 = 2;

/// What precedes the packets in an encoded batch, in bytes.
const PUT_BATCH_HEADER_SIZE: usize = 10;

/// The size of a packet in an encoded batch, beside its payload.
const PACKET_OVERHEAD: usize = PUBLIC_KEY_SIZE + 2;

const _: () = assert!(PAYLOAD_SIZE_MAX <= u16::MAX as usize);
const _: () = assert!(BATCH_SIZE_MAX >= PACKET_OVERHEAD + PAYLOAD_SIZE_MAX);

/// What is proposed to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Store packets.
    PutBatch(PutBatch),
    /// Remove up to `count_max` packets that were received before `cutoff`.
    Expire {
        /// The moment before which a packet is too old.
        cutoff: UnixMillis,
        /// The most packets to remove.
        count_max: u32,
    },
}

/// Packets that arrived together, in the order of their arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBatch {
    /// The leader's clock when it proposed the batch.
    pub now: UnixMillis,
    /// At most [`BATCH_COUNT_MAX`] packets.
    pub packets: Vec<SignedPacket>,
}

impl PutBatch {
    /// The bytes of the log entry of these packets.
    pub fn encode(now: UnixMillis, packets: &EncodedPackets) -> Bytes {
        let mut out = BytesMut::with_capacity(PUT_BATCH_HEADER_SIZE + packets.as_bytes().len());
        out.put_u8(VERSION);
        out.put_u8(KIND_PUT_BATCH);
        out.put_u64(now.0);
        out.put_slice(packets.as_bytes());
        out.freeze()
    }

    /// What `packet` adds to the size of an encoded batch, in bytes.
    pub fn encoded_size(packet: &SignedPacket) -> usize {
        PACKET_OVERHEAD + packet.payload().len()
    }
}

impl Command {
    /// The bytes of the log entry.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Self::PutBatch(batch) => {
                out.reserve(
                    9 + batch
                        .packets
                        .iter()
                        .map(PutBatch::encoded_size)
                        .sum::<usize>(),
                );
                out.put_u8(KIND_PUT_BATCH);
                out.put_u64(batch.now.0);
                for packet in &batch.packets {
                    let payload = packet.payload();
                    out.put_slice(packet.key().as_bytes());
                    out.put_u16(u16::try_from(payload.len()).expect("a payload fits, see above"));
                    out.put_slice(payload);
                }
            }
            Self::Expire { cutoff, count_max } => {
                out.put_u8(KIND_EXPIRE);
                out.put_u64(cutoff.0);
                out.put_u32(*count_max);
            }
        }
        out.freeze()
    }

    /// Reads a log entry. The packets share its memory.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CommandError> {
        let version = bytes.try_get_u8()?;
        if version != VERSION {
            return Err(CommandError::Version(version));
        }
        let command = match bytes.try_get_u8()? {
            KIND_PUT_BATCH => Self::PutBatch(PutBatch {
                now: UnixMillis(bytes.try_get_u64()?),
                packets: decode_packets(&mut bytes)?,
            }),
            KIND_EXPIRE => Self::Expire {
                cutoff: UnixMillis(bytes.try_get_u64()?),
                count_max: bytes.try_get_u32()?,
            },
            kind => return Err(CommandError::Kind(kind)),
        };
        if bytes.has_remaining() {
            return Err(CommandError::Trailing(bytes.len()));
        }
        Ok(command)
    }
}

pub(crate) fn decode_packets(bytes: &mut Bytes) -> Result<Vec<SignedPacket>, CommandError> {
    let mut packets = Vec::new();
    while bytes.has_remaining() {
        let mut key = [0; PUBLIC_KEY_SIZE];
        bytes.try_copy_to_slice(&mut key)?;
        let size = usize::from(bytes.try_get_u16()?);
        if size > bytes.len() {
            return Err(CommandError::Truncated);
        }
        let payload = bytes.split_to(size);
        let packet = SignedPacket::assume_verified(PublicKey::from_bytes(key), payload)
            .ok_or(CommandError::PayloadSize(size))?;
        packets.push(packet);
    }
    Ok(packets)
}

/// Why bytes are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Written by a version of Quorate that this one does not know.
    #[error("encoding version {0} is unknown, this node knows version {VERSION}")]
    Version(u8),
    /// A kind of command that this version does not know.
    #[error("kind {0} of command is unknown")]
    Kind(u8),
    /// The bytes end early.
    #[error("the command ends early")]
    Truncated,
    /// Bytes are left over.
    #[error("{0} bytes follow the command")]
    Trailing(usize),
    /// More packets, or larger ones, than a batch holds.
    #[error("{count} packets in {size} bytes are more than a batch holds")]
    BatchSize {
        /// How many packets.
        count: usize,
        /// Their size in bytes.
        size: usize,
    },
    /// A payload has a size that no packet has.
    #[error("a packet of {0} bytes is impossible")]
    PayloadSize(usize),
}

impl From<bytes::TryGetError> for CommandError {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Truncated
    }
}
