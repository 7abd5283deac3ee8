//! Opens and stores replicated secrets.

use quorate_peer::{chain, message::Proposed};
use quorate_replica::{OpenSecret, SecretError};
use quorate_state::{
    Command, LogIndex, Outcome, Rejection, SecretKind, SecretRejection, SecretState, StoreSecret,
    UnixMillis,
};

use crate::node_context::NodeContext;

/// A secret to be sealed and stored.
pub(super) struct NewSecret<'a> {
    pub(super) kind: SecretKind,
    pub(super) content: &'a [u8],
    pub(super) made: UnixMillis,
    /// The entry of the one that it replaces.
    pub(super) replaces: Option<LogIndex>,
    /// Whether it is new, and not only sealed again.
    pub(super) is_new: bool,
}

impl NodeContext {
    /// The applied secrets.
    pub(super) fn secrets(&self) -> std::sync::Arc<SecretState> {
        self.state_machine.meta().cluster.secrets.clone()
    }

    /// The secret of this kind. `None` if none is stored.
    pub(crate) fn open_secret(&self, kind: SecretKind) -> Result<Option<OpenSecret>, SecretError> {
        let secrets = self.secrets();
        let Some(stored) = secrets.stored.get(&kind) else {
            return Ok(None);
        };
        let key = self.cluster_keys.key(stored.sealed.key);
        let key = key.ok_or(SecretError::NoKey)?;
        let content = key.open(kind, &stored.sealed);
        let content = content.map_err(|error| SecretError::Failed(error.to_string()))?;
        Ok(Some(OpenSecret {
            content: content.into(),
            index: stored.index,
            made: stored.sealed.made,
        }))
    }

    /// Seals a secret with the key in use and stores it.
    pub(super) async fn store(&self, new: NewSecret<'_>) -> Result<LogIndex, SecretError> {
        let secrets = self.secrets();
        let key = secrets.key.and_then(|id| self.cluster_keys.key(id));
        let key = key.ok_or(SecretError::NoKey)?;
        let sealed = key.seal(new.kind, new.content, new.made);
        let sealed = sealed.map_err(|error| SecretError::Failed(error.to_string()))?;
        let command = Command::StoreSecret(StoreSecret {
            kind: new.kind,
            replaces: new.replaces,
            is_new: new.is_new,
            sealed,
        });
        match self.raft.propose(command.encode()).await {
            Proposed::Applied { position, outcomes } => match outcomes {
                Outcome::Rejected(Rejection::Secret(
                    SecretRejection::Replaced | SecretRejection::Key(_),
                )) => Err(SecretError::Replaced),
                Outcome::Rejected(rejection) => Err(SecretError::Failed(chain(&rejection))),
                _ => Ok(position.index),
            },
            Proposed::Rejected | Proposed::Unknown => Err(SecretError::NotLeader),
        }
    }
}
