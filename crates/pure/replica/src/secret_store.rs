//! The replicated secrets, opened.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use quorate_state::{LogIndex, Renewal, SecretKind, UnixMillis};

use crate::Operator;

/// Keeps secrets for all nodes: replicated, and sealed by the cluster key.
pub trait SecretStore: Operator {
    /// The secret of this kind; `None` if none is stored. Fails if this node cannot open it: it waits for the
    /// cluster key.
    fn secret(&self, kind: SecretKind) -> Result<Option<OpenSecret>, SecretError>;

    /// Why a new secret of this kind is demanded, if it is.
    fn renewal(&self, kind: SecretKind) -> Option<Renewal>;

    /// A number that grows whenever a secret or a demand may have changed.
    fn secrets_version(&self) -> u64;

    /// Resolves when [`secrets_version`](Self::secrets_version) is larger than `version`.
    fn secrets_changed_after(&self, version: u64) -> BoxFuture<'_, ()>;

    /// Stores a new secret, if this node leads and the one stored is still that of `replaces`, and returns its
    /// entry. It meets a demand for a new one. Resolves when this node has applied it. A retry after an error
    /// must read the stored secret first.
    fn store_secret(
        &self,
        kind: SecretKind,
        content: Vec<u8>,
        replaces: Option<LogIndex>,
    ) -> BoxFuture<'_, Result<LogIndex, SecretError>>;

    /// Resolves when every live member serves the zones as they are here and now. A member that is not heard
    /// from is not waited for. Fails with the reason after half a minute, or if this node does not lead.
    fn zones_served_everywhere(&self) -> BoxFuture<'_, Result<(), SecretError>>;
}

/// A secret. Nothing prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenSecret {
    /// The secret.
    pub content: Arc<[u8]>,
    /// The entry that last changed it.
    pub index: LogIndex,
    /// The cluster time at which it was made.
    pub made: UnixMillis,
}

impl fmt::Debug for OpenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSecret(.., entry {})", self.index)
    }
}

/// Why a secret cannot be read or stored now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The cluster key is not here yet.
    #[error("this node does not have the cluster key yet, and asks its peers for it")]
    NoKey,
    /// This node does not lead, or no longer.
    #[error("this node does not lead")]
    NotLeader,
    /// Another one was stored or demanded meanwhile.
    #[error("the secret was changed meanwhile")]
    Replaced,
    /// Another reason.
    #[error("{0}")]
    Failed(String),
}
