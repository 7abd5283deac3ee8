//! A node: while it opens its files, and when it is open with Raft, log and store.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use quorate_peer::{NodeId, chain, lock};
use quorate_replica::{NotReady, ReadError, VoterCount};
use quorate_store::Index;
use tokio::{
    sync::{SetOnce, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    FatalError, KnownMembers, ShutdownError,
    adapters::{NOT_FOUNDED, flushed},
    leadership::leader::leaderless,
    links::service::PeerService,
    node_context::NodeContext,
    snapshots::checkpoint::checkpoint_applied,
    writes::WriteQueue,
    writes::write_path::WritePath,
};

/// A node. Until it is open it only reports its current step, and serves nothing.
pub struct Node {
    pub(crate) id: NodeId,
    step: Mutex<NotReady>,
    pub(crate) open: SetOnce<OpenNode>,
}

/// What a node has once it is open.
pub(crate) struct OpenNode {
    pub(crate) context: Arc<NodeContext>,
    pub(crate) write_path: WritePath,
    pub(crate) index: Arc<Index>,
    pub(crate) write_queue: Arc<WriteQueue>,
    pub(crate) service: Arc<PeerService>,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Node {
    /// A node that is not being opened yet.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            step: Mutex::new(NotReady::Opening),
            open: SetOnce::new(),
        }
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Sets and logs the current step of a node that is not open yet.
    pub fn enter(&self, step: NotReady) {
        tracing::info!("{step}");
        *lock(&self.step) = step;
    }

    /// The open node. Fails with the current step while it is not open.
    pub(crate) fn opened(&self) -> Result<&OpenNode, NotReady> {
        let step = || *lock(&self.step);
        self.open.get().ok_or_else(step)
    }

    /// The open node, once it has caught up, so that reads are allowed.
    pub(crate) fn caught_up(&self) -> Result<&OpenNode, ReadError> {
        let open = self.opened().map_err(ReadError::NotReady)?;
        match open.context.recovery.serves_reads() {
            true => Ok(open),
            false => Err(ReadError::NotReady(NotReady::Recovering)),
        }
    }

    /// The open node, once it has caught up and the cluster serves packets. A cluster that was restored or
    /// recovered answers reads before it has all its voters: it has packets that nobody else has.
    pub(crate) fn readable(&self) -> Result<&OpenNode, ReadError> {
        let open = self.caught_up()?;
        match open.forming() {
            None | Some(NotReady::Restored(_)) => Ok(open),
            Some(forming) => Err(ReadError::NotReady(forming)),
        }
    }

    /// Resolves when replication has stopped on its own: the log or the store failed, or the peers
    /// know that this node has lost its data. The process must then exit without another write.
    pub async fn failed(&self) -> FatalError {
        let mut failure = self.open.wait().await.context.failure.subscribe();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // The sender is gone: the node is being shut down.
            _ => std::future::pending().await,
        }
    }

    /// Resolves when this node has applied the entry that founded the cluster and has it on disk.
    /// From then on the node is part of the cluster and its log is never empty again. The caller
    /// must store the members that the returned receiver yields, now and later, for the next start.
    pub async fn joined(&self) -> watch::Receiver<KnownMembers> {
        let open = self.open.wait().await;
        let mut applied = open.write_path.applied.clone();
        // Fails only when the node is gone, and its callers with it.
        let _ = applied.wait_for(|meta| meta.cluster.id.is_some()).await;
        let NodeContext {
            raft, log, config, ..
        } = &*open.context;
        // openraft installs a snapshot first, and only later lets the log start after it.
        let is_log_empty = |_| log.state().last.is_none();
        raft.watch(config.heartbeat(), is_log_empty).await;
        if flushed(|on_flushed| log.sync(on_flushed)).await.is_err() {
            // The node stops because its log has failed.
            std::future::pending().await
        }
        open.context.peers.membership_view.known()
    }

    /// The address at which the members reach this node, by the last membership in its log.
    pub fn address(&self) -> Option<String> {
        let nodes = self.open.get()?.context.raft.membership().nodes;
        nodes.get(&self.id).cloned()
    }

    /// Resolves when a leader is known and this node has caught up with it.
    pub async fn ready(&self) {
        let open = self.open.wait().await;
        let mut leader = open.context.leader.clone();
        while open.not_ready().is_some() {
            let _ = timeout(open.context.config.heartbeat(), leader.changed()).await;
        }
    }

    /// Rejects new PUTs with "shutting down", while those in progress continue as long as there is
    /// a leader that could accept them. Ends the streams of clients that watch keys.
    pub fn begin_shutdown(&self) {
        if let Some(open) = self.open.get() {
            let was_closing = open.closing.send_replace(true);
            open.context.state_machine.feed.close();
            let (stopping_without_leader, write_queue) =
                (open.stopping_without_leader(), open.write_queue.clone());
            if !was_closing {
                tokio::spawn(async move {
                    stopping_without_leader.await;
                    write_queue.close();
                });
            }
        }
    }

    /// Stops the node: rejects new PUTs, hands leadership to another voter if this node leads, and
    /// writes a checkpoint so that the next start is quick. Fails if consensus had stopped on its
    /// own, or if the checkpoint cannot be written. Does nothing to a node that is not open.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        let Some(open) = self.open.get() else {
            return Ok(());
        };
        self.begin_shutdown();
        open.context.hand_over().await;
        open.tasks.lock().await.shutdown().await;
        let stopped = open.context.raft.shutdown().await;
        stopped.map_err(ShutdownError::Consensus)?;
        let checkpoint = checkpoint_applied(&open.context.state_machine).await;
        checkpoint.map_err(|error| ShutdownError::Checkpoint(chain(&error)))
    }
}

impl OpenNode {
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves when this node is shutting down and waiting for a leader is useless: it is no
    /// longer a member, or has known no leader for the longest election timeout.
    pub(crate) fn stopping_without_leader(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut closing, context) = (self.closing.subscribe(), &self.context);
        let leader = context.leader.clone();
        let leader_wait = match context.is_removed() {
            true => Duration::ZERO,
            false => context.config.election_timeout_max(),
        };
        async move {
            // Fails when the node is gone.
            let _ = closing.wait_for(|closing| *closing).await;
            leaderless(leader, leader_wait).await;
        }
    }

    /// Why the cluster does not serve packets yet: it has fewer voters than it was founded for.
    /// `None` if it does serve.
    pub(crate) fn forming(&self) -> Option<NotReady> {
        let wanted = self.context.state_machine.forming()?;
        if wanted == NOT_FOUNDED {
            return Some(NotReady::Recovering);
        }
        let voters = self.context.raft.view().voters.len();
        let voters = u32::try_from(voters).unwrap_or(u32::MAX);
        let count = VoterCount { voters, wanted };
        Some(match self.is_restored() {
            true => NotReady::Restored(count),
            false => NotReady::Forming(count),
        })
    }

    /// Whether the cluster began with the packets of another one.
    fn is_restored(&self) -> bool {
        self.context.state_machine.meta().cluster.restored.is_some()
    }

    /// Why the node is not ready to serve; `None` if it is ready.
    pub(crate) fn not_ready(&self) -> Option<NotReady> {
        let context = &self.context;
        if self.is_closing() {
            Some(NotReady::ShuttingDown)
        } else if context.failure.borrow().is_some() {
            Some(NotReady::Failed)
        } else if context.is_removed() {
            Some(NotReady::Removed)
        } else if context.log.state().last.is_none() {
            Some(NotReady::Pending)
        } else if !context.recovery.serves_reads() {
            Some(NotReady::Recovering)
        } else if let Some(forming) = self.forming() {
            Some(forming)
        } else if context.leader.borrow().node.is_none() {
            Some(NotReady::NoLeader)
        } else if !context.recovery.is_complete() {
            Some(NotReady::Recovering)
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
