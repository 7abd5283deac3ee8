//! How a node learns that it is no member any more, or that it has lost its data: its peers turn it
//! away, and say why.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use quorate_peer::{DataLoss, NodeId, Removal};
use quorate_state::LogIndex;
use tokio::time::timeout;

use crate::{FatalError, links::link_tracker::DialRejection, parts::Parts};

/// How often to look although nothing has changed: this node may have applied more.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// What follows from what peers say of the removal of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RemovalStatus {
    /// Nobody says that it was removed.
    Member,
    /// So many voters of the newest membership that is told have said so, of so many that must.
    Unproven { said: usize, needed: usize },
    /// A majority of them has, as of this entry.
    Removed(LogIndex),
}

impl Parts {
    /// Looks again and again why peers turn this node away, until the node has to stop.
    pub(crate) async fn watch_refusals(self: Arc<Self>) {
        let mut refusals = self.peers.link_tracker.dial_rejections.subscribe();
        let mut told = RemovalStatus::Member;
        loop {
            let now = refusals.borrow_and_update().clone();
            // As the log is now: it may have got entries since it was told.
            let stated = self.peers.membership_view.stated();
            let lost = now.iter().find_map(|(peer, refused)| match refused {
                DialRejection::DataLost(loss) => {
                    Some((peer, DataLoss::of(loss.acknowledged, stated)?))
                }
                DialRejection::Removed(_) => None,
            });
            if let Some((peer, loss)) = lost {
                return self.stop_forgotten(*peer, loss);
            }
            let finding = self.removal_status();
            if finding != told {
                self.apply_removal_status(finding);
                told = finding;
            }
            if let Ok(Err(_)) = timeout(CHECK_INTERVAL, refusals.changed()).await {
                return;
            }
        }
    }

    /// With its identity it would vote again, and has forgotten for whom it did.
    fn stop_forgotten(&self, peer: NodeId, loss: DataLoss) {
        self.raft.set_standing(false);
        let error = format!(
            "this node has lost its data, and with it what it voted for, as peer {peer} knows: {loss}. It \
             cannot come back under its old identity, nor by an older copy of its data directory: \
             start a node in another, empty data directory with a token of `quorate member add`, and \
             have `quorate member replace` put it in the place of the old one. If that is refused since \
             no majority of the voters is left, read \"A lost majority\" in docs/OPERATIONS.md"
        );
        self.failure.send_replace(Some(FatalError::DataLost(error)));
    }

    /// What peers say who is in the cluster, as of an entry behind the last that this node knows of. What
    /// was before may be from when it was removed and had not joined anew.
    fn removals(&self) -> BTreeMap<NodeId, Arc<Removal>> {
        let applied = self.state_machine.applied_index();
        let known = applied.max(self.config.known.index);
        let refusals = self.peers.link_tracker.dial_rejections.borrow();
        let removals = refusals.iter().filter_map(|(peer, refused)| match refused {
            DialRejection::Removed(removal) if removal.index > known => {
                Some((*peer, removal.clone()))
            }
            _ => None,
        });
        removals.collect()
    }

    /// The voters of the newest membership that peers have told of: who was removed asks them too.
    pub(crate) fn witnesses(&self) -> BTreeMap<NodeId, String> {
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
        let said = verified.keys().filter(|voter| removals.contains_key(voter));
        let (said, needed) = (said.count(), newest.voters.len() / 2 + 1);
        match said >= needed {
            true => RemovalStatus::Removed(newest.index),
            false => RemovalStatus::Unproven { said, needed },
        }
    }

    /// One that was removed stands for no election: nobody would elect it.
    fn apply_removal_status(&self, finding: RemovalStatus) {
        let removed = matches!(finding, RemovalStatus::Removed(_));
        let was_removed = self.is_removed.swap(removed, Ordering::AcqRel);
        self.raft.set_standing(!removed && self.may_vote());
        match finding {
            RemovalStatus::Removed(index) if !was_removed => tracing::error!(
                %index,
                "this node was removed from the cluster, as a majority of its voters says: stop it. \
                 To have this machine back, start a node with another, empty data directory and a \
                 token of `quorate member add`"
            ),
            RemovalStatus::Removed(_) => {}
            RemovalStatus::Unproven { said, needed } => tracing::warn!(
                said,
                needed,
                "peers say that this node was removed, but not a majority of voters that it knows or \
                 that are vouched for: it concludes nothing. Keep its data directory, and ask a \
                 member by `quorate member list`"
            ),
            RemovalStatus::Member if was_removed => {
                tracing::info!("this node is a member of the cluster again");
            }
            RemovalStatus::Member => {}
        }
    }
}
