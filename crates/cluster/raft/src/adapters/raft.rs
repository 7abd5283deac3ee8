//! Raft as the rest of the crate sees it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    ReadPolicy,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, Fatal, InitializeError, RaftError},
    impls::ProgressResponder,
    raft::{AppendEntriesRequest, ClientWriteResponse, TransferLeaderRequest},
};
use quorate_log::Log;
use quorate_peer::{
    NodeId,
    message::{self, Proposed},
};
use quorate_state::{LogIndex, LogPosition, Outcome};
use tokio::{sync::watch, time::Instant};

use super::{
    answered::AnsweredRequests,
    conversions::{IntoOpenraft, IntoOurs},
    log_storage::LogStorage,
    network::Networks,
    state_machine::StateMachine,
    types::{EncodedCommand, TypeConfig},
    view::RaftView,
};
use crate::{
    FatalError, RaftConfig, background::space::DiskSpace, error::OpenError, links::peers::Peers,
    snapshots::receive_slot::ReceiveSlot, snapshots::transfers::SnapshotTransfers,
};

/// Consensus over a log, a store and links to peers. Clones share it.
///
/// It has neither log nor store: a clone that is kept does not keep their files locked.
#[derive(Clone)]
pub(crate) struct Raft {
    pub(super) openraft: openraft::Raft<TypeConfig, StateMachine>,
    /// Where a snapshot is received.
    pub(crate) receive_slot: ReceiveSlot,
    /// The snapshots that are being sent to peers.
    transfers: SnapshotTransfers,
    answered: AnsweredRequests,
    /// When this node last accepted a message of a leader.
    pub(super) leader_contact: watch::Sender<Instant>,
    /// The vote whose lease this node has released, and when.
    released_lease: watch::Sender<Option<(message::Vote, Instant)>>,
    /// When it is low, this node proposes nothing and rejects the commands of other leaders.
    pub(crate) space: DiskSpace,
}

impl Raft {
    /// Builds Raft and applies what was known to be committed. The node neither votes nor becomes a
    /// candidate before [`run`](Self::run). Fails if the settings contradict each other, or log and
    /// store do not fit.
    pub(crate) async fn build(
        config: &RaftConfig,
        log: Arc<Log>,
        state_machine: StateMachine,
        peers: Arc<Peers>,
        space: DiskSpace,
    ) -> Result<Self, OpenError> {
        let settings = openraft::Config::try_from(config);
        let transfers = state_machine.transfers.clone();
        let times = state_machine.entry_times.clone();
        let answered = AnsweredRequests::default();
        let networks = Networks {
            peers,
            transfers: transfers.clone(),
            answered: answered.clone(),
        };
        let raft = openraft::Raft::build(
            config.node,
            Arc::new(settings.map_err(|e| OpenError::Config(e.to_string()))?),
            networks,
            LogStorage(log, times),
            state_machine,
        );
        Ok(Self {
            openraft: raft.await.map_err(OpenError::raft)?,
            receive_slot: ReceiveSlot::default(),
            transfers,
            answered,
            leader_contact: watch::Sender::new(Instant::now()),
            released_lease: watch::Sender::default(),
            space,
        })
    }

    /// Starts to take part in the cluster.
    pub(crate) fn run(&self) {
        self.openraft.run();
    }

    /// Founds a cluster with this node as its only member. Does nothing if the log is not empty.
    pub(crate) async fn found(&self, config: &RaftConfig) -> Result<(), OpenError> {
        match self.openraft.initialize(config.founders()).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(OpenError::raft(error)),
        }
    }

    /// Sets whether this node may become a candidate on its own.
    pub(crate) fn set_electable(&self, may_elect: bool) {
        self.openraft.runtime_config().elect(may_elect);
    }

    pub(crate) fn leader_contact(&self) -> Instant {
        *self.leader_contact.borrow()
    }

    /// The last vote of this node, after all earlier requests to Raft. `None` when Raft has
    /// stopped.
    pub(crate) async fn vote(&self) -> Option<message::Vote> {
        let vote = self.openraft.with_raft_state(|state| *state.vote_ref());
        vote.await.ok().map(IntoOurs::into_ours)
    }

    /// Releases the lease of the leader that this node last voted for, if that is `vote`: the node
    /// may vote for another from now on. openraft restores a lease with the next term, not with the
    /// next heartbeat.
    pub(crate) async fn release_lease(&self, vote: message::Vote) {
        self.released_lease
            .send_replace(Some((vote, Instant::now())));
        // This is the message of a leader that hands over, to the nodes that should not succeed it.
        // Nothing else makes openraft release a lease.
        let request = TransferLeaderRequest::new(vote.into_openraft(), vote.node, None);
        let _ = self.openraft.handle_transfer_leader(request).await;
    }

    /// The leader whose lease this node has released last, and when.
    pub(crate) fn released_lease(&self) -> Option<(message::Vote, Instant)> {
        *self.released_lease.borrow()
    }

    /// Requests pre-votes from the others, and starts an election if a majority grants them. Does
    /// nothing while this node has the lease of a leader.
    pub(crate) async fn request_pre_votes(&self) {
        let _ = self.openraft.trigger().elect(true).await;
    }

    /// Makes this node a candidate immediately.
    #[cfg(test)]
    pub(crate) async fn elect(&self) {
        self.openraft.trigger().elect(false).await.unwrap();
    }

    /// Proposes an encoded command and returns its outcome. Rejected if this node does not lead or
    /// has no space for it.
    pub(crate) async fn propose(&self, command: Bytes) -> Proposed<Outcome> {
        if !self.openraft.is_leader() || self.space.is_low() {
            return Proposed::Rejected;
        }
        let (responder, done) = ProgressResponder::<TypeConfig, _>::complete_only();
        let proposed = self
            .openraft
            .client_write_ff(EncodedCommand(command), Some(responder));
        if proposed.await.is_err() {
            return Proposed::Unknown;
        }
        match done.await {
            Ok(Ok(ClientWriteResponse {
                log_id,
                data: Some(outcomes),
                ..
            })) => Proposed::Applied {
                position: log_id.into_ours(),
                outcomes,
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Proposed::Rejected,
            _ => Proposed::Unknown,
        }
    }

    /// Learns that `leader` has committed the entry at `position`, as from an AppendEntries of it without
    /// entries. Does nothing if this node follows another vote by now: then the next leader says what is
    /// committed.
    pub(crate) async fn learn_committed(&self, leader: NodeId, position: LogPosition) {
        let vote = self.openraft.metrics().borrow_watched().vote;
        let ours = vote.into_ours();
        if !ours.committed || ours.node != leader || ours.term != position.term {
            return;
        }
        let at = Some(position).into_openraft();
        let request = AppendEntriesRequest {
            vote,
            prev_log_id: at,
            entries: Vec::new(),
            leader_commit: at,
        };
        // It is no more than what the leader itself sends a little later.
        let _ = self.openraft.append_entries(request).await;
    }

    /// The index that a read must have applied to see everything committed before the call. `None`
    /// when this node cannot confirm that it leads.
    pub(crate) async fn read_index(&self) -> Option<LogIndex> {
        let asked = Instant::now();
        loop {
            let linearizer = self.openraft.get_read_linearizer(ReadPolicy::ReadIndex);
            let linearizer = linearizer.await.ok()?;
            // If not, openraft took an old acknowledgement for a new one. It asks the peers again.
            if self.is_followed_since(asked).await? {
                return Some(LogIndex(linearizer.read_log_id().log_id().index()));
            }
        }
    }

    /// Whether a quorum has answered requests that this leader sent at `since` or later. `None` if
    /// it does not lead.
    async fn is_followed_since(&self, since: Instant) -> Option<bool> {
        let state = self.openraft.with_raft_state(|state| {
            let effective = state.membership_state.effective();
            (*state.vote_ref(), effective.get_joint_config().clone())
        });
        let (vote, configs) = state.await.ok()?;
        let vote: message::Vote = vote.into_ours();
        let own = *self.openraft.node_id();
        (vote.committed && vote.node == own).then(|| {
            self.answered
                .is_quorum_since(since, vote.term, own, &configs)
        })
    }

    pub(crate) fn view(&self) -> RaftView {
        let leader_contact_age = self.leader_contact.borrow().elapsed();
        RaftView::new(
            &self.openraft.metrics().borrow_watched(),
            leader_contact_age,
        )
    }

    /// Calls `on_view` with the current state of consensus, whenever the term, the role, the leader
    /// or the members have changed, and at least every `interval`, until it returns false. When
    /// openraft's task has ended, even by a panic, the last view has the failure.
    pub(crate) async fn watch(
        &self,
        interval: Duration,
        mut on_view: impl FnMut(RaftView) -> bool,
    ) {
        let mut changes = self.openraft.server_metrics();
        while on_view(self.view()) {
            if let Ok(Err(_)) = tokio::time::timeout(interval, changes.changed()).await {
                let ended = "the task of consensus ended without an error: it has panicked";
                let failure = self.view().failure;
                on_view(RaftView {
                    failure: Some(failure.unwrap_or(FatalError::Replication(ended.to_owned()))),
                    ..self.view()
                });
                return;
            }
        }
    }

    /// Triggers a checkpoint. Does nothing when Raft has stopped, which its view reports.
    pub(crate) async fn trigger_checkpoint(&self) {
        let _ = self.openraft.trigger().snapshot().await;
    }

    /// Triggers a purge of the log up to and including `upto`, as far as the checkpoint allows.
    /// Does nothing when Raft has stopped.
    pub(crate) async fn trigger_purge(&self, upto: LogIndex) {
        let _ = self.openraft.trigger().purge_log(upto.0).await;
    }

    #[cfg(test)]
    pub(crate) fn transfers(&self) -> &SnapshotTransfers {
        &self.transfers
    }

    /// The entry up to which transfers allow the log to be purged, if there are any. Ends them if
    /// this node does not lead, or `may_retain` is false.
    pub(crate) fn purge_limit(&self, may_retain: bool) -> Option<LogIndex> {
        let metrics = self.openraft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = metrics.replication.as_ref().filter(|_| may_retain) else {
            self.transfers.end();
            return None;
        };
        let last_log = LogIndex(metrics.last_log_index.unwrap_or_default());
        self.transfers.purge_limit(last_log, |peer| {
            let match_index = replication.get(&peer)?.as_ref()?;
            Some(LogIndex(match_index.index()))
        })
    }

    /// Asks `successor` to become the leader. Does nothing when Raft has stopped, because then this
    /// node does not lead.
    pub(crate) async fn trigger_transfer(&self, successor: NodeId) {
        let _ = self.openraft.trigger().transfer_leader(successor).await;
    }

    #[cfg(test)]
    pub(crate) async fn panic(&self) {
        let request = self
            .openraft
            .with_raft_state(|_| panic!("as the test asks"));
        let _: Result<(), _> = request.await;
    }

    /// Stops Raft. Fails if it had already stopped because of an error or a panic.
    pub(crate) async fn shutdown(&self) -> Result<(), FatalError> {
        let joined = self.openraft.shutdown().await;
        joined.map_err(|error| FatalError::Replication(error.to_string()))?;
        // openraft reports how its task ended only in the answer to a request.
        match self.openraft.with_raft_state(|_| ()).await {
            Ok(()) | Err(Fatal::Stopped) => Ok(()),
            Err(error) => Err(FatalError::Replication(error.to_string())),
        }
    }
}
