//! The publish policy and deletions.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey, SignedPacket, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    CommandError, NAME_SIZE_MAX, PutOutcome, UnixMillis,
    codec::{fields, kinds, wrappers},
};

/// The most allowed and denied keys together.
///
/// Replicated state is completely in memory, in each checkpoint and in the first piece of each snapshot, and
/// is copied when it changes: see [`PUBLISHING_SIZE_MAX`].
pub const LISTED_KEY_COUNT_MAX: usize = 20_000;

/// The most publish tokens: one for each tenant, not for each publisher.
pub const PUBLISH_TOKEN_COUNT_MAX: usize = 1_000;

/// The most recorded deletions. Each was made by an operator.
pub const DELETION_COUNT_MAX: usize = 10_000;

/// The size of a token's hash, in bytes.
pub const TOKEN_HASH_SIZE: usize = 32;

const TOKEN_SIZE_MAX: usize = 2 + NAME_SIZE_MAX + TOKEN_HASH_SIZE;
const DELETION_SIZE: usize = PUBLIC_KEY_SIZE + 8 + 1 + 8;

/// The maximum size of the encoding, in bytes.
pub const PUBLISHING_SIZE_MAX: usize = 32
    + LISTED_KEY_COUNT_MAX * PUBLIC_KEY_SIZE
    + PUBLISH_TOKEN_COUNT_MAX * TOKEN_SIZE_MAX
    + DELETION_COUNT_MAX * DELETION_SIZE;

// It is in one frame between nodes, together with the zones: a frame is four times as large.
const _: () = assert!(PUBLISHING_SIZE_MAX <= 2 * 1024 * 1024);

/// The publish policy and the deletions.
///
/// Enforced in `apply`, so that no PUT bypasses a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishState {
    /// Who may publish, among keys that are not denied.
    pub mode: PublishMode,
    /// Keys that may publish in any mode, unless they are denied.
    pub allowed: BTreeSet<PublicKey>,
    /// Keys that may not publish in any mode.
    pub denied: BTreeSet<PublicKey>,
    pub tokens: BTreeMap<String, TokenHash>,
    /// Deletions by key.
    pub deleted: BTreeMap<PublicKey, Deletion>,
}

/// Who may publish, among keys that are not denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PublishMode {
    #[default]
    Open,
    AllowList,
    /// Keys that are allowed, and clients with a token.
    Tokens,
}

/// The SHA-256 of a token of 256 random bits.
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
    /// Packets that are not later are rejected.
    pub timestamp: Timestamp,
    /// Until when the key is blocked.
    pub blocked_until: Option<UnixMillis>,
}

impl PublishState {
    /// Whether a token is valid.
    pub fn has_token(&self, hash: &TokenHash) -> bool {
        self.tokens.values().any(|known| known == hash)
    }

    /// Whether a key may not publish, with any token.
    pub fn forbids(&self, key: &PublicKey) -> bool {
        let is_listed = self.mode != PublishMode::AllowList || self.allowed.contains(key);
        !is_listed || self.denied.contains(key)
    }

    /// Whether a packet of this key must come with a token.
    pub fn needs_token(&self, key: &PublicKey) -> bool {
        self.mode == PublishMode::Tokens && !self.allowed.contains(key)
    }

    /// Until when a key is blocked, if it was; the time may be in the past.
    pub fn blocked_until(&self, key: &PublicKey) -> Option<UnixMillis> {
        self.deleted.get(key)?.blocked_until
    }

    /// Why a key may not publish, if so. `now` is called last; if it returns no time, blocks are not
    /// checked.
    pub fn rejection(
        &self,
        key: &PublicKey,
        token: Option<&TokenHash>,
        now: impl FnOnce() -> Option<UnixMillis>,
    ) -> Option<PutOutcome> {
        let lacks_token = || !token.is_some_and(|token| self.has_token(token));
        if self.needs_token(key) && lacks_token() {
            return Some(PutOutcome::Forbidden);
        }
        self.rejection_with_token(key, now)
    }

    /// The same for a key whose publisher has a token.
    pub(crate) fn rejection_with_token(
        &self,
        key: &PublicKey,
        now: impl FnOnce() -> Option<UnixMillis>,
    ) -> Option<PutOutcome> {
        if self.forbids(key) {
            return Some(PutOutcome::Forbidden);
        }
        let blocked_until = self.blocked_until(key)?;
        let is_blocked = now()? < blocked_until;
        is_blocked.then_some(PutOutcome::Blocked)
    }

    /// Whether a packet was deleted, or is older than the deleted one.
    pub fn has_deleted(&self, packet: &SignedPacket) -> bool {
        let deletion = self.deleted.get(packet.key());
        deletion.is_some_and(|deletion| packet.timestamp() <= deletion.timestamp)
    }

    /// Its size, in bytes.
    pub fn size(&self) -> usize {
        self.listed_count() * PUBLIC_KEY_SIZE
            + self.tokens.len() * TOKEN_SIZE_MAX
            + self.deleted.len() * DELETION_SIZE
    }

    pub(crate) fn listed_count(&self) -> usize {
        self.allowed.len() + self.denied.len()
    }
}

kinds! {
    PublishMode, |_| CommandError::Publishing,
    0u8 => Open,
    1u8 => AllowList,
    2u8 => Tokens,
}

wrappers! { TokenHash }

fields! {
    PublishState { mode, allowed, denied, tokens, deleted }
    Deletion { timestamp, blocked_until }
}
