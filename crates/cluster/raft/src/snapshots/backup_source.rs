//! What a backup is made from.

use std::{sync::atomic::Ordering, time::Duration};

use quorate_clock::ClockState;
use quorate_peer::{NodeId, chain, message::Membership};
use quorate_replica::{NotReady, ReadError};
use quorate_state::{ClusterId, LastBackup, UnixMillis};
use quorate_store::{CheckpointScope, IoSpeed, Meta, Snapshot, SnapshotPackets};

use crate::{
    Node,
    adapters::{StateMachine, applied_membership},
    clocks::commit_freshness::FRESHNESS_MAX,
    error::BoxError,
};

/// What a node has as of one entry. It pins pages of the store: drop it as soon as possible.
pub struct BackupSource {
    pub node: NodeId,
    pub packets: SnapshotPackets,
    pub meta: Meta,
    /// The members as of that entry.
    pub members: Membership,
    pub has_leader: bool,
    /// For at most how long the cluster may have committed entries that this node lacks. `None` if
    /// the cluster has no time yet.
    pub staleness: Option<Duration>,
}

/// What decides who makes the next scheduled backup.
pub struct BackupView {
    pub cluster: ClusterId,
    pub voters: Vec<NodeId>,
    pub leader: Option<NodeId>,
    pub last: LastBackup,
    /// The cluster time.
    pub now: UnixMillis,
}

impl Node {
    /// What decides who makes the next scheduled backup. `None` while this node is not ready, or does not know
    /// the time.
    pub fn backup_view(&self) -> Option<BackupView> {
        let open = self.open.get()?;
        if open.not_ready().is_some() {
            return None;
        }
        let context = &open.context;
        let reading = context.gossip.time();
        let meta = context.state_machine.meta();
        let leader = context.leader.borrow().node.clone();
        (reading.state == ClockState::Agreed).then_some(BackupView {
            cluster: meta.cluster.id?,
            voters: context.raft.view().voters.into_iter().collect(),
            leader: leader.map(|(node, _)| node),
            last: meta.cluster.last_backup.clone(),
            now: reading.time,
        })
    }

    /// Writes a checkpoint of what is applied now, and reads it. If it cannot be written, because
    /// the disk is full for example, the last one is read. Needs no leader.
    pub async fn backup_source(&self) -> Result<BackupSource, ReadError> {
        let open = self.opened().map_err(ReadError::NotReady)?;
        let context = &open.context;
        let has_leader = context.has_leader.load(Ordering::Relaxed);
        let now = context.gossip.time().time;
        let (snapshot, packets) = snapshot(&context.state_machine)
            .await
            .map_err(|error| ReadError::Failed(chain(&*error)))?;
        let meta = snapshot.meta().clone();
        if meta.cluster.id.is_none() {
            return Err(ReadError::NotReady(NotReady::Recovering));
        }
        let members =
            applied_membership(&meta).map_err(|error| ReadError::Failed(chain(&error)))?;
        let staleness = match context.gossip.is_current(meta.applied_index()) {
            true => Some(FRESHNESS_MAX),
            false => {
                let last = meta.cluster.time.last_in_log();
                last.map(|last| now.since(last).max(FRESHNESS_MAX))
            }
        };
        Ok(BackupSource {
            node: self.id,
            packets,
            members: members.membership,
            meta,
            has_leader,
            staleness,
        })
    }
}

async fn snapshot(state_machine: &StateMachine) -> Result<(Snapshot, SnapshotPackets), BoxError> {
    let written = state_machine.checkpoint(CheckpointScope::Changes, IoSpeed::Gentle);
    if let Err(error) = written.await {
        let error = chain(&error);
        tracing::warn!(error, "no checkpoint for a backup: the last one is used");
    }
    let snapshot = state_machine.snapshot()?;
    let packets = snapshot.packets()?;
    Ok((snapshot, packets))
}
