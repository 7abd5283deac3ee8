//! The secrets as a cluster gives them to its servers.

use futures_util::{FutureExt, future::BoxFuture};
use quorate_replica::{
    LogIndex, Observer, OpenSecret, Renewal, Role, SecretError, SecretKind, SecretStore,
};

use crate::{FakeReplica, replica::wait_for};

impl SecretStore for FakeReplica {
    fn secret(&self, kind: SecretKind) -> Result<Option<OpenSecret>, SecretError> {
        Ok(self.secrets.lock().stored.get(&kind).cloned())
    }

    fn renewal(&self, kind: SecretKind) -> Option<Renewal> {
        self.secrets.lock().demanded.get(&kind).copied()
    }

    fn secrets_version(&self) -> u64 {
        *self.secrets.version.borrow()
    }

    fn secrets_changed_after(&self, version: u64) -> BoxFuture<'_, ()> {
        async move {
            let mut versions = self.secrets.version.subscribe();
            // It cannot fail: the replica keeps the sender.
            let _ = versions.wait_for(|now| *now > version).await;
        }
        .boxed()
    }

    fn store_secret(
        &self,
        kind: SecretKind,
        content: Vec<u8>,
        replaces: Option<LogIndex>,
    ) -> BoxFuture<'_, Result<LogIndex, SecretError>> {
        async move {
            match self.status().role {
                Role::Leader => self.secrets.store(kind, content, replaces),
                _ => Err(SecretError::NotLeader),
            }
        }
        .boxed()
    }

    fn zones_served_everywhere(&self) -> BoxFuture<'_, Result<(), SecretError>> {
        async move {
            wait_for(&self.secrets.answers_zones_served).await;
            if self.status().role != Role::Leader {
                return Err(SecretError::NotLeader);
            }
            self.secrets
                .lock()
                .zones_served_fails
                .clone()
                .map_or(Ok(()), Err)
        }
        .boxed()
    }
}
