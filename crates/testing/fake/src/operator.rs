//! What operators ask of the replica.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use quorate_packet::PublicKey;
use quorate_peer::JoinToken;
use quorate_replica::{
    Change, Changed, ClusterId, ClusterMembers, Invited, Member, MemberRole, MemberState, NodeId,
    Operator, PublishChange, ReadError, Refusal, StoredPacket, ZoneChange,
};
use quorate_state::{InviteId, UnixMillis};
use tokio::sync::watch;

use crate::{FakeReplica, replica::wait_for};

/// The one node of the cluster.
const NODE: NodeId = NodeId(PublicKey::from_bytes([1; 32]));
/// What the cluster is called.
const CLUSTER: ClusterId = ClusterId([2; 32]);
/// The only invite there is.
const INVITE: InviteId = InviteId([3; 16]);

/// What an operator has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A token: whether the node stays a learner, and for how long it is valid.
    Invite(bool, Duration),
    /// A change, and whether it is forced.
    Change(Change, bool),
    /// Leadership to be handed over.
    Transfer(Option<String>),
    /// A change of a zone.
    ChangeZone(ZoneChange),
    /// A change of who may publish.
    ChangePublishing(PublishChange),
    /// A packet to be deleted, and for how long its key is to be blocked.
    DeletePacket(PublicKey, Option<Duration>),
}

/// What operators have asked for, and what they are answered: all is done at once, unless a test
/// says otherwise.
#[derive(Debug)]
pub struct Operators {
    /// Changes wait until this is true.
    pub answers_changes: watch::Sender<bool>,
    /// How much has been asked for.
    pub asked_count: watch::Sender<usize>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    leader: Option<NodeId>,
    asked: Vec<Asked>,
    refusal: Option<Refusal>,
    lag: Option<u64>,
    warnings: Vec<String>,
}

impl Default for Operators {
    fn default() -> Self {
        Self {
            answers_changes: watch::Sender::new(true),
            asked_count: watch::Sender::new(0),
            state: Mutex::new(State {
                leader: Some(NODE),
                asked: Vec::new(),
                refusal: None,
                lag: None,
                warnings: Vec::new(),
            }),
        }
    }
}

impl Operators {
    /// What was asked for, in order, and forgets it.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn refuse(&self, refusal: impl Into<Option<Refusal>>) {
        self.lock().refusal = refusal.into();
    }

    /// From now on, no leader is known.
    pub fn lose_leader(&self) {
        self.lock().leader = None;
    }

    /// From now on, changes wait for a node that lacks so many entries.
    pub fn lag_behind(&self, lag: Option<u64>) {
        self.lock().lag = lag;
    }

    /// From now on, changes are made and warned of.
    pub fn warn(&self, warning: &str) {
        self.lock().warnings = vec![warning.to_owned()];
    }

    fn ask(&self, asked: Asked) -> Result<(), Refusal> {
        let mut state = self.lock();
        state.asked.push(asked);
        self.asked_count.send_modify(|count| *count += 1);
        state.check()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), Refusal> {
        self.refusal.clone().map_or(Ok(()), Err)
    }
}

impl Operator for FakeReplica {
    fn members(&self) -> BoxFuture<'_, Result<ClusterMembers, Refusal>> {
        async {
            let state = self.operators.lock();
            state.check()?;
            Ok(ClusterMembers {
                cluster: Some(CLUSTER),
                leader: state.leader,
                members: vec![member()],
            })
        }
        .boxed()
    }

    fn invite(
        &self,
        stays_learner: bool,
        valid: Duration,
    ) -> BoxFuture<'_, Result<Invited, Refusal>> {
        async move {
            self.operators.ask(Asked::Invite(stays_learner, valid))?;
            Ok(Invited {
                token: JoinToken {
                    cluster: CLUSTER,
                    invite: INVITE,
                    seed: [4; 32],
                    members: vec![(NODE, member().address)],
                }
                .to_string(),
                invite: INVITE,
                expires: UnixMillis(1_000),
            })
        }
        .boxed()
    }

    fn change(&self, change: Change, force: bool) -> BoxFuture<'_, Result<Changed, Refusal>> {
        async move {
            self.operators.ask(Asked::Change(change, force))?;
            wait_for(&self.operators.answers_changes).await;
            let state = self.operators.lock();
            Ok(Changed {
                node: NODE,
                lag: state.lag,
                warnings: state.warnings.clone(),
            })
        }
        .boxed()
    }

    fn transfer_leader(&self, to: Option<String>) -> BoxFuture<'_, Result<NodeId, Refusal>> {
        async move {
            self.operators.ask(Asked::Transfer(to))?;
            Ok(NODE)
        }
        .boxed()
    }

    /// Applied as a cluster would, unless a test says otherwise.
    fn change_zone(&self, change: ZoneChange) -> BoxFuture<'_, Result<(), Refusal>> {
        async move {
            self.operators.ask(Asked::ChangeZone(change.clone()))?;
            self.apply_zone_change(&change)
        }
        .boxed()
    }

    /// Applied as a cluster would, unless a test says otherwise.
    fn change_publishing(&self, change: PublishChange) -> BoxFuture<'_, Result<(), Refusal>> {
        async move {
            let asked = Asked::ChangePublishing(change.clone());
            self.operators.ask(asked)?;
            self.apply_publish_change(&change)
        }
        .boxed()
    }

    fn delete_packet(
        &self,
        key: PublicKey,
        block: Option<Duration>,
    ) -> BoxFuture<'_, Result<bool, Refusal>> {
        async move {
            self.operators.ask(Asked::DeletePacket(key, block))?;
            Ok(self.take_out(&key))
        }
        .boxed()
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        self.stored_after(after, count)
    }
}

fn member() -> Member {
    Member {
        node: NODE,
        name: "fra-1".into(),
        address: "fra-1.example:9000".into(),
        role: MemberRole::Voter,
        state: MemberState::Leader,
        lag: Some(0),
        silent_ms: None,
    }
}
