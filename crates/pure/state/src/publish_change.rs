//! Changes of the publish policy.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use quorate_packet::PublicKey;

use crate::{
    BATCH_SIZE_MAX, CommandError, DELETION_COUNT_MAX, LISTED_KEY_COUNT_MAX, NAME_SIZE_MAX,
    PUBLISH_TOKEN_COUNT_MAX, PublishMode, PublishState, TokenHash,
    codec::{Codec, decode_all, kinds},
};

/// The most keys in one change, so that it is not larger than a batch of packets.
pub const CHANGED_KEY_COUNT_MAX: usize = 4_096;

const _: () = assert!(CHANGED_KEY_COUNT_MAX * 32 < BATCH_SIZE_MAX);

/// A change of the publish policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishChange {
    SetMode(PublishMode),
    Allow(Vec<PublicKey>),
    /// Remove these keys from the allowed ones.
    Disallow(Vec<PublicKey>),
    /// Deny these keys. Their stored packets stay until they expire.
    Deny(Vec<PublicKey>),
    /// Remove these keys from the denied ones.
    Undeny(Vec<PublicKey>),
    /// Add a token with which clients may publish in [`PublishMode::Tokens`].
    AddToken {
        name: String,
        hash: TokenHash,
    },
    /// Revoke the token with this name.
    RemoveToken(String),
}

/// Why a change of the publish policy is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRejection {
    /// Too many keys in one change.
    #[error("there are {0} keys in one change: at most {CHANGED_KEY_COUNT_MAX} are allowed")]
    ChangedKeyCount(usize),
    /// Too many keys would be listed.
    #[error(
        "{0} keys would be allowed or denied: the most is {LISTED_KEY_COUNT_MAX}; give tokens to those \
         who may publish instead"
    )]
    ListedKeyCount(usize),
    /// Too many tokens.
    #[error("there are already {PUBLISH_TOKEN_COUNT_MAX} tokens: remove one first")]
    TokenCount,
    /// Names are printed for operators.
    #[error("{0:?} is not a valid token name: use 1 to {NAME_SIZE_MAX} bytes without spaces")]
    TokenName(String),
    /// Another token has the name.
    #[error("a token named {0:?} already exists: choose another name, or remove it first")]
    TokenExists(String),
    /// Too many deletions with blocked keys.
    #[error(
        "{DELETION_COUNT_MAX} deleted packets have blocked keys, which is the limit: deny the key instead"
    )]
    DeletionCount,
}

kinds! {
    PublishChange, |_| CommandError::Publishing,
    1u8 => SetMode(mode),
    2u8 => Allow(keys),
    3u8 => Disallow(keys),
    4u8 => Deny(keys),
    5u8 => Undeny(keys),
    6u8 => AddToken { name, hash },
    7u8 => RemoveToken(name),
}

impl PublishChange {
    /// Encodes for [`decode`](Self::decode).
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode) of another node.
    ///
    /// # Errors
    /// It is invalid, or larger than a batch of packets.
    pub fn decode(bytes: Bytes) -> Result<Self, CommandError> {
        decode_all(bytes, BATCH_SIZE_MAX)
    }

    /// The state after the change; `None` if nothing changes.
    pub fn changed(&self, state: &PublishState) -> Result<Option<PublishState>, PublishRejection> {
        self.check(state)?;
        let mut changed = state.clone();
        self.edit(&mut changed);
        match changed.listed_count() {
            // A change that removes keys is always allowed, in case the limit is ever lowered.
            count if count > LISTED_KEY_COUNT_MAX && count > state.listed_count() => {
                Err(PublishRejection::ListedKeyCount(count))
            }
            _ => Ok((changed != *state).then_some(changed)),
        }
    }

    /// Checks the change before it is applied.
    fn check(&self, state: &PublishState) -> Result<(), PublishRejection> {
        let key_count = self.keys().len();
        if key_count > CHANGED_KEY_COUNT_MAX {
            return Err(PublishRejection::ChangedKeyCount(key_count));
        }
        let Self::AddToken { name, hash } = self else {
            return Ok(());
        };
        match state.tokens.get(name) {
            _ if !is_name(name) => Err(PublishRejection::TokenName(name.clone())),
            Some(known) if known == hash => Ok(()),
            Some(_) => Err(PublishRejection::TokenExists(name.clone())),
            None if state.tokens.len() >= PUBLISH_TOKEN_COUNT_MAX => {
                Err(PublishRejection::TokenCount)
            }
            None => Ok(()),
        }
    }

    fn keys(&self) -> &[PublicKey] {
        match self {
            Self::Allow(keys) | Self::Disallow(keys) | Self::Deny(keys) | Self::Undeny(keys) => {
                keys
            }
            Self::SetMode(_) | Self::AddToken { .. } | Self::RemoveToken(_) => &[],
        }
    }

    fn edit(&self, state: &mut PublishState) {
        match self {
            Self::SetMode(mode) => state.mode = *mode,
            Self::Allow(keys) => state.allowed.extend(keys),
            Self::Disallow(keys) => remove_all(&mut state.allowed, keys),
            Self::Deny(keys) => state.denied.extend(keys),
            Self::Undeny(keys) => remove_all(&mut state.denied, keys),
            Self::AddToken { name, hash } => drop(state.tokens.insert(name.clone(), *hash)),
            Self::RemoveToken(name) => drop(state.tokens.remove(name)),
        }
    }
}

fn remove_all(from: &mut BTreeSet<PublicKey>, keys: &[PublicKey]) {
    for key in keys {
        from.remove(key);
    }
}

fn is_name(name: &str) -> bool {
    let is_hidden = |c: char| c.is_control() || c.is_whitespace();
    !name.is_empty() && name.len() <= NAME_SIZE_MAX && !name.contains(is_hidden)
}

#[cfg(test)]
#[path = "publish_change_tests.rs"]
mod tests;
