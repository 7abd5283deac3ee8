//! A node tells the leader what its operator calls it, when the cluster calls it otherwise: founders
//! are registered without a name, and a name may be changed between two starts.

use std::{sync::Arc, time::Duration};

use quorate_api::{ProblemType, Rename};
use quorate_state::NodeRegistry;
use tokio::time::sleep;

use super::admin::Admin;
use crate::parts::Parts;

/// How long the leader may take to note a name. No operator waits for that.
const RENAME_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before the leader is told again.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Has the cluster call this node `name`, unless another is called so. Returns when the node is gone,
/// or has no name.
pub(crate) async fn keep_name(admin: Arc<Admin>) {
    let Parts { config, peers, .. } = &*admin.parts;
    let (node, name) = (config.node, &config.name);
    let is_called_otherwise = |node_registry: &NodeRegistry| {
        let registration = node_registry.registrations.get(&node.0);
        registration.is_some_and(|registration| registration.name != *name)
    };
    let mut has_warned = false;
    while !name.is_empty() && peers.membership_view.until(is_called_otherwise).await {
        let name = name.clone();
        match admin.ask_for(Rename { name }, RENAME_TIMEOUT).await {
            Ok(()) => {}
            Err(problem) if problem.problem_type == ProblemType::UnsuitableNode && !has_warned => {
                has_warned = true;
                tracing::warn!(%problem, "the cluster does not call this node by its name");
            }
            Err(problem) => tracing::debug!(%problem, "its name is not told yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
