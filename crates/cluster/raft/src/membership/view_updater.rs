//! Keeps this node's membership view and its links up to date with the members.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use quorate_peer::NodeId;
use tokio::time::{sleep, timeout};

use crate::{links::peers::MemberRoles, node_context::NodeContext};

/// The pause after a check: the applied state changes with every entry.
const CHECK_PAUSE: Duration = Duration::from_millis(10);

/// How often to check even if no change was signalled.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Updates the view from the effective membership and the applied state. Keeps links open to exactly
/// the members that this node sends something to. Returns when the node is closed.
pub(crate) async fn update_view(context: Arc<NodeContext>) {
    let membership_view = &context.peers.membership_view;
    let mut applied = context.state_machine.applied();
    let mut changes = context.raft.changes();
    loop {
        let meta = applied.borrow_and_update().clone();
        let membership = context.raft.membership();
        let has_caught_up = context.recovery.is_complete();
        membership_view.update(&membership.nodes, membership.voters(), &meta, has_caught_up);
        let removal_voters = context.removal_voters();
        let mut roles = MemberRoles {
            votes: membership.is_voter(membership_view.node),
            ..MemberRoles::default()
        };
        // An old log may still list the present voters as learners.
        if roles.votes || has_caught_up {
            let members = membership.nodes.keys().copied();
            let is_learner =
                |node: &NodeId| !membership.is_voter(*node) && !removal_voters.contains_key(node);
            roles.learners = members.filter(is_learner).collect();
        }
        let mut dialed = membership_view.members();
        dialed.extend(removal_voters);
        context
            .peers
            .set_members(membership_view.node, &dialed, roles);
        let changed = async {
            tokio::select! {
                changed = changes.next() => changed.is_some(),
                changed = applied.changed() => changed.is_ok(),
            }
        };
        if timeout(CHECK_INTERVAL, changed).await == Ok(false) {
            return;
        }
        sleep(CHECK_PAUSE).await;
    }
}
