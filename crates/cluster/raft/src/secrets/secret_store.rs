//! The replicated secrets, for the servers of this node.

use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_replica::{OpenSecret, Reader, Role, SecretError, SecretStore};
use quorate_state::{LogIndex, Renewal, SecretKind};
use tokio::time::{Instant, sleep, timeout};

use super::sealing::NewSecret;
use crate::{
    Node, membership::admin::SILENT_ELECTION_TIMEOUTS, node::OpenNode, node_context::NodeContext,
};

/// How long to wait for a cluster key that is demanded.
const KEY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a live member may take to serve a changed zone.
const SERVED_TIMEOUT: Duration = Duration::from_secs(30);

impl SecretStore for Node {
    fn secret(&self, kind: SecretKind) -> Result<Option<OpenSecret>, SecretError> {
        self.open_node()?.context.open_secret(kind)
    }

    fn renewal(&self, kind: SecretKind) -> Option<Renewal> {
        let context = &self.open.get()?.context;
        context.secrets().due.get(&kind).copied()
    }

    fn secrets_version(&self) -> u64 {
        self.zone_version()
    }

    fn secrets_changed_after(&self, version: u64) -> BoxFuture<'_, ()> {
        self.zones_changed_after(version)
    }

    fn store_secret(
        &self,
        kind: SecretKind,
        content: Vec<u8>,
        replaces: Option<LogIndex>,
    ) -> BoxFuture<'_, Result<LogIndex, SecretError>> {
        Box::pin(async move {
            let context = &self.open_node()?.context;
            // A node whose removal has demanded another key could open it.
            let mut applied = context.state_machine.applied();
            let has_key = applied.wait_for(|meta| meta.cluster.secrets.key_due.is_none());
            if !matches!(timeout(KEY_TIMEOUT, has_key).await, Ok(Ok(_))) {
                let text = "the cluster key is still being replaced";
                return Err(SecretError::Failed(text.to_owned()));
            }
            let made = context.gossip.time().time;
            context
                .store(NewSecret {
                    kind,
                    content: &content,
                    made,
                    replaces,
                    is_new: true,
                })
                .await
        })
    }

    fn zones_served_everywhere(&self) -> BoxFuture<'_, Result<(), SecretError>> {
        Box::pin(async move {
            let context = &self.open_node()?.context;
            let index = context.state_machine.applied_index();
            let deadline = Instant::now() + SERVED_TIMEOUT;
            loop {
                if context.raft.view().role != Role::Leader {
                    return Err(SecretError::NotLeader);
                }
                match context.not_serving(index) {
                    None => return Ok(()),
                    Some(reason) if Instant::now() >= deadline => {
                        return Err(SecretError::Failed(reason));
                    }
                    Some(_) => sleep(context.config.heartbeat()).await,
                }
            }
        })
    }
}

impl Node {
    fn open_node(&self) -> Result<&OpenNode, SecretError> {
        let opened = self.opened();
        opened.map_err(|step| SecretError::Failed(step.to_string()))
    }
}

impl NodeContext {
    /// Names a live member that does not serve the zones as of this entry yet.
    fn not_serving(&self, index: LogIndex) -> Option<String> {
        let silence_max = self.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS;
        let nodes = self.raft.membership().nodes.into_keys();
        let mut late = nodes.filter(|node| {
            let served = self.gossip.zones_served(*node, silence_max);
            served.is_some_and(|served| served < index)
        });
        let node = late.next()?;
        Some(format!("node {node} does not serve the changed zone yet"))
    }
}
