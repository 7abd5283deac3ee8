//! The conditions of storing a packet (RFC 9110, section 13).

use bytes::{Bytes, BytesMut};
use quorate_packet::{SignedPacket, Timestamp};

use crate::{
    CommandError, TOKEN_HASH_SIZE, TokenHash,
    codec::{Codec, fields, kinds, put_all},
};

/// How many bytes of the signature distinguish two packets of one key and timestamp. A signer who uses one
/// nonce for both has revealed the key.
pub const TAG_SIGNATURE_SIZE: usize = 8;

/// The most versions in the conditions of a packet; a condition without versions counts as one. Clients
/// name the version that they have read.
pub const VERSION_COUNT_MAX: usize = 16;

const VERSION_SIZE: usize = 8 + 1 + TAG_SIGNATURE_SIZE;

/// The conditions of storing a packet, all of which must hold.
///
/// They are in the log, so that all nodes check them against the same state. A packet whose bytes are
/// already stored meets any condition: a repeated PUT must not fail its own condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(Box<[Condition]>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A packet is stored: `If-Match: *`.
    Stored,
    /// No packet is stored: `If-None-Match: *`.
    NotStored,
    /// One of these is stored, or nothing: `If-Match`. If nothing is stored, nothing unknown to the client
    /// is replaced.
    AnyOf(Vec<Version>),
    /// None of these is stored: `If-None-Match`.
    NoneOf(Vec<Version>),
    /// Nothing later than this is stored, in whole seconds since the epoch: `If-Unmodified-Since`.
    UnmodifiedSince(u64),
    /// The publisher has a token with this hash. This does not depend on the stored packet; in the mode
    /// tokens, the cluster must know the token.
    Token(TokenHash),
}

/// A version of the packet of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub timestamp: Timestamp,
    /// The first bytes of its signature. `None` for any packet with that timestamp, as pkarr up to 6 sends.
    pub signature: Option<[u8; TAG_SIGNATURE_SIZE]>,
}

/// The conditions name too many versions.
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

    /// Adds that the publisher has a token with this hash.
    pub fn with_token(self, token: TokenHash) -> Result<Self, TooManyVersions> {
        let mut conditions = self.0.into_vec();
        conditions.push(Condition::Token(token));
        Self::new(conditions)
    }

    /// The hash of the publisher's token.
    pub fn token(&self) -> Option<&TokenHash> {
        self.iter().find_map(|condition| match condition {
            Condition::Token(token) => Some(token),
            _ => None,
        })
    }

    /// Whether they hold for any stored packet.
    pub fn always_hold(&self) -> bool {
        self.iter().all(|it| matches!(it, Condition::Token(_)))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// Whether all hold for the stored packet `stored`.
    pub fn hold(&self, stored: Option<&SignedPacket>) -> bool {
        self.0.iter().all(|condition| condition.holds(stored))
    }

    /// The maximum size of the encoding, in bytes.
    pub(crate) fn size(&self) -> usize {
        4 + self.0.iter().map(Condition::size).sum::<usize>()
    }
}

impl Codec for Conditions {
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
            // The client can only send whole seconds, so the fraction is ignored.
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
