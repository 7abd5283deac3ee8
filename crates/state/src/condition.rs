//! On what condition a packet is stored (RFC 9110, section 13).

use quorate_packet::{SignedPacket, Timestamp};

/// How many bytes of the signature tell two packets of one key and timestamp apart: who signed both
/// with one nonce has given the key away.
pub const TAG_SIGNATURE_SIZE: usize = 8;

/// The most versions that the conditions of a packet name. Clients name the one that they have read.
pub const VERSION_COUNT_MAX: usize = 16;

/// On what condition a packet is stored: all that are given must hold. Without any, it is stored.
///
/// They are told by the log, so that all nodes judge alike by what stands before them there. A packet
/// whose very bytes are stored meets any: a PUT that is repeated must not fail its own condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions(Vec<Condition>);

/// One condition.
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
}

/// Which packet of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// How its signature begins. `None` for any packet of that timestamp, as pkarr up to 6 asks.
    pub signature: Option<[u8; TAG_SIGNATURE_SIZE]>,
}

/// More versions are named than are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {VERSION_COUNT_MAX} versions are named: name the one that was read")]
pub struct TooManyVersions;

impl Conditions {
    /// All of these.
    pub fn new(conditions: Vec<Condition>) -> Result<Self, TooManyVersions> {
        let count: usize = conditions.iter().map(|it| it.versions().len()).sum();
        match count <= VERSION_COUNT_MAX {
            true => Ok(Self(conditions)),
            false => Err(TooManyVersions),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// They.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.0.iter()
    }

    /// Whether all hold while `stored` is.
    pub fn hold(&self, stored: Option<&SignedPacket>) -> bool {
        self.0.iter().all(|condition| condition.holds(stored))
    }
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
        }
    }

    fn versions(&self) -> &[Version] {
        match self {
            Self::AnyOf(versions) | Self::NoneOf(versions) => versions,
            Self::Stored | Self::NotStored | Self::UnmodifiedSince(_) => &[],
        }
    }
}

impl Version {
    /// That of a packet.
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
