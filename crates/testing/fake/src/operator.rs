//! What operators ask of the replica.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{FutureExt, future::BoxFuture};
use quorate_api::{
    AdminRequest, Asked, ChangeReport, ChangeState, Deleted, Invited, Member, MemberRole,
    MemberState, Members, NodeId, Problem, ProblemType, Transferred,
};
use quorate_packet::PublicKey;
use quorate_peer::JoinToken;
use quorate_replica::{ClusterId, Operator, ReadError, StoredPacket};
use quorate_state::InviteId;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{FakeReplica, replica::wait_for};

/// The one node of the cluster.
const NODE: NodeId = NodeId(PublicKey::from_bytes([1; 32]));
/// What the cluster is called.
const CLUSTER: ClusterId = ClusterId([2; 32]);
/// The only invite there is.
const INVITE: InviteId = InviteId([3; 16]);

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
    asked: Vec<AdminRequest>,
    refusal: Option<Problem>,
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
    pub fn take_asked(&self) -> Vec<AdminRequest> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn refuse(&self, refusal: impl Into<Option<Problem>>) {
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

    fn ask(&self, asked: AdminRequest) -> Result<(), Problem> {
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
    fn check(&self) -> Result<(), Problem> {
        self.refusal.clone().map_or(Ok(()), Err)
    }
}

impl Operator for FakeReplica {
    fn operate(&self, asked: Asked) -> BoxFuture<'_, Result<Value, Problem>> {
        async move {
            match asked.request {
                AdminRequest::Members(_) => self.operators.members(),
                request => {
                    self.operators.ask(request.clone())?;
                    self.change(request).await
                }
            }
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

impl Operators {
    fn members(&self) -> Result<Value, Problem> {
        let state = self.lock();
        state.check()?;
        json(Members {
            cluster: Some(CLUSTER.to_string()),
            leader: state.leader.map(|leader| leader.to_string()),
            members: vec![member()],
        })
    }
}

impl FakeReplica {
    /// Changed as a cluster would, unless a test says otherwise.
    async fn change(&self, request: AdminRequest) -> Result<Value, Problem> {
        match request {
            AdminRequest::Invite(_) => json(Invited {
                token: JoinToken {
                    cluster: CLUSTER,
                    invite: INVITE,
                    seed: [4; 32],
                    members: vec![(NODE, member().address)],
                }
                .to_string(),
                invite: INVITE.to_string(),
                expires_ms: 1_000,
            }),
            AdminRequest::ChangeMember(_) => {
                wait_for(&self.operators.answers_changes).await;
                let state = self.operators.lock();
                json(ChangeReport {
                    state: match state.lag {
                        Some(_) => ChangeState::CatchingUp,
                        None => ChangeState::Done,
                    },
                    node: NODE.to_string(),
                    lag: state.lag,
                    warnings: state.warnings.clone(),
                })
            }
            AdminRequest::Transfer(_) => json(Transferred {
                leader: NODE.to_string(),
            }),
            AdminRequest::ChangeZone(asked) => json(self.apply_zone_change(&asked.change)?),
            AdminRequest::ChangePublishing(asked) => {
                json(self.apply_publish_change(&asked.change)?)
            }
            AdminRequest::DeletePacket(asked) => json(Deleted {
                key: asked.key.to_string(),
                was_stored: self.take_out(&asked.key),
            }),
            other => Err(Problem::new(
                ProblemType::BadRequest,
                format!("no operator asks for {other:?}"),
            )),
        }
    }
}

fn json(answer: impl Serialize) -> Result<Value, Problem> {
    Ok(serde_json::to_value(answer).expect("an answer is JSON"))
}

fn member() -> Member {
    Member {
        node: NODE.to_string(),
        name: "fra-1".into(),
        address: "fra-1.example:9000".into(),
        role: MemberRole::Voter,
        state: MemberState::Leader,
        lag: Some(0),
        last_heard_ms: None,
    }
}
