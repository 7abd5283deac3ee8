//! The cluster keys of this node.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use quorate_disk::Disk;
use quorate_peer::ClusterKey;
use quorate_secrets::{KeyFile, KeyFileError};
use quorate_state::{KeyId, SecretState};
use tokio::sync::{Mutex, watch};

/// The cluster keys of this node. Reading never waits for the disk.
pub(crate) struct ClusterKeys {
    file: Arc<Mutex<KeyFile>>,
    keys: watch::Sender<Vec<ClusterKey>>,
}

impl ClusterKeys {
    /// Reads the keys in the data directory `dir`. Blocks.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, KeyFileError> {
        let file = KeyFile::open(disk, dir)?;
        Ok(Self {
            keys: watch::Sender::new(file.keys()),
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// The key with this id.
    pub(crate) fn key(&self, id: KeyId) -> Option<ClusterKey> {
        let keys = self.keys.borrow();
        keys.iter().find(|key| key.id() == id).cloned()
    }

    /// Yields when there are other keys.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Vec<ClusterKey>> {
        self.keys.subscribe()
    }

    /// The keys that are needed and not here.
    pub(crate) fn missing(&self, secrets: &SecretState) -> BTreeSet<KeyId> {
        secrets
            .keys()
            .filter(|id| self.key(*id).is_none())
            .collect()
    }

    /// Stores a key to which the cluster may switch. When this returns, it is on disk.
    pub(crate) async fn add_pending(&self, key: ClusterKey) -> Result<(), KeyFileError> {
        self.change(move |file| file.add_pending(key)).await
    }

    /// Stores a key to which the cluster has switched.
    pub(crate) async fn add_used(&self, key: ClusterKey) -> Result<(), KeyFileError> {
        self.change(move |file| file.add_used(key)).await
    }

    /// Drops the keys to which the cluster had switched and that nothing needs any more.
    pub(crate) async fn keep_needed(&self, secrets: &SecretState) -> Result<(), KeyFileError> {
        let needed: Vec<_> = secrets.keys().collect();
        self.change(move |file| file.keep_needed(&needed)).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut KeyFile) -> Result<(), KeyFileError> + Send + 'static,
    ) -> Result<(), KeyFileError> {
        let mut file = self.file.clone().lock_owned().await;
        let changed = tokio::task::spawn_blocking(move || {
            let changed = change(&mut file);
            (changed, file.keys())
        });
        let (changed, keys) = changed.await.expect("writing the keys does not panic");
        self.keys.send_if_modified(|known| {
            let has_changed = *known != keys;
            *known = keys;
            has_changed
        });
        changed
    }
}
