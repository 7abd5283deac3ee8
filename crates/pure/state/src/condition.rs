//! On what condition a packet is stored (RFC 9110, section 13).

use bytes::{Buf, BufMut, Bytes};
use quorate_packet::{SignedPacket, Timestamp};

use crate::{TOKEN_HASH_SIZE, TokenHash, coding::Coding};

/// How many bytes of the signature tell two packets of one key and timestamp apart: who signed both
/// with one nonce has given the key away.
pub const TAG_SIGNATURE_SIZE: usize = 8;

/// The most versions that the conditions of a packet name, where one that names none counts as one.
/// Clients name the one that they have read.
pub const VERSION_COUNT_MAX: usize = 16;

const VERSION_SIZE: usize = 8 + 1 + TAG_SIGNATURE_SIZE;

const STORED: u8 = 1;
const NOT_STORED: u8 = 2;
const ANY_OF: u8 = 3;
const NONE_OF: u8 = 4;
const UNMODIFIED_SINCE: u8 = 5;
const TOKEN: u8 = 6;

const _: () = assert!(VERSION_COUNT_MAX <= u8::MAX as usize);

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

    /// The size of their encoding, in bytes.
    pub(crate) fn size(&self) -> usize {
        1 + self.0.iter().map(Condition::size).sum::<usize>()
    }

    /// Number (u8), and each: kind (u8), then by kind nothing; the number (u8) of versions and they;
    /// seconds (u64); or a hash (32 bytes).
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(count(self.0.len()));
        for condition in &self.0 {
            condition.encode(out);
        }
    }

    /// Reads what `encode` wrote.
    pub(crate) fn decode(bytes: &mut Bytes) -> Option<Self> {
        let count = bytes.try_get_u8().ok()?;
        let conditions = (0..count).map(|_| Condition::decode(bytes));
        Self::new(conditions.collect::<Option<_>>()?).ok()
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
            Self::AnyOf(versions) | Self::NoneOf(versions) => 2 + versions.len() * VERSION_SIZE,
            Self::UnmodifiedSince(_) => 1 + 8,
            Self::Token(_) => 1 + TOKEN_HASH_SIZE,
        }
    }

    fn encode(&self, out: &mut impl BufMut) {
        let mut put_versions = |kind, versions: &[Version]| {
            out.put_slice(&[kind, count(versions.len())]);
            versions.iter().for_each(|version| version.encode(out));
        };
        match self {
            Self::AnyOf(versions) => put_versions(ANY_OF, versions),
            Self::NoneOf(versions) => put_versions(NONE_OF, versions),
            Self::Stored => out.put_u8(STORED),
            Self::NotStored => out.put_u8(NOT_STORED),
            Self::UnmodifiedSince(secs) => {
                out.put_u8(UNMODIFIED_SINCE);
                out.put_u64(*secs);
            }
            Self::Token(token) => {
                out.put_u8(TOKEN);
                out.put_slice(&token.0);
            }
        }
    }

    fn decode(bytes: &mut Bytes) -> Option<Self> {
        let versions = |bytes: &mut Bytes| {
            let count = bytes.try_get_u8().ok()?;
            (0..count)
                .map(|_| Version::decode(bytes))
                .collect::<Option<Vec<_>>>()
        };
        match bytes.try_get_u8().ok()? {
            STORED => Some(Self::Stored),
            NOT_STORED => Some(Self::NotStored),
            ANY_OF => versions(bytes).map(Self::AnyOf),
            NONE_OF => versions(bytes).map(Self::NoneOf),
            UNMODIFIED_SINCE => bytes.try_get_u64().ok().map(Self::UnmodifiedSince),
            TOKEN => TokenHash::take(bytes).ok().map(Self::Token),
            _ => None,
        }
    }
}

fn count(count: usize) -> u8 {
    u8::try_from(count).expect("conditions have a bound")
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

    /// Timestamp (u64), whether there is a signature (u8), and its beginning.
    fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.timestamp.as_micros());
        out.put_u8(self.signature.is_some().into());
        out.put_slice(&self.signature.unwrap_or_default());
    }

    fn decode(bytes: &mut Bytes) -> Option<Self> {
        let timestamp = Timestamp::from_micros(bytes.try_get_u64().ok()?);
        let has_signature = bytes.try_get_u8().ok()? != 0;
        let signature = Coding::take(bytes).ok()?;
        Some(Self {
            timestamp,
            signature: has_signature.then_some(signature),
        })
    }
}
