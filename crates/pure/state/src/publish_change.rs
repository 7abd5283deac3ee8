//! How it changes who may publish.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorate_packet::PublicKey;

use crate::{
    BATCH_SIZE_MAX, CommandError, DELETION_COUNT_MAX, LISTED_KEY_COUNT_MAX, NAME_SIZE_MAX,
    PUBLISH_TOKEN_COUNT_MAX, PublishMode, PublishState, TokenHash,
    cluster_state::{decode_array, decode_text, encode_text},
    publish_state::{decode_keys, encode_keys},
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

const SET_MODE: u8 = 1;
const ALLOW: u8 = 2;
const DISALLOW: u8 = 3;
const DENY: u8 = 4;
const UNDENY: u8 = 5;
const ADD_TOKEN: u8 = 6;
const REMOVE_TOKEN: u8 = 7;

impl PublishChange {
    /// The bytes that [`decode`](Self::decode) reads.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode_into(&mut out);
        out.freeze()
    }

    /// Reads what another node encoded.
    ///
    /// # Errors
    /// It is unreadable, or larger than a batch of packets.
    pub fn decode(mut bytes: Bytes) -> Result<Self, CommandError> {
        if bytes.len() > BATCH_SIZE_MAX {
            return Err(CommandError::Trailing(bytes.len() - BATCH_SIZE_MAX));
        }
        let change = Self::read(&mut bytes)?;
        match bytes.len() {
            0 => Ok(change),
            rest => Err(CommandError::Trailing(rest)),
        }
    }

    /// Kind (u8), then by kind: mode (u8); keys; name and hash; name.
    pub(crate) fn encode_into(&self, out: &mut BytesMut) {
        let mut put_keys = |kind, keys: &[PublicKey]| {
            out.put_u8(kind);
            encode_keys(out, keys.iter());
        };
        match self {
            Self::Allow(keys) => put_keys(ALLOW, keys),
            Self::Disallow(keys) => put_keys(DISALLOW, keys),
            Self::Deny(keys) => put_keys(DENY, keys),
            Self::Undeny(keys) => put_keys(UNDENY, keys),
            Self::SetMode(mode) => out.put_slice(&[SET_MODE, mode.number()]),
            Self::AddToken { name, hash } => {
                out.put_u8(ADD_TOKEN);
                encode_text(out, name);
                out.put_slice(&hash.0);
            }
            Self::RemoveToken(name) => {
                out.put_u8(REMOVE_TOKEN);
                encode_text(out, name);
            }
        }
    }

    pub(crate) fn read(bytes: &mut Bytes) -> Result<Self, CommandError> {
        let kind = bytes.try_get_u8()?;
        let change = match kind {
            SET_MODE => PublishMode::from_number(bytes.try_get_u8()?).map(Self::SetMode),
            ALLOW => decode_keys(bytes).map(Self::Allow),
            DISALLOW => decode_keys(bytes).map(Self::Disallow),
            DENY => decode_keys(bytes).map(Self::Deny),
            UNDENY => decode_keys(bytes).map(Self::Undeny),
            ADD_TOKEN => decode_text(bytes).and_then(|name| {
                let hash = TokenHash(decode_array(bytes)?);
                Some(Self::AddToken { name, hash })
            }),
            REMOVE_TOKEN => decode_text(bytes).map(Self::RemoveToken),
            _ => None,
        };
        change.ok_or(CommandError::Publishing)
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
