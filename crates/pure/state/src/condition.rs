//! On what condition a packet is stored (RFC 9110, section 13).

use bytes::{Bytes, BytesMut};
use quorate_packet::{SignedPacket, Timestamp};

use crate::{
    CommandError, TOKEN_HASH_SIZE, TokenHash,
    coding::{Coding, fields, kinds, put_all},
};

/// How many bytes of the signature tell two packets of one key and timestamp apart: who signed both
/// with one nonce has given the key away.
pub const TAG_SIGNATURE_SIZE: usize = 8;

/// The most versions that the conditions of a packet name, where one that names none counts as one.
/// Clients name the one that they have read.
pub const VERSION_COUNT_MAX: usize = 16;

const VERSION_SIZE: usize = 8 + 1 + TAG_SIGNATURE_SIZE;

/// On what condition a packet is stored: all that are given must hold. Without any, it is stored.
///
/// They are told by the log, so that all nodes judge alike by what stands before them there. A packet
/// whose very bytes are stored meets any: a PUT that is repeated must not fail its own condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(Box<[Condition]>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A packet is stored: `If-Match: *`.
    Stored,
    /// No packet is stored: `If-None-Match: *`.
    NotStored,
    /// One of these is stored, or none at all: `If-Match`. Where nothing is stored, nothing is
    /// replaced that the client does not know.
    AnyOf(Vec<Version>),
    /// None of these is stored: `If-None-Match`.
    NoneOf(Vec<Version>),
    /// What is stored, if anything, is not later than this, in whole seconds since the epoch:
    /// `If-Unmodified-Since`.
    UnmodifiedSince(u64),
    /// Who publishes it has a token of this hash. It asks nothing of what is stored; but where only
    /// whoever has a token may publish, the cluster must know it.
    Token(TokenHash),
}

/// Which packet of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub timestamp: Timestamp,
    /// How its signature begins. `None` for any packet of that timestamp, as pkarr up to 6 asks.
    pub signature: Option<[u8; TAG_SIGNATURE_SIZE]>,
}

/// More versions are named than are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {VERSION_COUNT_MAX} versions are named: name the one that was read")]
pub struct TooManyVersions;

impl Conditions {
    pub fn new(conditions: Vec<Condition>) -> Result<Self, TooManyVersions> {
        let counts = conditions.iter().map(|it| it.versions().len().max(1));
        match counts.sum::<usize>() <= VERSION_COUNT_MAX {
            true => Ok(Self(conditions.into())),
            false => Err(TooManyVersions),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, and whoever publishes it has a token of this hash.
    pub fn with_token(self, token: TokenHash) -> Result<Self, TooManyVersions> {
        let mut conditions = self.0.into_vec();
        conditions.push(Condition::Token(token));
        Self::new(conditions)
    }

    /// The hash of the token that whoever publishes it has.
    pub fn token(&self) -> Option<&TokenHash> {
        self.iter().find_map(|condition| match condition {
            Condition::Token(token) => Some(token),
            _ => None,
        })
    }

    /// Whether they hold whatever is stored.
    pub fn always_hold(&self) -> bool {
        self.iter().all(|it| matches!(it, Condition::Token(_)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// Whether all hold while `stored` is.
    pub fn hold(&self, stored: Option<&SignedPacket>) -> bool {
        self.0.iter().all(|condition| condition.holds(stored))
    }

    /// The most that their encoding takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        4 + self.0.iter().map(Condition::size).sum::<usize>()
    }
}

impl Coding for Conditions {
    fn put(&self, out: &mut BytesMut) {
        put_all(self.0.iter(), out);
    }

    fn take(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let conditions = Vec::take(bytes)?;
        Self::new(conditions).map_err(|_| CommandError::Condition)
    }
}

kinds! {
    Condition, |_| CommandError::Condition,
    1u8 => Stored,
    2u8 => NotStored,
    3u8 => AnyOf(versions),
    4u8 => NoneOf(versions),
    5u8 => UnmodifiedSince(secs),
    6u8 => Token(hash),
}

fields! {
    Version { timestamp, signature }
}

impl Condition {
    fn holds(&self, stored: Option<&SignedPacket>) -> bool {
        let is_stored = |version: &Version| stored.is_some_and(|packet| version.is_of(packet));
        match self {
            Self::Stored => stored.is_some(),
            Self::NotStored => stored.is_none(),
            Self::AnyOf(versions) => stored.is_none() || versions.iter().any(is_stored),
            Self::NoneOf(versions) => !versions.iter().any(is_stored),
            // A date is all that the client could tell, so the fraction of a second does not count.
            Self::UnmodifiedSince(secs) => {
                stored.is_none_or(|packet| packet.timestamp().as_micros() / 1_000_000 <= *secs)
            }
            Self::Token(_) => true,
        }
    }

    fn versions(&self) -> &[Version] {
        match self {
            Self::AnyOf(versions) | Self::NoneOf(versions) => versions,
            Self::Stored | Self::NotStored | Self::UnmodifiedSince(_) | Self::Token(_) => &[],
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Stored | Self::NotStored => 1,
            Self::AnyOf(versions) | Self::NoneOf(versions) => 5 + versions.len() * VERSION_SIZE,
            Self::UnmodifiedSince(_) => 1 + 8,
            Self::Token(_) => 1 + TOKEN_HASH_SIZE,
        }
    }
}

impl Version {
    pub fn of(packet: &SignedPacket) -> Self {
        Self {
            timestamp: packet.timestamp(),
            signature: packet.payload().first_chunk().copied(),
        }
    }

    fn is_of(&self, packet: &SignedPacket) -> bool {
        let has_signature =
            |signature: [u8; TAG_SIGNATURE_SIZE]| packet.payload().starts_with(&signature);
        self.timestamp == packet.timestamp() && self.signature.is_none_or(has_signature)
    }
}
