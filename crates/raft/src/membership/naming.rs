//! How the cluster learns what a member is called: it says so. A joiner does with its request; founders,
//! and those whose name has changed, when a leader knows them.

use std::time::Duration;

use quorate_rpc::operate::Request;
use quorate_store::Meta;
use tokio::{sync::watch, time::sleep};

use super::operator::LeaderClient;
use crate::Config;

/// How long to wait before the leader is told again: the name may be taken, and become free.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Tells the leader what this node is called.
pub(crate) struct Naming {
    pub(crate) config: Config,
    pub(crate) client: LeaderClient,
    pub(crate) applied: watch::Receiver<Meta>,
}

impl Naming {
    /// Tells it whenever the cluster knows another name. Ends if this node has none.
    pub(crate) async fn run(mut self) {
        let Config { node, name, .. } = &self.config;
        if name.is_empty() {
            return;
        }
        let is_missing = |meta: &Meta| {
            let registered = meta.cluster.roll.registrations.get(&node.0);
            registered.is_some_and(|registered| registered.name != *name)
        };
        while self.applied.wait_for(is_missing).await.is_ok() {
            let told = Request::Name {
                node: *node,
                name: name.clone(),
            };
            if let Err(refusal) = self.client.ask(told).await {
                tracing::warn!(name, %refusal, "the cluster does not call this node by its name yet");
            }
            sleep(RETRY_PAUSE).await;
        }
    }
}
