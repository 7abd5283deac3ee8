//! How a node finds out that it was removed, or that it has lost its data: its peers reject its links
//! and state why.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use quorate_peer::{DataLoss, NodeId, Removal};
use quorate_state::LogIndex;
use tokio::time::timeout;

use crate::{FatalError, links::link_tracker::DialRejection, node_context::NodeContext};

/// How often to check even if no rejection has changed: this node may have applied more.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Whether this node was removed, according to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RemovalStatus {
    /// No peer states that it was removed.
    Member,
    /// Only `confirmed` voters of the newest membership state it, and the majority is `needed`.
    Unconfirmed { confirmed: usize, needed: usize },
    /// A majority of these voters states it, as of this entry.
    Removed(LogIndex),
}

impl NodeContext {
    /// Watches why peers reject this node, until the node is closed or must stop.
    pub(crate) async fn watch_rejections(self: Arc<Self>) {
        let mut rejections = self.peers.link_tracker.dial_rejections.subscribe();
        let mut known_status = RemovalStatus::Member;
        loop {
            let now = rejections.borrow_and_update().clone();
            // The log as it is now: it may have received entries after the peer checked it.
            let stated = self.peers.membership_view.log_summary();
            let lost = now.iter().find_map(|(peer, rejection)| match rejection {
                DialRejection::DataLost(loss) => {
                    Some((peer, DataLoss::of(loss.acknowledged, stated)?))
                }
                DialRejection::Removed(_) => None,
            });
            if let Some((peer, loss)) = lost {
                return self.stop_with_lost_data(*peer, loss);
            }
            let status = self.removal_status();
            if status != known_status {
                self.apply_removal_status(status);
                known_status = status;
            }
            if let Ok(Err(_)) = timeout(CHECK_INTERVAL, rejections.changed()).await {
                return;
            }
        }
    }

    /// Stops the node: it would vote again under its identity, but has forgotten its votes.
    fn stop_with_lost_data(&self, peer: NodeId, loss: DataLoss) {
        self.raft.set_electable(false);
        let error = format!(
            "this node has lost its data, including its votes, as peer {peer} reports: {loss}. Do not restore \
             an older copy of its data directory: start a new node in an empty data directory with a token \
             of `quorate member add`, and run `quorate member replace`; if that is rejected because no \
             majority of the voters is left, read docs/trouble/lost-majority.md"
        );
        self.failure.send_replace(Some(FatalError::DataLost(error)));
    }

    /// What peers state about the removal of this node, as of entries after the last that it knows.
    /// Older statements may be from before it joined again.
    fn removals(&self) -> BTreeMap<NodeId, Arc<Removal>> {
        let applied = self.state_machine.applied_index();
        let known = applied.max(self.config.known.index);
        let rejections = self.peers.link_tracker.dial_rejections.borrow();
        let removals = rejections
            .iter()
            .filter_map(|(peer, rejection)| match rejection {
                DialRejection::Removed(removal) if removal.index > known => {
                    Some((*peer, removal.clone()))
                }
                _ => None,
            });
        removals.collect()
    }

    /// The voters of the newest membership that peers have sent: a removed node dials these too.
    pub(crate) fn removal_voters(&self) -> BTreeMap<NodeId, String> {
        let removals = self.removals();
        let newest = removals.values().max_by_key(|removal| removal.index);
        newest.map_or_else(BTreeMap::new, |newest| {
            self.peers.membership_view.verified(newest)
        })
    }

    fn removal_status(&self) -> RemovalStatus {
        let removals = self.removals();
        let Some(newest) = removals.values().max_by_key(|removal| removal.index) else {
            return RemovalStatus::Member;
        };
        let verified = self.peers.membership_view.verified(newest);
        let confirming = verified.keys().filter(|voter| removals.contains_key(voter));
        let (confirmed, needed) = (confirming.count(), newest.voters.len() / 2 + 1);
        match confirmed >= needed {
            true => RemovalStatus::Removed(newest.index),
            false => RemovalStatus::Unconfirmed { confirmed, needed },
        }
    }

    /// Records the status and logs it. A removed node is no candidate: nobody would elect it.
    fn apply_removal_status(&self, status: RemovalStatus) {
        let removed = matches!(status, RemovalStatus::Removed(_));
        let was_removed = self.is_removed.swap(removed, Ordering::AcqRel);
        self.raft.set_electable(!removed && self.may_vote());
        match status {
            RemovalStatus::Removed(index) if !was_removed => tracing::error!(
                %index,
                "this node was removed from the cluster, as a majority of its voters reports: stop it. \
                 To use this machine again, start a node with an empty data directory and a token \
                 of `quorate member add`"
            ),
            RemovalStatus::Removed(_) => {}
            RemovalStatus::Unconfirmed { confirmed, needed } => tracing::warn!(
                confirmed,
                needed,
                "some peers report that this node was removed, but no majority of the voters that it can \
                 verify. Keep its data directory, and run `quorate member list` on a member"
            ),
            RemovalStatus::Member if was_removed => {
                tracing::info!("this node is a member of the cluster again");
            }
            RemovalStatus::Member => {}
        }
    }
}
