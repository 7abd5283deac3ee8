//! Gets the cluster keys that this node needs, and drops the others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use quorate_peer::{NotElectable, chain};
use quorate_secrets::KeyFileError;
use quorate_state::KeyId;
use tokio::time::timeout;

use crate::node_context::NodeContext;

/// The first and the last pause before the peers are asked again: they may not have applied the switch yet, and a
/// key that no live member has is not asked for all the time.
const ASK_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(30)];

impl NodeContext {
    /// Keeps the keys that the applied state needs, until the node is closed. A node without the key in use
    /// follows and votes, and should not lead: it could not seal.
    pub(crate) async fn keep_needed_keys(self: Arc<Self>) {
        let mut keys = self.cluster_keys.subscribe();
        let mut versions = self.state_machine.zone_versions();
        let [first_pause, last_pause] = ASK_PAUSES;
        let (mut pause, mut warned_of) = (first_pause, BTreeSet::new());
        loop {
            versions.mark_unchanged();
            keys.mark_unchanged();
            let secrets = self.state_machine.meta().cluster.secrets.clone();
            let has_key = secrets
                .key
                .is_none_or(|id| self.cluster_keys.key(id).is_some());
            self.gossip
                .set_not_electable(NotElectable::NO_KEY, !has_key);
            let has_all = self.cluster_keys.missing(&secrets).is_empty();
            let kept = match has_all {
                true => self.cluster_keys.keep_needed(&secrets).await,
                false => self.fetch_missing_keys().await,
            };
            if let Err(error) = &kept {
                let error = chain(error);
                tracing::error!(error, "the cluster keys cannot be kept; retrying");
            }
            let missing = self.cluster_keys.missing(&secrets);
            if !has_all && missing.is_empty() {
                continue;
            }
            if pause == last_pause && warned_of != missing {
                tracing::warn!(
                    keys = ?missing,
                    "no peer has given this node a cluster key that it needs, so that it cannot open secrets: \
                     start the nodes that are down; if none of them has the key, run \
                     `quorate cluster rotate-key --discard-lost`"
                );
                warned_of.clone_from(&missing);
            }
            let is_done = has_all && kept.is_ok();
            let changed = async {
                loop {
                    tokio::select! {
                        _ = versions.changed() => {}
                        _ = keys.changed() => {}
                    }
                    // Peers are not asked again because a zone has changed.
                    let secrets = self.state_machine.meta().cluster.secrets.clone();
                    if is_done || self.cluster_keys.missing(&secrets) != missing {
                        return;
                    }
                }
            };
            match is_done {
                true => {
                    changed.await;
                    pause = first_pause;
                }
                false => match timeout(pause, changed).await {
                    Ok(()) => pause = first_pause,
                    Err(_) => pause = last_pause.min(pause * 2),
                },
            }
        }
    }

    /// Asks the peers once for all keys that this node needs and does not have.
    pub(crate) async fn fetch_missing_keys(&self) -> Result<(), KeyFileError> {
        let secrets = self.state_machine.meta().cluster.secrets.clone();
        for id in self.cluster_keys.missing(&secrets) {
            self.fetch_key(id).await?;
        }
        Ok(())
    }

    /// Asks the peers for a key, and keeps it.
    async fn fetch_key(&self, id: KeyId) -> Result<(), KeyFileError> {
        let Some(key) = self.ask_for_key(id).await else {
            tracing::debug!(key = %id, "no peer gives the cluster key yet");
            return Ok(());
        };
        self.cluster_keys.add_used(key).await?;
        tracing::info!(key = %id, "got a cluster key from a peer");
        // What was sealed can be opened now.
        self.state_machine.bump_zone_version();
        Ok(())
    }
}
