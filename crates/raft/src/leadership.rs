//! Who leads, as far as this node can tell.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{self, Duration},
};

use openraft::{Instant, ServerState, async_runtime::WatchReceiver};
use quorate_state::Term;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use quorate_rpc::NodeId;

use crate::{Config, FatalError, node::Raft, types::TypeConfig};

/// How many of the longest election timeouts a leader may be silent before it counts as unknown.
/// After one, the others elect a new one; two more forgive a machine that was busy.
const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leader {
    /// The term that this is about.
    pub(crate) term: Term,
    /// The leader and its address, if one is known.
    pub(crate) node: Option<(NodeId, String)>,
}

/// When this node last heard its leader. Clones share it.
#[derive(Clone)]
pub(crate) struct Contact(Arc<Mutex<time::Instant>>);

impl Default for Contact {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(time::Instant::now())))
    }
}

impl Contact {
    pub(crate) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time::Instant::now();
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }
}

/// Keeps who leads, and whether Raft has failed, in watches that change with nothing else: Raft's own
/// metrics change several times with every entry.
///
/// Raft remembers the last leader until it hears of another one. Here a leader is known while it is
/// heard: a follower that is cut off, or a leader that is, must not take PUTs as if all were well.
pub(crate) fn follow_raft(
    raft: &Raft,
    config: &Config,
    contact: Contact,
    tasks: &mut JoinSet<()>,
) -> (watch::Receiver<Leader>, watch::Receiver<Option<FatalError>>) {
    let metrics = raft.metrics();
    let mut server_metrics = raft.server_metrics();
    let silence_max = config.election_timeout_max * SILENT_ELECTION_TIMEOUTS;
    let look_interval = config.heartbeat;
    let (leader_tx, leader) = watch::channel(Leader::default());
    let (failure_tx, failure) = watch::channel(None);
    tasks.spawn(async move {
        loop {
            let now = {
                let metrics = metrics.borrow_watched();
                if let Err(error) = &metrics.running_state {
                    leader_tx.send_modify(|leader| leader.node = None);
                    failure_tx.send_replace(Some(FatalError(error.to_string())));
                    break;
                }
                current_leader(&metrics, &contact, silence_max)
            };
            leader_tx.send_if_modified(|old| {
                if old.node != now.node {
                    let node = now.node.as_ref().map(|(id, _)| id.to_string());
                    let node = node.as_deref().unwrap_or("none");
                    tracing::info!(term = %now.term, leader = node, "leadership");
                }
                let changed = *old != now;
                *old = now;
                changed
            });
            // A change, or the time to look whether the leader is still heard.
            let _ = timeout(look_interval, server_metrics.changed()).await;
        }
        // Keeps the watches open for those who wait on them.
        std::future::pending::<()>().await;
    });
    (leader, failure)
}

fn current_leader(
    metrics: &openraft::RaftMetrics<TypeConfig>,
    contact: &Contact,
    silence_max: Duration,
) -> Leader {
    let heard = match metrics.state {
        ServerState::Leader => {
            metrics.membership_config.voter_ids().count() == 1
                || metrics
                    .last_quorum_acked
                    .is_some_and(|acked| acked.elapsed() < silence_max)
        }
        _ => contact.elapsed() < silence_max,
    };
    let address = |id: NodeId| {
        let node = metrics.membership_config.get_node(&id);
        (id, node.map_or_else(String::new, |node| node.addr.clone()))
    };
    Leader {
        term: Term(metrics.current_term),
        node: metrics.current_leader.filter(|_| heard).map(address),
    }
}
