//! Who leads, as far as this node can tell.

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
    adapters::{Raft, View},
    clocks::gossip::PeerGossip,
};

/// How many of the longest election timeouts a leader may be silent before it counts as unknown.
/// After one, the others elect a new one; two more forgive a machine that was busy.
const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// How long to wait before a leader is asked again, if nothing is heard of another one before.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Leader {
    /// The term that this is about.
    pub(crate) term: Term,
    /// The leader and its address, if one is known.
    pub(crate) node: Option<(NodeId, String)>,
}

/// Keeps who leads, and whether Raft has failed, in watches that change with nothing else: Raft's own
/// metrics change several times with every entry.
///
/// Raft remembers the last leader until it hears of another one. Here a leader is known while it is
/// heard: a follower that is cut off, or a leader that is, must not take PUTs as if all were well.
///
/// `has_leader` says whether one is known, without a lock.
///
/// A leader's peers are told, by way of `gossip`, when a quorum last acknowledged it.
pub(crate) fn follow(
    raft: &Raft,
    config: &RaftConfig,
    gossip: Arc<PeerGossip>,
    failure: watch::Sender<Option<FatalError>>,
    has_leader: Arc<AtomicBool>,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<Leader> {
    let silence_max = config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS;
    let (raft, look_interval) = (raft.clone(), config.heartbeat());
    let (leader_tx, leader) = watch::channel(Leader::default());
    tasks.spawn(async move {
        let see = |view: View| {
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
        // At each change, and when it is time to look whether the leader is still heard.
        raft.watch(look_interval, see).await;
        // Keeps the watches open for those who wait on them.
        std::future::pending::<()>().await;
    });
    leader
}

/// When a quorum last acknowledged this leader, once it knows what is committed. One that votes alone
/// needs nobody.
fn quorum_ack(view: &View) -> Option<(Instant, LogIndex)> {
    let age = match view.voters.len() {
        1 if view.role == Role::Leader => Duration::ZERO,
        _ => view.quorum_ack_age?,
    };
    let acked = view.knows_committed.then(|| Instant::now() - age);
    acked.map(|at| (at, view.committed))
}

fn current_leader(view: View, silence_max: Duration) -> Leader {
    let heard = match view.role {
        Role::Leader => {
            view.voters.len() == 1 || view.quorum_ack_age.is_some_and(|age| age < silence_max)
        }
        _ => view.leader_contact_age < silence_max,
    };
    Leader {
        term: view.term,
        node: view.leader.filter(|_| heard),
    }
}

/// Resolves when `leader` no longer leads: what was sent to it may never be answered.
pub(crate) async fn superseded(mut leaders: watch::Receiver<Leader>, leader: &Leader) {
    let other = |now: &Leader| now.node.is_some() && now != leader;
    if leaders.wait_for(other).await.is_err() {
        std::future::pending().await
    }
}

/// Resolves when no leader has been known for as long as `patience`, or nobody says any more who leads.
pub(crate) async fn leaderless(mut leaders: watch::Receiver<Leader>, patience: Duration) {
    while leaders.wait_for(|now| now.node.is_none()).await.is_ok() {
        let elected = leaders.wait_for(|now| now.node.is_some());
        if !matches!(timeout(patience, elected).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Waits until something is heard of a leader, and not for long.
pub(crate) async fn next_leader(leaders: &mut watch::Receiver<Leader>) {
    // Nobody says any more who leads: the node is being stopped, and so is whoever waits here.
    if let Ok(Err(_)) = timeout(RETRY_INTERVAL, leaders.changed()).await {
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
