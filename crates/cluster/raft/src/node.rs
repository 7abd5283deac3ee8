//! A node: Raft, log and store put together.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use quorate_peer::{LogState, Service, chain};
use quorate_replica::NotReady;
use quorate_store::Index;
use quorate_store::Store;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    FatalError, Known, RaftConfig, ShutdownError,
    adapters::StateMachine,
    clocks::exchange::Exchange,
    leadership::handover::Handover,
    links::service::PeerService,
    membership::{removal::Removed, roster::Roster},
    snapshots::checkpoint::checkpoint_applied,
    start::recovery::Recovery,
    writes::Puts,
    writes::write_path::WritePath,
};

pub struct Node {
    pub(crate) config: RaftConfig,
    pub(crate) write_path: WritePath,
    pub(crate) state_machine: StateMachine,
    pub(crate) store: Arc<Store>,
    pub(crate) index: Arc<Index>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) puts: Arc<Puts>,
    /// Whether a leader is known, for those who ask at every read.
    pub(crate) has_leader: Arc<AtomicBool>,
    pub(crate) failure: watch::Receiver<Option<FatalError>>,
    pub(crate) service: Arc<PeerService>,
    pub(crate) recovery: Recovery,
    pub(crate) handover: Handover,
    pub(crate) removed: Removed,
    pub(crate) closing: AtomicBool,
    pub(crate) tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Node {
    /// What the transport hands incoming links to.
    pub fn service(&self) -> Arc<dyn Service> {
        self.service.clone()
    }

    /// Resolves when replication has stopped by itself: the log or the store failed, or the others
    /// know that this node has lost its data. The process must exit then, without another write.
    pub async fn failed(&self) -> FatalError {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // Nobody is left to say it: the node is being shut down.
            _ => std::future::pending().await,
        }
    }

    pub(crate) fn roster(&self) -> &Roster {
        self.service.peers.roster()
    }

    /// What this node knows of its cluster, now and later: to be kept beside log and store for the
    /// next start.
    pub fn known(&self) -> watch::Receiver<Known> {
        self.roster().known()
    }

    /// Resolves when this node has applied an entry of the cluster, so that it has a part in it.
    pub async fn joined(&self) {
        let mut applied = self.write_path.applied.clone();
        // Fails only when the node is gone, and nobody waits here.
        let _ = applied.wait_for(|meta| meta.applied.is_some()).await;
    }

    /// Resolves when a leader is known and this node has caught up with it.
    pub async fn ready(&self) {
        let mut leader = self.write_path.leader.clone();
        while self.not_ready().is_some() {
            let _ = timeout(self.config.heartbeat(), leader.changed()).await;
        }
    }

    /// Takes no more PUTs and says so, while those under way go on. Who watches keys is let go.
    pub fn begin_shutdown(&self) {
        self.closing.store(true, Ordering::Release);
        self.state_machine.feed().close();
    }

    /// Stops: takes no more PUTs, hands leadership to another voter if it leads, makes a checkpoint
    /// so that the next start is quick. Fails if consensus had ended by itself, or if the checkpoint
    /// cannot be made.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.begin_shutdown();
        self.handover.stop().await;
        self.tasks.lock().await.shutdown().await;
        let raft = &self.write_path.raft;
        raft.shutdown().await.map_err(ShutdownError::Consensus)?;
        let checkpoint = checkpoint_applied(&self.state_machine).await;
        checkpoint.map_err(|error| ShutdownError::Checkpoint(chain(&error)))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Why the node is not ready to serve, if it is not.
    pub(crate) fn not_ready(&self) -> Option<NotReady> {
        if self.is_closing() {
            Some(NotReady::ShuttingDown)
        } else if self.failure.borrow().is_some() {
            Some(NotReady::Failed)
        } else if self.removed.is_known() {
            Some(NotReady::Removed)
        } else if self.service.log_state() == LogState::Empty {
            Some(match self.config.voters.is_empty() {
                true => NotReady::Pending,
                false => NotReady::Founding,
            })
        } else if !self.recovery.serves_reads() {
            Some(NotReady::Recovering)
        } else if self.write_path.leader.borrow().node.is_none() {
            Some(NotReady::NoLeader)
        } else if !self.recovery.is_complete() {
            Some(NotReady::Recovering)
        } else {
            None
        }
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
