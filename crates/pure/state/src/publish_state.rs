//! Who may publish, and which packets were deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use bytes::{Buf, BufMut, Bytes};
use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    NAME_SIZE_MAX, PutOutcome, UnixMillis,
    cluster_state::{decode_array, decode_text, encode_text},
    zone_state::Secrecy,
};

/// The most keys that are allowed, and that are denied, together.
///
/// What is agreed on stands whole in memory, in each checkpoint and in the first piece of each
/// snapshot, and is copied when it changes: see [`PUBLISHING_SIZE_MAX`].
pub const LISTED_KEY_COUNT_MAX: usize = 20_000;

/// The most tokens for publishing: one for each tenant, not for each publisher.
pub const PUBLISH_TOKEN_COUNT_MAX: usize = 1_000;

/// The most packets that were deleted and may not come back. Each was deleted by an operator's hand.
pub const DELETION_COUNT_MAX: usize = 10_000;

/// The size of a token's hash, in bytes.
pub const TOKEN_HASH_SIZE: usize = 32;

const TOKEN_SIZE_MAX: usize = 2 + NAME_SIZE_MAX + TOKEN_HASH_SIZE;
const DELETION_SIZE: usize = PUBLIC_KEY_SIZE + 8 + 1 + 8;

/// The most bytes that all of it takes, encoded.
pub const PUBLISHING_SIZE_MAX: usize = 32
    + LISTED_KEY_COUNT_MAX * PUBLIC_KEY_SIZE
    + PUBLISH_TOKEN_COUNT_MAX * TOKEN_SIZE_MAX
    + DELETION_COUNT_MAX * DELETION_SIZE;

// It is in one frame between nodes, beside the zones: four times as large at the most.
const _: () = assert!(PUBLISHING_SIZE_MAX <= 2 * 1024 * 1024);

/// Who may publish, and which packets were deleted.
///
/// Enforced where a packet is applied, so that no PUT slips past a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishState {
    /// Who may publish, of those who are not denied.
    pub mode: PublishMode,
    /// Keys that may publish in whatever mode, unless they are denied.
    pub allowed: BTreeSet<PublicKey>,
    /// Keys that may not, in whatever mode.
    pub denied: BTreeSet<PublicKey>,
    pub tokens: BTreeMap<String, TokenHash>,
    /// What was deleted, by key.
    pub deleted: BTreeMap<PublicKey, Deletion>,
}

/// Who may publish, of those who are not denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishMode {
    #[default]
    Open,
    AllowList,
    /// Keys that are allowed, and whoever has a token.
    Tokens,
}

impl fmt::Display for PublishMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::AllowList => "allow_list",
            Self::Tokens => "tokens",
        })
    }
}

/// The SHA-256 of a token, which has 256 bits of randomness itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; TOKEN_HASH_SIZE]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A packet that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Packets that are not later may not come back.
    pub timestamp: Timestamp,
    /// Until when the key may not publish at all.
    pub blocked_until: Option<UnixMillis>,
}

impl PublishState {
    /// Whether a token is good.
    pub fn has_token(&self, hash: &TokenHash) -> bool {
        self.tokens.values().any(|known| known == hash)
    }

    /// Whether a key may not publish, whatever token comes with its packet.
    pub fn forbids(&self, key: &PublicKey) -> bool {
        let is_listed = self.mode != PublishMode::AllowList || self.allowed.contains(key);
        !is_listed || self.denied.contains(key)
    }

    /// Whether a packet of this key must come with a token.
    pub fn needs_token(&self, key: &PublicKey) -> bool {
        self.mode == PublishMode::Tokens && !self.allowed.contains(key)
    }

    /// Until when a key may not publish, if it was blocked: be that in the past or not.
    pub fn blocked_until(&self, key: &PublicKey) -> Option<UnixMillis> {
        self.deleted.get(key)?.blocked_until
    }

    /// Why a key may not publish now, if it may not.
    pub(crate) fn refusal(
        &self,
        key: &PublicKey,
        token: Option<&TokenHash>,
        now: UnixMillis,
    ) -> Option<PutOutcome> {
        let lacks_token = || !token.is_some_and(|token| self.has_token(token));
        if self.forbids(key) || (self.needs_token(key) && lacks_token()) {
            return Some(PutOutcome::Forbidden);
        }
        let is_blocked = self.blocked_until(key).is_some_and(|until| now < until);
        is_blocked.then_some(PutOutcome::Blocked)
    }

    /// Whether a packet was deleted, or is one that the deleted one had replaced.
    pub fn has_deleted(&self, packet: &SignedPacket) -> bool {
        let deletion = self.deleted.get(packet.key());
        deletion.is_some_and(|deletion| packet.timestamp() <= deletion.timestamp)
    }

    /// How much room it takes beside its frame, in bytes.
    pub fn size(&self) -> usize {
        self.listed_count() * PUBLIC_KEY_SIZE
            + self.tokens.len() * TOKEN_SIZE_MAX
            + self.deleted.len() * DELETION_SIZE
    }

    pub(crate) fn listed_count(&self) -> usize {
        self.allowed.len() + self.denied.len()
    }

    /// Mode (u8); keys that are allowed, and those that are denied; number (u32) of tokens, each its
    /// name and hash; number (u32) of deletions, each its key, timestamp (u64), whether there is a
    /// block (u8) and its end (u64).
    pub(crate) fn encode(&self, out: &mut Vec<u8>, secrecy: Secrecy) {
        out.put_u8(self.mode.number());
        encode_keys(out, self.allowed.iter());
        encode_keys(out, self.denied.iter());
        out.put_u32(count(self.tokens.len()));
        for (name, hash) in &self.tokens {
            encode_text(out, name);
            match secrecy {
                Secrecy::Whole => out.put_slice(&hash.0),
                Secrecy::Public => {}
            }
        }
        out.put_u32(count(self.deleted.len()));
        for (key, deletion) in &self.deleted {
            out.put_slice(key.as_bytes());
            out.put_u64(deletion.timestamp.as_micros());
            encode_moment(out, deletion.blocked_until);
        }
    }

    /// Reads what `encode` wrote whole.
    pub(crate) fn decode(bytes: &mut Bytes) -> Option<Self> {
        let mut state = Self {
            mode: PublishMode::from_number(bytes.try_get_u8().ok()?)?,
            allowed: decode_keys(bytes)?.into_iter().collect(),
            denied: decode_keys(bytes)?.into_iter().collect(),
            ..Self::default()
        };
        for _ in 0..bytes.try_get_u32().ok()? {
            let name = decode_text(bytes)?;
            state.tokens.insert(name, TokenHash(decode_array(bytes)?));
        }
        for _ in 0..bytes.try_get_u32().ok()? {
            let key = PublicKey::from_bytes(decode_array(bytes)?);
            let deletion = Deletion {
                timestamp: Timestamp::from_micros(bytes.try_get_u64().ok()?),
                blocked_until: decode_moment(bytes)?,
            };
            state.deleted.insert(key, deletion);
        }
        Some(state)
    }
}

impl PublishMode {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::AllowList => 1,
            Self::Tokens => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Open, Self::AllowList, Self::Tokens]
            .into_iter()
            .find(|mode| mode.number() == number)
    }
}

/// Number (u32), then 32 bytes each.
pub(crate) fn encode_keys<'a>(
    out: &mut impl BufMut,
    keys: impl ExactSizeIterator<Item = &'a PublicKey>,
) {
    out.put_u32(count(keys.len()));
    for key in keys {
        out.put_slice(key.as_bytes());
    }
}

pub(crate) fn decode_keys(bytes: &mut Bytes) -> Option<Vec<PublicKey>> {
    let count = bytes.try_get_u32().ok()?;
    let key = |_| decode_array(bytes).map(PublicKey::from_bytes);
    (0..count).map(key).collect()
}

/// Whether it is there (u8), and it (u64).
pub(crate) fn encode_moment(out: &mut impl BufMut, moment: Option<UnixMillis>) {
    out.put_u8(moment.is_some().into());
    out.put_u64(moment.map_or(0, |moment| moment.0));
}

pub(crate) fn decode_moment(bytes: &mut Bytes) -> Option<Option<UnixMillis>> {
    let is_there = bytes.try_get_u8().ok()? != 0;
    let moment = UnixMillis(bytes.try_get_u64().ok()?);
    Some(is_there.then_some(moment))
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("who may publish has bounds")
}
