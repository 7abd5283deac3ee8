//! Commands as bytes of log entries.
//!
//! ```text
//! header       version u8 = 2, level u16, kind u8
//!
//! level 1, kind 1  PutBatch     now u64, packets
//!          kind 2  Expire       cutoff u64, count_max u32
//!          kind 3  RaiseLevel   level u16
//! level 2, kind 1  PutBatch     now u64, timestamp_max u64, packets
//!          kind 4  SetCapacity  count_max u64, size_max u64
//! level 3, kind 5  Found        level u16, count_max u64, size_max u64, id 32 bytes,
//!                               has_founding u8, founding 32 bytes
//!          kind 6  Invite       now u64, id 16 bytes, key 32 bytes, expires u64, stays_learner u8
//!          kind 7  Join         now u64, invite 16 bytes, node 32 bytes, name, address
//!          kind 8  Register     node 32 bytes, name, address, stays_learner u8, has_data u8
//!          kind 9  Deregister   node 32 bytes
//! level 4, kind 10 ChangeZone   zone, clear u8, count u32 of owner, type u16; count u32 of owner,
//!                               type u16, ttl u32, count u32 of size u32, data
//!          kind 11 RotateCookies  now u64, secret 16 bytes
//! level 5, kind 1  PutBatch     now u64, timestamp_max u64, conditions, packets
//!          kind 12 ChangePublishing  kind u8, by which a mode u8; count u32 of keys, 32 bytes each;
//!                               or name, hash 32 bytes
//!          kind 13 DeletePacket  now u64, key 32 bytes, has_block u8, blocked_until u64
//!
//! packets        to the end: key 32 bytes, size u16, payload
//! conditions     count u16 of place u16, count u8 of kind u8 and, by that, nothing; count u8 of
//!                timestamp u64, has_signature u8, its first 8 bytes; seconds u64; or hash 32 bytes
//! name, address  size u16, UTF-8
//! zone, owner    a domain name in wire form
//! ```
//! All integers are big-endian. The header stays as it is: from it a node reads the level of any
//! command, be its kind unknown. Whatever is added, a kind or another form of one, gets a new level,
//! so that within a level every node reads the same command or none. What is none is rejected.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket};

use crate::{
    BatchConditions, Capacity, ClusterId, ClusterNames, Command, CommandError, CookieSecret,
    EncodedPackets, Found, Invite, InviteId, Join, Level, PublishChange, PutBatch, UnixMillis,
    ZoneChange,
    cluster_state::{
        decode_array, decode_registration, decode_text, encode_registration, encode_text,
    },
    command_error::VERSION,
    publish_state::{decode_moment, encode_moment},
};

/// The most that precedes the packets of a batch, in bytes. What other commands take begins there.
const HEADER_SIZE_MAX: usize = 20;

const KIND_PUT_BATCH: u8 = 1;
const KIND_EXPIRE: u8 = 2;
const KIND_RAISE_LEVEL: u8 = 3;
const KIND_SET_CAPACITY: u8 = 4;
const KIND_FOUND: u8 = 5;
const KIND_INVITE: u8 = 6;
const KIND_JOIN: u8 = 7;
const KIND_REGISTER: u8 = 8;
const KIND_DEREGISTER: u8 = 9;
const KIND_CHANGE_ZONE: u8 = 10;
const KIND_ROTATE_COOKIES: u8 = 11;
const KIND_CHANGE_PUBLISHING: u8 = 12;
const KIND_DELETE_PACKET: u8 = 13;

impl PutBatch {
    /// The bytes of the log entry of packets that are encoded already.
    pub fn encode(
        now: UnixMillis,
        timestamp_max: Option<UnixMillis>,
        packets: &EncodedPackets,
    ) -> Bytes {
        let command = Command::PutBatch(Self {
            now,
            timestamp_max,
            conditions: packets.conditions().clone(),
            packets: Vec::new(),
        });
        let size = HEADER_SIZE_MAX + packets.conditions().size() + packets.as_bytes().len();
        let mut out = BytesMut::with_capacity(size);
        command.encode_into(&mut out);
        out.put_slice(packets.as_bytes());
        out.freeze()
    }

    fn encode_into(&self, out: &mut BytesMut) {
        out.put_u64(self.now.0);
        if !self.conditions.is_empty() {
            // At this level there is always one.
            out.put_u64(self.latest_timestamp().0);
            self.conditions.encode(out);
        } else if let Some(timestamp_max) = self.timestamp_max {
            out.put_u64(timestamp_max.0);
        }
        for packet in &self.packets {
            let payload = packet.payload();
            out.put_slice(packet.key().as_bytes());
            out.put_u16(u16::try_from(payload.len()).expect("a payload fits, see above"));
            out.put_slice(payload);
        }
    }
}

impl Command {
    /// The bytes of the log entry.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_SIZE_MAX);
        self.encode_into(&mut out);
        out.freeze()
    }

    fn encode_into(&self, out: &mut BytesMut) {
        out.put_u8(VERSION);
        out.put_u16(self.level().0);
        match self {
            Self::PutBatch(batch) => {
                out.put_u8(KIND_PUT_BATCH);
                batch.encode_into(out);
            }
            Self::Expire { cutoff, count_max } => {
                out.put_u8(KIND_EXPIRE);
                out.put_u64(cutoff.0);
                out.put_u32(*count_max);
            }
            Self::RaiseLevel(level) => {
                out.put_u8(KIND_RAISE_LEVEL);
                out.put_u16(level.0);
            }
            Self::SetCapacity(capacity) => {
                out.put_u8(KIND_SET_CAPACITY);
                encode_capacity(out, capacity);
            }
            Self::Found(found) => {
                out.put_u8(KIND_FOUND);
                found.encode_into(out);
            }
            Self::Invite { id, invite, now } => {
                out.put_u8(KIND_INVITE);
                out.put_u64(now.0);
                out.put_slice(&id.0);
                out.put_slice(invite.key.as_bytes());
                out.put_u64(invite.expires.0);
                out.put_u8(invite.stays_learner.into());
            }
            Self::Join(join) => {
                out.put_u8(KIND_JOIN);
                out.put_u64(join.now.0);
                out.put_slice(&join.invite.0);
                out.put_slice(join.node.as_bytes());
                encode_text(out, &join.name);
                encode_text(out, &join.address);
            }
            Self::Register { node, registration } => {
                out.put_u8(KIND_REGISTER);
                out.put_slice(node.as_bytes());
                encode_registration(out, registration);
            }
            Self::Deregister(node) => {
                out.put_u8(KIND_DEREGISTER);
                out.put_slice(node.as_bytes());
            }
            Self::ChangeZone(change) => {
                out.put_u8(KIND_CHANGE_ZONE);
                change.encode_into(out);
            }
            Self::RotateCookies { secret, now } => {
                out.put_u8(KIND_ROTATE_COOKIES);
                out.put_u64(now.0);
                out.put_slice(&secret.0);
            }
            Self::ChangePublishing(change) => {
                out.put_u8(KIND_CHANGE_PUBLISHING);
                change.encode_into(out);
            }
            Self::DeletePacket {
                key,
                blocked_until,
                now,
            } => {
                out.put_u8(KIND_DELETE_PACKET);
                out.put_u64(now.0);
                out.put_slice(key.as_bytes());
                encode_moment(out, *blocked_until);
            }
        }
    }

    /// The level of an encoded command, which this program need not support.
    pub fn encoded_level(mut bytes: &[u8]) -> Result<Level, CommandError> {
        decode_level(&mut bytes)
    }

    /// Reads a log entry. The packets share its memory.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CommandError> {
        let level = decode_level(&mut bytes)?;
        let command = match (level, bytes.try_get_u8()?) {
            (Level::FIRST, KIND_PUT_BATCH) => Self::PutBatch(PutBatch {
                now: UnixMillis(bytes.try_get_u64()?),
                timestamp_max: None,
                conditions: BatchConditions::default(),
                packets: decode_packets(&mut bytes)?,
            }),
            (Level::FIRST, KIND_EXPIRE) => Self::Expire {
                cutoff: UnixMillis(bytes.try_get_u64()?),
                count_max: bytes.try_get_u32()?,
            },
            (Level::FIRST, KIND_RAISE_LEVEL) => Self::RaiseLevel(Level(bytes.try_get_u16()?)),
            (Level::CAPACITY, KIND_PUT_BATCH) => Self::PutBatch(PutBatch {
                now: UnixMillis(bytes.try_get_u64()?),
                timestamp_max: Some(UnixMillis(bytes.try_get_u64()?)),
                conditions: BatchConditions::default(),
                packets: decode_packets(&mut bytes)?,
            }),
            (Level::CAPACITY, KIND_SET_CAPACITY) => Self::SetCapacity(decode_capacity(&mut bytes)?),
            (Level::MEMBERS, KIND_FOUND) => Self::Found(Found::decode(&mut bytes)?),
            (Level::MEMBERS, KIND_INVITE) => Self::Invite {
                now: UnixMillis(bytes.try_get_u64()?),
                id: InviteId(decode_fixed(&mut bytes)?),
                invite: Invite {
                    key: decode_key(&mut bytes)?,
                    expires: UnixMillis(bytes.try_get_u64()?),
                    stays_learner: bytes.try_get_u8()? != 0,
                    used_by: None,
                },
            },
            (Level::MEMBERS, KIND_JOIN) => Self::Join(Join {
                now: UnixMillis(bytes.try_get_u64()?),
                invite: InviteId(decode_fixed(&mut bytes)?),
                node: decode_key(&mut bytes)?,
                name: decode_text(&mut bytes).ok_or(CommandError::Truncated)?,
                address: decode_text(&mut bytes).ok_or(CommandError::Truncated)?,
            }),
            (Level::MEMBERS, KIND_REGISTER) => Self::Register {
                node: decode_key(&mut bytes)?,
                registration: decode_registration(&mut bytes).ok_or(CommandError::Truncated)?,
            },
            (Level::MEMBERS, KIND_DEREGISTER) => Self::Deregister(decode_key(&mut bytes)?),
            (Level::ZONES, KIND_CHANGE_ZONE) => Self::ChangeZone(ZoneChange::read(&mut bytes)?),
            (Level::ZONES, KIND_ROTATE_COOKIES) => Self::RotateCookies {
                now: UnixMillis(bytes.try_get_u64()?),
                secret: CookieSecret(decode_fixed(&mut bytes)?),
            },
            (Level::PUBLISHING, KIND_PUT_BATCH) => {
                let batch = PutBatch {
                    now: UnixMillis(bytes.try_get_u64()?),
                    timestamp_max: Some(UnixMillis(bytes.try_get_u64()?)),
                    conditions: BatchConditions::decode(&mut bytes)?,
                    packets: decode_packets(&mut bytes)?,
                };
                batch.conditions.check(batch.packets.len())?;
                Self::PutBatch(batch)
            }
            (Level::PUBLISHING, KIND_CHANGE_PUBLISHING) => {
                Self::ChangePublishing(PublishChange::read(&mut bytes)?)
            }
            (Level::PUBLISHING, KIND_DELETE_PACKET) => Self::DeletePacket {
                now: UnixMillis(bytes.try_get_u64()?),
                key: decode_key(&mut bytes)?,
                blocked_until: decode_moment(&mut bytes).ok_or(CommandError::Truncated)?,
            },
            (level, kind) => return Err(CommandError::Kind { level, kind }),
        };
        if bytes.has_remaining() {
            return Err(CommandError::Trailing(bytes.len()));
        }
        Ok(command)
    }
}

impl Found {
    fn encode_into(&self, out: &mut BytesMut) {
        out.put_u16(self.level.0);
        encode_capacity(out, &self.capacity);
        let id = |id: Option<ClusterId>| id.map_or([0; 32], |id| id.0);
        out.put_slice(&id(self.names.id));
        out.put_u8(self.names.founding.is_some().into());
        out.put_slice(&id(self.names.founding));
    }

    fn decode(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let level = Level(bytes.try_get_u16()?);
        let capacity = decode_capacity(bytes)?;
        let id = ClusterId(decode_fixed(bytes)?);
        let has_founding = bytes.try_get_u8()? != 0;
        let founding = ClusterId(decode_fixed(bytes)?);
        let names = ClusterNames {
            id: Some(id),
            founding: has_founding.then_some(founding),
        };
        Ok(Self {
            names,
            level,
            capacity,
        })
    }
}

fn encode_capacity(out: &mut BytesMut, capacity: &Capacity) {
    out.put_u64(capacity.count_max);
    out.put_u64(capacity.size_max);
}

fn decode_capacity(bytes: &mut Bytes) -> Result<Capacity, CommandError> {
    Ok(Capacity {
        count_max: bytes.try_get_u64()?,
        size_max: bytes.try_get_u64()?,
    })
}

fn decode_key(bytes: &mut Bytes) -> Result<PublicKey, CommandError> {
    decode_fixed(bytes).map(PublicKey::from_bytes)
}

fn decode_fixed<const SIZE: usize>(bytes: &mut Bytes) -> Result<[u8; SIZE], CommandError> {
    decode_array(bytes).ok_or(CommandError::Truncated)
}

fn decode_level(bytes: &mut impl Buf) -> Result<Level, CommandError> {
    match bytes.try_get_u8()? {
        VERSION => Ok(Level(bytes.try_get_u16()?)),
        version => Err(CommandError::Version(version)),
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
