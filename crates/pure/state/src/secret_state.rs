//! Replicated secrets: only sealed, by a key that no log entry, snapshot or backup contains.
//!
//! The *cluster key* is in a file of each node. The log only tells which key is in use, by its id. A secret is
//! stored sealed under the key in use, so that nothing that leaves a node reveals it without that file.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    CommandError, LogIndex, UnixMillis,
    codec::{fields, kinds, wrappers},
};

/// The size of a key id, in bytes: enough that no two keys of a cluster have the same.
pub const KEY_ID_SIZE: usize = 8;

/// The largest sealed secret, in bytes: several times a certificate chain with its key. All of them are in
/// memory and in each checkpoint.
pub const SEALED_SIZE_MAX: usize = 64 * 1024;

/// The id of a cluster key. It is derived from the key and does not reveal it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub [u8; KEY_ID_SIZE]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a secret is for. There is at most one of each.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SecretKind {
    /// [`CookieSecrets`](crate::CookieSecrets).
    DnsCookies,
    /// The key of the account at the certificate authority.
    AcmeAccount,
    /// The pending order of a certificate, with its key, and what was tried.
    AcmeOrder,
    /// The certificate chain and its key.
    Certificate,
}

impl SecretKind {
    /// Those that a cluster does not make by itself with each cluster key.
    pub fn of_operators() -> Vec<Self> {
        vec![Self::AcmeAccount, Self::AcmeOrder, Self::Certificate]
    }
}

/// Why a new secret is needed. A later variant replaces an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewal {
    /// An operator wants a new one.
    Requested,
    /// A removed machine may have leaked it.
    Compromised,
}

/// A secret, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The key that opens it.
    pub key: KeyId,
    /// What it is for is bound in, and so is the key.
    pub bytes: Bytes,
    /// The cluster time at which the secret itself was made. Sealing it again keeps this.
    pub made: UnixMillis,
}

/// Hides the bytes, which say nothing.
impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({}, made {})", self.key, self.made)
    }
}

/// A secret and the entry that last changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSecret {
    pub sealed: SealedSecret,
    /// The entry that stored it, or demanded a new one.
    pub index: LogIndex,
}

/// The replicated secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretState {
    /// The cluster key in use. `None` until the first leader has made one.
    pub key: Option<KeyId>,
    /// The entry that last demanded a new key: it removed a node, or an operator wants one.
    pub key_due: Option<LogIndex>,
    pub stored: BTreeMap<SecretKind, StoredSecret>,
    /// New secrets that are demanded.
    pub due: BTreeMap<SecretKind, Renewal>,
}

/// The command to seal secrets with another cluster key from now on. Proposed when a majority of the voters has
/// the key on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchKey {
    pub key: KeyId,
    /// The leader had applied the entries up to this one when it made the key. A node that was removed later may
    /// have got it, so a later demand stays.
    pub made_after: LogIndex,
}

/// The command to store a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSecret {
    pub kind: SecretKind,
    /// The [`StoredSecret::index`] of the one that it replaces. Of two leaders that store one each, only the
    /// first succeeds.
    pub replaces: Option<LogIndex>,
    /// Whether the secret itself is new, and not only sealed again. A new one meets what was demanded.
    pub is_new: bool,
    pub sealed: SealedSecret,
}

/// Why a secret is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretRejection {
    #[error("it has {0} bytes, and the limit is {SEALED_SIZE_MAX}")]
    Size(usize),
    #[error("it is sealed by the key {0}, which is not in use")]
    Key(KeyId),
    #[error("another cluster key is demanded, which must seal it")]
    KeyDue,
    #[error("another one was stored or demanded meanwhile")]
    Replaced,
}

wrappers! { KeyId }

kinds! {
    SecretKind, |_| CommandError::Truncated,
    1u8 => DnsCookies,
    2u8 => AcmeAccount,
    3u8 => AcmeOrder,
    4u8 => Certificate,
}

kinds! {
    Renewal, |_| CommandError::Truncated,
    1u8 => Requested,
    2u8 => Compromised,
}

fields! {
    SealedSecret { key, bytes, made }
    StoredSecret { sealed, index }
    SecretState { key, key_due, stored, due }
    SwitchKey { key, made_after }
    StoreSecret { kind, replaces, is_new, sealed }
}

impl SecretState {
    /// The keys that open something here, and the one in use.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        let sealing = self.stored.values().map(|stored| stored.sealed.key);
        self.key.into_iter().chain(sealing)
    }

    pub(crate) fn switch_key(&mut self, SwitchKey { key, made_after }: SwitchKey) {
        self.key = Some(key);
        self.key_due = self.key_due.filter(|due| *due > made_after);
    }

    /// Drops those that the key in use has not sealed.
    pub(crate) fn drop_lost(&mut self, kinds: &[SecretKind]) {
        let key = self.key;
        self.stored
            .retain(|kind, stored| Some(stored.sealed.key) == key || !kinds.contains(kind));
    }

    /// Demands new secrets of these kinds. Those that are being made now count as old. If others may know them,
    /// others may know the key too.
    pub(crate) fn demand(&mut self, kinds: Vec<SecretKind>, renewal: Renewal, index: LogIndex) {
        for kind in kinds {
            if let Some(stored) = self.stored.get_mut(&kind) {
                stored.index = index;
            }
            let due = self.due.entry(kind).or_insert(renewal);
            *due = renewal.max(*due);
        }
        if renewal == Renewal::Compromised {
            self.key_due = Some(index);
        }
    }

    pub(crate) fn store(
        &mut self,
        command: StoreSecret,
        index: LogIndex,
    ) -> Result<(), SecretRejection> {
        let StoreSecret {
            kind,
            replaces,
            is_new,
            sealed,
        } = command;
        if sealed.bytes.len() > SEALED_SIZE_MAX {
            return Err(SecretRejection::Size(sealed.bytes.len()));
        }
        if self.key != Some(sealed.key) {
            return Err(SecretRejection::Key(sealed.key));
        }
        // A removed node has the key until the cluster switches. Cookies are replaced after the switch.
        if is_new && kind != SecretKind::DnsCookies && self.key_due.is_some() {
            return Err(SecretRejection::KeyDue);
        }
        if self.stored.get(&kind).map(|stored| stored.index) != replaces {
            return Err(SecretRejection::Replaced);
        }
        self.stored.insert(kind, StoredSecret { sealed, index });
        if is_new {
            self.due.remove(&kind);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "secret_state_tests.rs"]
mod tests;
