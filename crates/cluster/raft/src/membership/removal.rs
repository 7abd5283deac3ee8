//! How a node learns that it is no member any more, or that it has lost its data: its peers turn it
//! away.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use quorate_peer::LogState;
use tokio::time::timeout;

use crate::{FatalError, links::presence::Refused, parts::Parts, start::log_state::log_state};

/// How often to look although nothing has changed: a leader may have fallen silent.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

impl Parts {
    /// Looks again and again why peers turn this node away, until the node has to stop.
    pub(crate) async fn watch_refusals(self: Arc<Self>) {
        let mut refusals = self.peers.presence.refusals.subscribe();
        loop {
            let now = refusals.borrow_and_update().clone();
            let forgotten = now.values().find_map(|refused| match refused {
                Refused::Forgotten(text) => Some(text),
                Refused::NotAdmitted => None,
            });
            // What was said before it got entries counts no more.
            if let Some(text) = forgotten.filter(|_| log_state(&self.log) == LogState::Empty) {
                return self.stop_forgotten(text);
            }
            // Who has just joined may meet others that were removed, before the leader reaches it.
            let was_member = log_state(&self.log) != LogState::Empty;
            self.set_removed(was_member && !now.is_empty() && self.is_alone());
            if let Ok(Err(_)) = timeout(LOOK_INTERVAL, refusals.changed()).await {
                return;
            }
        }
    }

    /// With its identity it would vote again, and has forgotten for whom it did.
    fn stop_forgotten(&self, text: &str) {
        self.raft.set_standing(false);
        let error = format!(
            "this node had entries in its log, which is empty: it has lost its data, and with it \
             what it voted for, so it cannot come back under its old identity ({text}). Empty its \
             data directory and remove its key, start it with a token of `quorate member add`, and \
             have `quorate member replace` put it in the place of the old one"
        );
        self.failure
            .send_replace(Some(FatalError::Forgotten(error)));
    }

    /// Whether nobody takes a link of this node, and no leader is heard.
    fn is_alone(&self) -> bool {
        self.leader.borrow().node.is_none() && !self.peers.presence.is_taken()
    }

    /// One that was removed stands for no election: nobody would elect it.
    fn set_removed(&self, removed: bool) {
        if self.is_removed.swap(removed, Ordering::AcqRel) == removed {
            return;
        }
        self.raft
            .set_standing(!removed && self.franchise.is_given());
        match removed {
            true => tracing::error!(
                "this node is no member of the cluster any more, and its peers turn it away: stop \
                 it; to have it back, empty its data directory and have it join with a token of \
                 `quorate member add`"
            ),
            false => tracing::info!("this node is a member of the cluster again"),
        }
    }
}
