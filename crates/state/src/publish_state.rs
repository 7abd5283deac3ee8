//! Who may publish, and which packets were deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use quorate_packet::{PublicKey, Timestamp};

use crate::UnixMillis;

/// The most keys that may publish, or may not, together: each takes 32 bytes of every checkpoint.
pub const LISTED_KEY_COUNT_MAX: usize = 100_000;

/// The most tokens for publishing.
pub const PUBLISH_TOKEN_COUNT_MAX: usize = 1_000;

/// The most packets that were deleted and may not come back.
pub const DELETION_COUNT_MAX: usize = 100_000;

/// The size of a token's hash, in bytes.
pub const TOKEN_HASH_SIZE: usize = 32;

/// Who may publish, and which packets were deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishState {
    /// Who may publish, of those who are not denied.
    pub mode: PublishMode,
    /// Keys that may publish in whatever mode.
    pub allowed: BTreeSet<PublicKey>,
    /// Keys that may not, in whatever mode.
    pub denied: BTreeSet<PublicKey>,
    /// Tokens by their names.
    pub tokens: BTreeMap<String, TokenHash>,
    /// What was deleted, by key.
    pub deleted: BTreeMap<PublicKey, Deletion>,
}

/// Who may publish, of those who are not denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PublishMode {
    /// Everybody.
    #[default]
    Open,
    /// Keys that are allowed.
    AllowList,
    /// Keys that are allowed, and whoever has a token.
    Tokens,
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

/// How it changes who may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishChange {
    /// Another mode.
    SetMode(PublishMode),
    /// These keys may publish.
    Allow(Vec<PublicKey>),
    /// These keys are no more among those that are allowed.
    Disallow(Vec<PublicKey>),
    /// These keys may not publish. What is stored of them stays.
    Deny(Vec<PublicKey>),
    /// These keys are no more among those that are denied.
    Undeny(Vec<PublicKey>),
    /// Whoever has this token may publish in [`PublishMode::Tokens`].
    AddToken {
        /// What operators call it.
        name: String,
        /// Its hash.
        hash: TokenHash,
    },
    /// The token of this name is good for nothing any more.
    RemoveToken(String),
}

impl PublishState {
    /// Whether a token is good.
    pub fn has_token(&self, hash: &TokenHash) -> bool {
        self.tokens.values().any(|known| known == hash)
    }
}
