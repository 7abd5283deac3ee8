//! Who leads, as far as this node knows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use quorate_peer::NodeId;
use quorate_replica::Role;
use quorate_state::{LogIndex, Term};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    FatalError, RaftConfig,
    adapters::{Raft, RaftView},
    clocks::gossip::PeerGossip,
};

/// A leader that is silent for this many times the longest election timeout counts as unknown.
/// After one, the others elect a new leader; two more allow for a busy machine.
const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// How often in each heartbeat interval it is checked who leads. Messages tell when a quorum has
/// acknowledged the leader as of the last check.
const CHECKS_PER_HEARTBEAT: u32 = 5;

/// How long to wait before a request to a leader is retried, unless another one is known earlier.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leader {
    /// The current term.
    pub(crate) term: Term,
    /// The leader and its address, if one is known.
    pub(crate) node: Option<(NodeId, String)>,
}

impl Leader {
    pub(crate) fn is(&self, node: NodeId) -> bool {
        self.node
            .as_ref()
            .is_some_and(|(leader, _)| *leader == node)
    }
}

/// Publishes who leads, and whether Raft has failed, in watches that change with nothing else:
/// Raft's own metrics change several times with every entry.
///
/// Raft remembers the last leader until it knows another one. Here a leader is only known while it
/// is heard from: a follower or a leader that is cut off must not accept PUTs as if all were well.
///
/// `has_leader` is whether a leader is known, readable without a lock. `gossip` receives the time
/// at which a quorum last acknowledged this leader, and reports it to the peers.
pub(crate) fn publish_leader(
    raft: &Raft,
    config: &RaftConfig,
    gossip: Arc<PeerGossip>,
    failure: watch::Sender<Option<FatalError>>,
    has_leader: Arc<AtomicBool>,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Leader> {
    let silence_max = config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS;
    let (raft, check_interval) = (raft.clone(), config.heartbeat() / CHECKS_PER_HEARTBEAT);
    let (leader_tx, leader) = watch::channel(Leader::default());
    tasks.spawn(async move {
        let on_view = |view: RaftView| {
            if view.failure.is_some() {
                has_leader.store(false, Ordering::Relaxed);
                leader_tx.send_modify(|leader| leader.node = None);
                failure.send_replace(view.failure);
                return false;
            }
            let leader = view.leader.as_ref().map(|(node, _)| *node);
            gossip.set_leader(leader, quorum_ack(&view));
            let now = current_leader(view, silence_max);
            has_leader.store(now.node.is_some(), Ordering::Relaxed);
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
            true
        };
        // Called at each change, and periodically to check whether the leader is still heard from.
        raft.watch(check_interval, on_view).await;
        // Keeps the watches open for their readers.
        std::future::pending::<()>().await;
    });
    leader
}

/// When a quorum last acknowledged this leader, and what is committed. `None` until it knows what
/// is committed. A leader that is the only voter needs no acknowledgement.
fn quorum_ack(view: &RaftView) -> Option<(Instant, LogIndex)> {
    let age = match view.voters.len() {
        1 if view.role == Role::Leader => Duration::ZERO,
        _ => view.quorum_ack_age?,
    };
    let acked = view.knows_committed.then(|| Instant::now() - age);
    acked.map(|at| (at, view.committed))
}

fn current_leader(view: RaftView, silence_max: Duration) -> Leader {
    let is_in_contact = match view.role {
        Role::Leader => {
            view.voters.len() == 1 || view.quorum_ack_age.is_some_and(|age| age < silence_max)
        }
        _ => view.leader_contact_age < silence_max,
    };
    Leader {
        term: view.term,
        node: view.leader.filter(|_| is_in_contact),
    }
}

/// Resolves when a leader is known that is not `leader`: what was sent to `leader` may never be
/// answered.
pub(crate) async fn superseded(mut leaders: watch::Receiver<Leader>, leader: &Leader) {
    let other = |now: &Leader| now.node.is_some() && now != leader;
    if leaders.wait_for(other).await.is_err() {
        std::future::pending().await
    }
}

/// Resolves when no leader has been known for `duration`, or the task that publishes the leader has
/// ended.
pub(crate) async fn leaderless(mut leaders: watch::Receiver<Leader>, duration: Duration) {
    while leaders.wait_for(|now| now.node.is_none()).await.is_ok() {
        let elected = leaders.wait_for(|now| now.node.is_some());
        if !matches!(timeout(duration, elected).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Waits until the known leader changes, for a limited time.
pub(crate) async fn next_leader(leaders: &mut watch::Receiver<Leader>) {
    // The task that publishes the leader has ended: the node is shutting down, and the caller with
    // it.
    if let Ok(Err(_)) = timeout(RETRY_INTERVAL, leaders.changed()).await {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
