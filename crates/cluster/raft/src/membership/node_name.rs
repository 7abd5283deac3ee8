//! Sends the configured name of this node to the leader when the cluster has another one: founders are
//! registered without a name, and an operator may change the name between two starts.

use std::{sync::Arc, time::Duration};

use quorate_api::{ProblemType, Rename};
use quorate_state::NodeRegistry;
use tokio::time::sleep;

use super::admin::Admin;
use crate::node_context::NodeContext;

/// How long the leader may take to record a name. No operator waits for that.
const RENAME_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before the name is sent again.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Keeps this node registered under its configured name, unless another node has that name. Returns
/// when the node is closed, or if it has no name.
pub(crate) async fn keep_name(admin: Arc<Admin>) {
    let NodeContext { config, peers, .. } = &*admin.context;
    let (node, name) = (config.node, &config.name);
    let has_other_name = |node_registry: &NodeRegistry| {
        let registration = node_registry.registrations.get(&node.0);
        registration.is_some_and(|registration| registration.name != *name)
    };
    let mut has_warned = false;
    while !name.is_empty() && peers.membership_view.wait_until(has_other_name).await {
        let name = name.clone();
        match admin.call_leader(Rename { name }, RENAME_TIMEOUT).await {
            Ok(()) => {}
            Err(problem) if problem.problem_type == ProblemType::UnsuitableNode && !has_warned => {
                has_warned = true;
                tracing::warn!(%problem, "the cluster rejected the configured name of this node");
            }
            Err(problem) => tracing::debug!(%problem, "the name of this node is not recorded yet"),
        }
        sleep(RETRY_PAUSE).await;
    }
}
