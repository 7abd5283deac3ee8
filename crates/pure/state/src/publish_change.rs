//! How it changes who may publish.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use quorate_packet::PublicKey;

use crate::{
    BATCH_SIZE_MAX, CommandError, DELETION_COUNT_MAX, LISTED_KEY_COUNT_MAX, NAME_SIZE_MAX,
    PUBLISH_TOKEN_COUNT_MAX, PublishMode, PublishState, TokenHash,
    coding::{Coding, decode_all, kinds},
};

/// The most keys that one change names, so that it takes no more of the log than a batch of packets.
pub const CHANGED_KEY_COUNT_MAX: usize = 4_096;

const _: () = assert!(CHANGED_KEY_COUNT_MAX * 32 < BATCH_SIZE_MAX);

/// How it changes who may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishChange {
    SetMode(PublishMode),
    Allow(Vec<PublicKey>),
    /// These keys are no more among those that are allowed.
    Disallow(Vec<PublicKey>),
    /// These keys may not publish. What is stored of them stays, until it is as old as packets get.
    Deny(Vec<PublicKey>),
    /// These keys are no more among those that are denied.
    Undeny(Vec<PublicKey>),
    /// Whoever has this token may publish in [`PublishMode::Tokens`].
    AddToken {
        name: String,
        hash: TokenHash,
    },
    /// The token of this name is good for nothing any more.
    RemoveToken(String),
}

/// Why it does not change who may publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRejection {
    /// Too many keys at once.
    #[error("{0} keys are named: name no more than {CHANGED_KEY_COUNT_MAX} at once")]
    ChangedKeyCount(usize),
    /// Too many keys would be listed.
    #[error(
        "{0} keys would be allowed or denied: the most is {LISTED_KEY_COUNT_MAX}; give tokens to those \
         who may publish instead"
    )]
    ListedKeyCount(usize),
    /// There are as many tokens as the cluster keeps.
    #[error("there are {PUBLISH_TOKEN_COUNT_MAX} tokens: remove one first")]
    TokenCount,
    /// Names are shown to operators as they are.
    #[error("{0:?} names no token: a name has 1 to {NAME_SIZE_MAX} bytes, and no spaces")]
    TokenName(String),
    /// Another token has the name.
    #[error("a token is called {0:?} already: choose another name, or remove it first")]
    TokenExists(String),
    /// As many deletions are kept as there may be.
    #[error("the keys of {DELETION_COUNT_MAX} deleted packets are blocked: deny the key instead")]
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
    /// The bytes that [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.put(&mut out);
        out.freeze()
    }

    /// Reads what another node encoded.
    ///
    /// # Errors
    /// It is unreadable, or larger than a batch of packets.
    pub fn decode(bytes: Bytes) -> Result<Self, CommandError> {
        decode_all(bytes, BATCH_SIZE_MAX)
    }

    /// What there is after the change; `None` if that is what there was.
    pub fn changed(&self, state: &PublishState) -> Result<Option<PublishState>, PublishRejection> {
        self.check(state)?;
        let mut changed = state.clone();
        self.edit(&mut changed);
        match changed.listed_count() {
            // Whatever takes keys off is let through, were the bound ever lowered.
            count if count > LISTED_KEY_COUNT_MAX && count > state.listed_count() => {
                Err(PublishRejection::ListedKeyCount(count))
            }
            _ => Ok((changed != *state).then_some(changed)),
        }
    }

    /// What must hold of it before it is made.
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
