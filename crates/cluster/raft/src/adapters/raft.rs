//! Raft as the rest of the crate sees it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use openraft::{
    ReadPolicy,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, Fatal, InitializeError, RaftError},
    impls::ProgressResponder,
    raft::{ClientWriteResponse, TransferLeaderRequest},
};
use quorate_log::Log;
use quorate_peer::{
    NodeId,
    message::{self, Proposed},
};
use quorate_state::{LogIndex, Outcome};
use tokio::{sync::watch, time::Instant};

use super::{
    conversions::{IntoOpenraft, IntoOurs},
    log_storage::LogStorage,
    network::Networks,
    state_machine::StateMachine,
    types::{EncodedCommand, TypeConfig},
    view::View,
};
use crate::{
    FatalError, RaftConfig, background::space::Space, error::OpenError, links::peers::Peers,
    snapshots::incoming::Incoming, snapshots::transfers::Transfers,
};

/// Consensus over a log, a store and links to peers. Clones are the same.
///
/// It holds neither log nor store: a clone that somebody keeps does not keep their files locked.
#[derive(Clone)]
pub(crate) struct Raft {
    pub(super) openraft: openraft::Raft<TypeConfig, StateMachine>,
    /// Where a snapshot is received.
    pub(crate) incoming: Incoming,
    /// The snapshots that are on their way to peers.
    transfers: Transfers,
    /// When this node last took a message of a leader.
    pub(super) leader_contact: watch::Sender<Instant>,
    /// With little of it, this node proposes nothing and refuses the commands of others.
    pub(crate) space: Space,
}

impl Raft {
    /// Applies what was known to be committed. Neither votes nor stands for election before
    /// [`run`](Self::run).
    pub(crate) async fn build(
        config: &RaftConfig,
        log: Arc<Log>,
        state_machine: StateMachine,
        peers: Arc<Peers>,
        space: Space,
    ) -> Result<Self, OpenError> {
        let settings = openraft::Config::try_from(config);
        let transfers = state_machine.transfers.clone();
        let networks = Networks {
            peers,
            transfers: transfers.clone(),
        };
        let raft = openraft::Raft::build(
            config.node,
            Arc::new(settings.map_err(|e| OpenError::Config(e.to_string()))?),
            networks,
            LogStorage(log),
            state_machine,
        );
        Ok(Self {
            openraft: raft.await.map_err(OpenError::raft)?,
            incoming: Incoming::default(),
            transfers,
            leader_contact: watch::Sender::new(Instant::now()),
            space,
        })
    }

    /// Takes part in the cluster from now on.
    pub(crate) fn run(&self) {
        self.openraft.run();
    }

    /// Begins a cluster of which this node is the only member.
    pub(crate) async fn found(&self, config: &RaftConfig) -> Result<(), OpenError> {
        match self.openraft.initialize(config.founders()).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(OpenError::raft(error)),
        }
    }

    /// Whether this node may stand for election by itself.
    pub(crate) fn set_standing(&self, may_stand: bool) {
        self.openraft.runtime_config().elect(may_stand);
    }

    /// When this node last took a message of a leader.
    pub(crate) fn leader_contact(&self) -> Instant {
        *self.leader_contact.borrow()
    }

    /// The last vote of this node, once it has done all that it was asked before. `None` when Raft
    /// has stopped.
    pub(crate) async fn vote(&self) -> Option<message::Vote> {
        let vote = self.openraft.with_raft_state(|state| *state.vote_ref());
        vote.await.ok().map(IntoOurs::into_ours)
    }

    /// Lets go of the lease of the leader that this node voted for last, if that is `vote`: it may
    /// vote for another from now on. openraft gives a lease back with the next term, not with the
    /// next heartbeat.
    pub(crate) async fn release_lease(&self, vote: message::Vote) {
        // What a leader that hands over says to those that shall not succeed it. Nothing else makes
        // openraft let go of a lease.
        let request = TransferLeaderRequest::new(vote.into_openraft(), vote.node, None);
        let _ = self.openraft.handle_transfer_leader(request).await;
    }

    /// Asks the others whether they would elect this node, and if a majority would, to do so. Does
    /// nothing while it holds the lease of a leader.
    pub(crate) async fn stand(&self) {
        let _ = self.openraft.trigger().elect(true).await;
    }

    /// Has this node stand for election at once.
    #[cfg(test)]
    pub(crate) async fn elect(&self) {
        self.openraft.trigger().elect(false).await.unwrap();
    }

    /// Proposes an encoded command, if this node leads and has space for it.
    pub(crate) async fn propose(&self, command: Bytes) -> Proposed<Outcome> {
        if !self.openraft.is_leader() || self.space.is_low() {
            return Proposed::Refused;
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
                index: LogIndex(log_id.index()),
                outcomes,
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Proposed::Refused,
            _ => Proposed::Unknown,
        }
    }

    /// The index that a read must have applied to see everything committed before now, or `None`
    /// when this node cannot confirm that it leads.
    pub(crate) async fn read_index(&self) -> Option<LogIndex> {
        let linearizer = self.openraft.get_read_linearizer(ReadPolicy::ReadIndex);
        let linearizer = linearizer.await.ok()?;
        Some(LogIndex(linearizer.read_log_id().log_id().index()))
    }

    pub(crate) fn view(&self) -> View {
        let leader_contact_age = self.leader_contact.borrow().elapsed();
        View::new(
            &self.openraft.metrics().borrow_watched(),
            leader_contact_age,
        )
    }

    /// Calls `see` with how consensus stands now and whenever the term, the role, the leader or the
    /// members have changed, and at least every `interval`, until it returns false. When openraft's
    /// task has ended, be it by a panic, the last view says so.
    pub(crate) async fn watch(&self, interval: Duration, mut see: impl FnMut(View) -> bool) {
        let mut changes = self.openraft.server_metrics();
        while see(self.view()) {
            if let Ok(Err(_)) = tokio::time::timeout(interval, changes.changed()).await {
                let ended = "the task of consensus has ended without a word: it has panicked";
                let failure = self.view().failure;
                see(View {
                    failure: Some(failure.unwrap_or(FatalError::Replication(ended.to_owned()))),
                    ..self.view()
                });
                return;
            }
        }
    }

    /// Has a checkpoint made. Does nothing when Raft has stopped, which its view tells.
    pub(crate) async fn trigger_checkpoint(&self) {
        let _ = self.openraft.trigger().snapshot().await;
    }

    /// Has the log cut through `upto`, as far as the checkpoint allows. Does nothing when Raft has
    /// stopped.
    pub(crate) async fn trigger_purge(&self, upto: LogIndex) {
        let _ = self.openraft.trigger().purge_log(upto.0).await;
    }

    /// The snapshots that are on their way to peers.
    #[cfg(test)]
    pub(crate) fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// The entry up to which transfers let the log be purged, if there are any. A node that does not
    /// lead, or has no space, ends them.
    pub(crate) fn purge_floor(&self, may_hold: bool) -> Option<LogIndex> {
        let metrics = self.openraft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = metrics.replication.as_ref().filter(|_| may_hold) else {
            self.transfers.end();
            return None;
        };
        let last_log = LogIndex(metrics.last_log_index.unwrap_or_default());
        self.transfers.floor(last_log, |peer| {
            let matching = replication.get(&peer)?.as_ref()?;
            Some(LogIndex(matching.index()))
        })
    }

    /// Asks `successor` to lead. Does nothing when Raft has stopped, and with it the leadership.
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

    /// Stops Raft. Fails if it had stopped by itself, by an error or a panic.
    pub(crate) async fn shutdown(&self) -> Result<(), FatalError> {
        let joined = self.openraft.shutdown().await;
        joined.map_err(|error| FatalError::Replication(error.to_string()))?;
        // openraft tells how its task ended to whoever asks something of it.
        match self.openraft.with_raft_state(|_| ()).await {
            Ok(()) | Err(Fatal::Stopped) => Ok(()),
            Err(error) => Err(FatalError::Replication(error.to_string())),
        }
    }
}
