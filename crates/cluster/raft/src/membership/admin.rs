//! What the leader answers to operators, whichever node they have asked.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use quorate_api::operate::{JoinCall, Members, Refusal, Request, Response};
use quorate_packet::PublicKey;
use quorate_peer::{NodeId, chain, message::Proposed};
use quorate_replica::Role;
use quorate_state::{
    ClusterState, Command, Invite, InviteId, LogIndex, Outcome, Registration, Rejection,
    UnixMillis, ZoneChange,
};
use quorate_store::Meta;
use tokio::{
    sync::{Mutex, MutexGuard, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    address::is_dialable,
    standing::{Other, Standing},
};
use crate::{
    RaftConfig,
    adapters::{Raft, View},
    clocks::exchange::Exchange,
    leadership::handover::Handover,
};

/// How many of the longest election timeouts a member may be silent that counts as alive: a machine
/// that is busy is not gone.
const SILENT_ELECTION_TIMEOUTS: u32 = 3;

/// How long a quorum may take to confirm a leader, or to commit a command. Then another may lead.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an operator waits for a change that is under way.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a successor may take. After that the others have elected one.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers operators while this node leads, and makes their changes.
pub(crate) struct Admin {
    pub(crate) config: RaftConfig,
    pub(crate) raft: Raft,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) applied: watch::Receiver<Meta>,
    pub(crate) handover: Handover,
    /// Held during a change: there is one at a time.
    pub(crate) change_lock: Mutex<()>,
}

impl Admin {
    /// The answer, which is a refusal when this node does not lead.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let answer = self.try_answer(request).await;
        answer.unwrap_or_else(Response::Refused)
    }

    async fn try_answer(&self, request: Request) -> Result<Response, Refusal> {
        self.catch_up().await?;
        match request {
            Request::Members => Ok(Response::Members(Members {
                leader: self.config.node,
                members: self.standing().listed(),
            })),
            Request::Invite {
                id,
                key,
                valid_secs,
                stays_learner,
            } => {
                let valid = Duration::from_secs(valid_secs);
                let invite = Invite {
                    key: PublicKey::from_bytes(key),
                    expires: self.now().saturating_add(valid),
                    stays_learner,
                    used_by: None,
                };
                self.invite(id, invite).await.map(Response::Invited)
            }
            Request::Join(call) => self.join(call).await,
            Request::Change { change, force } => {
                let locked = timeout(LOCK_TIMEOUT, self.change_lock.lock()).await;
                let _lock = locked.map_err(|_| Refusal::Busy)?;
                // Another may have led while this one waited.
                self.catch_up().await?;
                self.change(change, force).await.map(Response::Changed)
            }
            Request::Transfer(to) => {
                let leader = self.transfer(to.as_deref()).await?;
                Ok(Response::Transferred(leader))
            }
            Request::Name { node, name } => {
                let locked = timeout(LOCK_TIMEOUT, self.change_lock.lock()).await;
                let _lock = locked.map_err(|_| Refusal::Busy)?;
                self.catch_up().await?;
                self.name(node, name).await.map(|()| Response::Named)
            }
            Request::ChangeZone(change) => {
                let changed = self.change_zone(change).await;
                changed.map(Response::ZoneChanged)
            }
            Request::ChangePublishing(change) => {
                let changed = self.change_publishing(change).await;
                changed.map(Response::PublishingChanged)
            }
            Request::DeletePacket { key, block_ms } => {
                let block = block_ms.map(Duration::from_millis);
                self.delete_packet(PublicKey::from_bytes(key), block).await
            }
        }
    }

    /// Waits until this leader has applied what was committed before now. Fails if it does not lead.
    pub(super) async fn catch_up(&self) -> Result<(), Refusal> {
        let caught_up = async {
            let index = self.raft.read_index().await?;
            let mut applied = self.applied.clone();
            let applied = applied.wait_for(|meta| meta.applied_index() >= index).await;
            applied.ok().map(drop)
        };
        let caught_up = timeout(COMMIT_TIMEOUT, caught_up).await;
        caught_up.ok().flatten().ok_or(Refusal::NoLeader)
    }

    /// The lock of changes, if nobody has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, ()>> {
        self.change_lock.try_lock().ok()
    }

    /// How the members are now, as this leader knows.
    pub(super) fn standing(&self) -> Standing {
        let progress = self.raft.progress();
        let membership = self.raft.membership();
        let others = membership
            .nodes
            .keys()
            .filter(|id| **id != self.config.node);
        let other = |node: &NodeId| {
            let progress = progress.get(node).copied().unwrap_or_default();
            let other = Other {
                matching: progress.matching,
                silence: progress.ack_age,
            };
            (*node, other)
        };
        Standing {
            leader: self.config.node,
            others: others.map(other).collect(),
            membership,
            roll: self.cluster().roll,
            last_log: self.raft.view().last_log,
            silence_max: self.silence_max(),
        }
    }

    /// How long ago a member may have been heard that counts as alive.
    pub(super) fn silence_max(&self) -> Duration {
        self.config.election_timeout_max() * SILENT_ELECTION_TIMEOUTS
    }

    /// What the cluster has agreed on.
    pub(super) fn cluster(&self) -> ClusterState {
        self.applied.borrow().cluster.clone()
    }

    /// The same, and up to which entry that is.
    pub(super) fn cluster_and_index(&self) -> (ClusterState, LogIndex) {
        let meta = self.applied.borrow();
        (meta.cluster.clone(), meta.applied_index())
    }

    pub(super) fn leads(&self) -> bool {
        let View { role, .. } = self.raft.view();
        role == Role::Leader
    }

    /// Fails while the cluster is being founded.
    pub(super) fn check_founded(&self) -> Result<(), Refusal> {
        let id = self.cluster().names.id;
        id.map(drop).ok_or(Refusal::NoLeader)
    }

    /// Has a command committed and applied here.
    pub(super) async fn commit(&self, command: Command) -> Result<Outcome, Refusal> {
        let committed = self.commit_entry(command).await;
        committed.map(|(_, outcome)| outcome)
    }

    /// The same, and says where it stands in the log.
    pub(super) async fn commit_entry(
        &self,
        command: Command,
    ) -> Result<(LogIndex, Outcome), Refusal> {
        let proposed = timeout(COMMIT_TIMEOUT, self.raft.propose(command.encode())).await;
        match proposed {
            Ok(Proposed::Applied { index, outcomes }) => match outcomes {
                Outcome::Rejected(Rejection::InviteCount) => Err(Refusal::InviteCount),
                Outcome::Rejected(Rejection::AboveCluster { .. }) => Err(Refusal::Unsupported),
                Outcome::Rejected(Rejection::Zone(rejection)) => {
                    Err(Refusal::Zone(rejection.to_string()))
                }
                Outcome::Rejected(Rejection::Publishing(rejection)) => {
                    Err(Refusal::Publishing(rejection.to_string()))
                }
                Outcome::Rejected(other) => Err(Refusal::Failed(chain(&other))),
                outcome => Ok((index, outcome)),
            },
            Ok(Proposed::Refused) if self.raft.space.is_low() => Err(Refusal::Failed(
                "the disk of the leader is nearly full: make space, or hand leadership over"
                    .to_owned(),
            )),
            Ok(Proposed::Refused | Proposed::Unknown) | Err(_) => Err(Refusal::NoLeader),
        }
    }

    /// Who is asked again because the answer was lost finds the invite there.
    async fn invite(&self, id: InviteId, invite: Invite) -> Result<UnixMillis, Refusal> {
        self.check_founded()?;
        if let Some(known) = self.cluster().roll.invites.get(&id) {
            return Ok(known.expires);
        }
        let now = self.now();
        self.commit(Command::Invite { id, invite, now }).await?;
        tracing::info!(invite = %id, expires = %invite.expires.0, "a node may join");
        Ok(invite.expires)
    }

    /// Registers a node. A member that comes with another token has most likely lost its data: with
    /// its identity it would get its vote back.
    async fn join(&self, call: JoinCall) -> Result<Response, Refusal> {
        self.check_founded()?;
        if !is_dialable(&call.address) {
            return Err(Refusal::BadAddress(call.address));
        }
        check_name(&call.name)?;
        let invite = self.cluster().roll.invites.get(&call.invite).copied();
        let comes_again = invite.is_some_and(|invite| invite.used_by == Some(call.node.0));
        if self.standing().is_member(call.node) && !comes_again {
            let text = "it is a member already: give it a new key, or remove it first";
            return Err(Refusal::Unfit(text.to_owned()));
        }
        let (node, name, address) = (call.node, call.name.clone(), call.address.clone());
        let join = call.at(self.now());
        // What all would refuse need not be written by all: whoever had a token once can ask for ever.
        if let Err(refusal) = self.cluster().roll.check_join(&join) {
            return Ok(Response::Joined(Err(refusal)));
        }
        match self.commit(Command::Join(join)).await? {
            Outcome::Joined(joined) => {
                match &joined {
                    Ok(()) => tracing::info!(name, %node, address, "a node has joined"),
                    Err(reason) => {
                        tracing::info!(%reason, name, %node, address, "did not let a node join");
                    }
                }
                Ok(Response::Joined(joined))
            }
            other => Err(Refusal::Failed(format!("joining gave {other:?}"))),
        }
    }

    /// Notes what the operator of a registered node calls it.
    async fn name(&self, node: NodeId, name: String) -> Result<(), Refusal> {
        check_name(&name)?;
        let roll = self.cluster().roll;
        let known = roll.registrations.get(&node.0);
        let known = known.ok_or_else(|| Refusal::UnknownNode(node.to_string()))?;
        let mut others = roll.registrations.iter();
        if others.any(|(key, other)| *key != node.0 && other.name == name) {
            let text = format!("another node is called {name:?}: set another cluster.node_name");
            return Err(Refusal::Unfit(text));
        }
        let registration = Registration {
            name,
            ..known.clone()
        };
        self.register(node, registration).await
    }

    /// Changes a zone, and says from which entry on it is so. Asked again, it changes nothing more. What
    /// all would reject need not be written by all.
    async fn change_zone(&self, change: Bytes) -> Result<LogIndex, Refusal> {
        let unreadable = |error| Refusal::Failed(format!("the change: {error}"));
        let change = ZoneChange::decode(change).map_err(unreadable)?;
        let (cluster, applied) = self.cluster_and_index();
        match change.changed(&cluster.zones) {
            Err(rejection) => Err(Refusal::Zone(rejection.to_string())),
            Ok(None) => Ok(applied),
            Ok(Some(_)) => {
                let zone = change.zone.clone();
                let (index, _) = self.commit_entry(Command::ChangeZone(change)).await?;
                tracing::info!(%index, %zone, "a zone has changed");
                Ok(index)
            }
        }
    }

    async fn transfer(&self, to: Option<&str>) -> Result<NodeId, Refusal> {
        let standing = self.standing();
        let wanted = to.map(|to| standing.find_known(to)).transpose()?;
        let successors = match wanted {
            Some(node) if node == self.config.node => return Ok(node),
            Some(node) if !standing.membership.is_voter(node) => {
                let text = "it has no vote, so it cannot lead: promote it first";
                return Err(Refusal::Unfit(text.to_owned()));
            }
            wanted => self.successors(wanted).await,
        };
        if successors.is_empty() && !self.leads() {
            return Err(Refusal::NoLeader);
        }
        if successors.is_empty() && wanted.is_some() {
            return Err(Refusal::NotCaughtUp);
        }
        let leader = self.hand_over(&successors).await?;
        match wanted {
            Some(wanted) if wanted != leader => Err(Refusal::Failed(format!(
                "{wanted} did not take over: {leader} leads"
            ))),
            _ => Ok(leader),
        }
    }

    /// The voters that live, or `wanted` if it does. A leader that was elected a moment ago has heard
    /// nobody yet; whoever lives is heard within a heartbeat.
    async fn successors(&self, wanted: Option<NodeId>) -> Vec<NodeId> {
        let deadline = Instant::now() + self.silence_max();
        loop {
            let successors = match wanted {
                // How much it lacks, a new leader does not know yet.
                Some(node) if self.standing().is_live(node) => vec![node],
                Some(_) => Vec::new(),
                None => self.handover.successors(),
            };
            if !successors.is_empty() || Instant::now() >= deadline || !self.leads() {
                return successors;
            }
            sleep(self.config.heartbeat()).await;
        }
    }

    /// Hands leadership to one of these and says who leads then.
    pub(super) async fn hand_over(&self, successors: &[NodeId]) -> Result<NodeId, Refusal> {
        if successors.is_empty() {
            let text = "no other voter is heard that could lead";
            return Err(Refusal::Unfit(text.to_owned()));
        }
        let leader = timeout(TRANSFER_TIMEOUT, self.handover.hand_to(successors)).await;
        leader.ok().flatten().ok_or(Refusal::NoLeader)
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.exchange.time().time
    }
}

/// Names are shown to operators as they are.
fn check_name(name: &str) -> Result<(), Refusal> {
    match name.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Err(Refusal::Unfit(format!(
            "{name:?} is no name: it has spaces"
        ))),
        false => Ok(()),
    }
}
