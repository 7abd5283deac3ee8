//! The encoding of commands in log entries.
//!
//! ```text
//! header       magic u8 = b'Q', level u16, kind u8
//! ```
//! The fields of the kind follow, encoded as in [`codec`](crate::codec). Packets are at the end: each as
//! key (32 bytes), size (u16) and payload.
//! The header never changes: from it a node reads the level of any command, even of an unknown kind. After a
//! version is tagged, each addition, a kind or another format of one, gets a new level, so that within a
//! level every node decodes the same command or none. Bytes that are not a command are rejected.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    Capacity, Command, CommandError, EncodedPackets, Found, FoundingInvite, Join, Level, PutBatch,
    UnixMillis,
    codec::{Codec, decode_all, fields, kinds},
    command_error::MAGIC,
};

/// The bytes before the fields of a command.
const HEADER: [u8; 3] = [MAGIC, 0, Level::FIRST.0 as u8];

/// The bytes before the conditions and packets of a batch. The fields of other commands start here.
const BATCH_HEADER_SIZE: usize = HEADER.len() + 1 + 8 + 8;

// 10 was `RotateCookies`, with a secret that was not sealed. It is not used again.
kinds! {
    Command, |kind| CommandError::Kind { level: Level::FIRST, kind },
    1u8 => PutBatch(batch),
    2u8 => Expire { cutoff, count_max },
    3u8 => RaiseLevel(level),
    4u8 => Found(found),
    5u8 => Invite { id, invite, now },
    6u8 => Join(join),
    7u8 => Register { node, registration },
    8u8 => Deregister(node),
    9u8 => ChangeZone(change),
    11u8 => ChangePublishing(change),
    12u8 => DeletePacket { key, blocked_until, now },
    13u8 => FinishFounding,
    14u8 => Vouch(voucher),
    15u8 => DropVouchers(index),
    16u8 => Tick { now },
    17u8 => SetBack { now },
    18u8 => ChangeSettings(change),
    19u8 => Import(import),
    20u8 => RecordBackup(record),
    21u8 => DemandKey,
    22u8 => SwitchKey(switch),
    23u8 => StoreSecret(secret),
    24u8 => DemandSecrets { kinds, renewal },
    25u8 => DropSecrets(kinds),
    26u8 => DeregisterCompromised(node),
}

fields! {
    Found { id, voters, invite, capacity }
    FoundingInvite { id, invite }
    Join { invite, node, name, address, now }
    Capacity { count_max, size_max }
}

impl Command {
    /// Encodes a log entry.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(BATCH_HEADER_SIZE);
        out.put_slice(&HEADER);
        self.put(&mut out);
        out.freeze()
    }

    /// The level of an encoded command, even if this program does not support it.
    pub fn encoded_level(mut bytes: &[u8]) -> Result<Level, CommandError> {
        match bytes.try_get_u8()? {
            MAGIC => Ok(Level(bytes.try_get_u16()?)),
            other => Err(CommandError::Magic(other)),
        }
    }

    /// Decodes a log entry. The packets share its memory.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CommandError> {
        let level = Self::encoded_level(&bytes)?;
        bytes.advance(HEADER.len());
        if level != Level::FIRST {
            let kind = u8::take(&mut bytes)?;
            return Err(CommandError::Kind { level, kind });
        }
        decode_all(bytes, usize::MAX)
    }
}

impl PutBatch {
    /// Encodes the log entry of already encoded packets.
    pub fn encode(now: UnixMillis, timestamp_max: UnixMillis, packets: &EncodedPackets) -> Bytes {
        let header = Command::PutBatch(Self {
            now,
            timestamp_max,
            conditions: packets.conditions.clone(),
            packets: Vec::new(),
        });
        let mut out = BytesMut::with_capacity(BATCH_HEADER_SIZE + packets.size());
        out.put_slice(&HEADER);
        header.put(&mut out);
        out.put_slice(&packets.bytes);
        out.freeze()
    }
}
