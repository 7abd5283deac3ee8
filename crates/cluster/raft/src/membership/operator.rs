//! What the leader is asked at any node: this asks the leader, be it itself or another.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use quorate_api::{
    AdminRequest, Answered, Asked, ChangeMember, InviteRequest, Invited, MemberChange, OpenInvite,
    Operation, Problem, ProblemType,
};
use quorate_packet::PublicKey;
use quorate_peer::{JoinToken, Lane, LinkError, NodeId, message};
use quorate_replica::{Operator, ReadError, StoredPacket};
use quorate_state::{InviteId, LogIndex, millis};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    admin::Admin,
    changes::done,
    refusals::{failed, no_leader, turned_away, unsupported},
    standing::Named,
};
use crate::{
    Node,
    leadership::leader::{Leader, next_leader},
    links::connection::CallError,
    links::peers::Peers,
    node::OpenNode,
};

/// How long no leader may be known until the answer is that there is none, although the operator would
/// wait longer: some elections.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a leader that has handed over may still take to answer.
const HANDED_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// What an answer of the leader may take on its way: so much earlier than the asking node the leader
/// gives up, so that its reason arrives.
const WAY_BACK: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct LeaderClient {
    pub(crate) node: NodeId,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) admin: Arc<Admin>,
}

impl LeaderClient {
    /// The answer to what this node asks for itself.
    pub(crate) async fn ask_for<O: Operation>(
        &self,
        operation: O,
        time_left: Duration,
    ) -> Result<O::Answer, Problem> {
        let answered = self.ask(Asked::new(operation, time_left)).await?;
        serde_json::from_value(answered.answer).map_err(not_understood)
    }

    /// The leader's answer. Asks again when leadership moves, which does no harm: whatever is asked
    /// may be asked twice.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<Answered, Problem> {
        let until = Instant::now() + asked.time_left();
        let mut leaders = self.leader.clone();
        let mut known_at = Instant::now();
        loop {
            let leader = leaders.borrow_and_update().node.clone();
            let is_known = leader.is_some();
            let answer = match leader {
                Some((node, _)) if node == self.node => {
                    let request = asked.request.clone();
                    Some(self.admin.answer(node, request, until).await)
                }
                Some((node, address)) => self.forward(node, &address, &asked, until).await,
                None => None,
            };
            match answer {
                Some(Err(problem)) if problem.problem_type == ProblemType::NoLeader => {}
                Some(answer) => return answer,
                None => {}
            }
            let now = Instant::now();
            if is_known {
                known_at = now;
            }
            if now >= until || now >= known_at + LEADERLESS_TIMEOUT {
                return Err(no_leader());
            }
            next_leader(&mut leaders).await;
        }
    }

    /// What another node answers, if it does.
    async fn forward(
        &self,
        leader: NodeId,
        address: &str,
        asked: &Asked,
        until: Instant,
    ) -> Option<Result<Answered, Problem>> {
        let link = self.peers.link(leader, address, Lane::Admin);
        let answered = async {
            link.opened().await?;
            let asked = Asked {
                time_left_ms: millis(until.saturating_duration_since(Instant::now())),
                ..asked.clone()
            };
            link.call(message::Request::Operate(to_json(&asked))).await
        };
        // Whoever leads next is asked as soon as it does: this one may be gone.
        let answered = tokio::select! {
            answered = timeout_at(until, answered) => answered.ok()?,
            () = self.superseded(leader) => return None,
        };
        match answered {
            Ok(message::Response::Operated(answer)) => {
                let answer = serde_json::from_slice(&answer);
                Some(answer.unwrap_or_else(|error| Err(not_understood(error))))
            }
            Err(CallError::NotSent(LinkError::NotAdmitted(_))) => Some(Err(turned_away())),
            _ => None,
        }
    }

    /// What `peer` is answered, which takes this node for the leader. Never asked on: whoever asks looks
    /// for the leader.
    pub(crate) async fn answer(&self, peer: NodeId, asked: &[u8]) -> Bytes {
        let answer = match serde_json::from_slice::<Asked>(asked) {
            Ok(asked) => {
                let time_left = asked.time_left().saturating_sub(WAY_BACK);
                let until = Instant::now() + time_left;
                self.admin.answer(peer, asked.request, until).await
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "refused a request that this version does not know");
                Err(unsupported())
            }
        };
        to_json(&answer)
    }

    /// Resolves some time after another node leads: one that hands over still answers.
    async fn superseded(&self, leader: NodeId) {
        let mut leaders = self.leader.clone();
        let other = |now: &Leader| now.node.as_ref().is_some_and(|(node, _)| *node != leader);
        if leaders.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(HANDED_OVER_TIMEOUT).await;
    }
}

impl Operator for Node {
    fn operate(&self, asked: Asked) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(async move {
            let open = self.opened().map_err(|_| no_leader())?;
            match asked.request {
                AdminRequest::Members(_) => open.service.client.members(asked).await,
                AdminRequest::Invite(ref request) => {
                    let invited = open.invite(request.clone(), asked).await?;
                    Ok(to_value(&invited))
                }
                _ => open.ask_leader(asked).await,
            }
        })
    }

    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        let parts = &self.readable()?.parts;
        Ok(parts.store.packets_after(after.as_ref(), count))
    }
}

impl OpenNode {
    /// The answer of the leader, once this node has applied what was changed.
    async fn ask_leader(&self, asked: Asked) -> Result<Value, Problem> {
        let until = Instant::now() + asked.time_left();
        // A leader that is asked twice, for an answer was lost, finds no packet any more.
        let deletes_own = matches!(
            &asked.request,
            AdminRequest::DeletePacket(deleted) if self.index.packet(&deleted.key).is_some()
        );
        let removes_own = self.is_own_removal(&asked.request);
        let mut answered = match self.service.client.ask(asked).await {
            // The answer that it is removed cannot reach it any more.
            Err(problem) if removes_own && problem == turned_away() => {
                return Ok(to_value(&done(self.parts.config.node, Vec::new())));
            }
            answered => answered?,
        };
        if deletes_own {
            answered.answer["was_stored"] = true.into();
        }
        self.changed_here(answered.index, until).await?;
        Ok(answered.answer)
    }

    /// Makes the secret of a token, and has the leader open its invite.
    async fn invite(&self, request: InviteRequest, asked: Asked) -> Result<Invited, Problem> {
        let until = Instant::now() + asked.time_left();
        let (id, seed) = (InviteId(random()?), random()?);
        let key = PublicKey::from_bytes(JoinToken::public_key_of(&seed));
        let open = Asked {
            request: OpenInvite { id, key, request }.into(),
            ..asked
        };
        let answered = self.service.client.ask(open).await?;
        let expires_ms = serde_json::from_value(answered.answer).map_err(not_understood)?;
        // Whoever comes here with it is known then.
        let known = self
            .parts
            .peers
            .roster()
            .until(|roll| roll.invites.contains_key(&id));
        if timeout_at(until, known).await != Ok(true) {
            return Err(no_leader());
        }
        let cluster = self.parts.peers.roster().names().id.ok_or_else(no_leader)?;
        let mut members: Vec<_> = self.parts.peers.roster().members().into_iter().collect();
        // A token names some of many: this node, which has just been asked, among them.
        members.sort_by_key(|(node, _)| *node != self.parts.config.node);
        Ok(Invited {
            token: JoinToken::new(cluster, id, seed, members).to_string(),
            invite: id.to_string(),
            expires_ms,
        })
    }

    /// Waits until this node has applied what has changed.
    async fn changed_here(&self, index: LogIndex, until: Instant) -> Result<(), Problem> {
        let mut applied = self.write_path.applied.clone();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index);
        match timeout_at(until, applied).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(failed(
                "it is changed, and this node has not applied that yet: look again",
            )),
        }
    }

    /// Whether this is to remove this very node, by what it knows of the members.
    fn is_own_removal(&self, request: &AdminRequest) -> bool {
        let AdminRequest::ChangeMember(ChangeMember {
            node,
            change: MemberChange::Remove(_),
        }) = request
        else {
            return false;
        };
        let found = self.service.client.admin.standing().find(node);
        matches!(found, Ok(Named::Known(found) | Named::Unknown(found)) if found == self.parts.config.node)
    }
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], Problem> {
    let mut bytes = [0; SIZE];
    let no_randomness = |error: getrandom::Error| failed(error.to_string());
    getrandom::fill(&mut bytes).map_err(no_randomness)?;
    Ok(bytes)
}

fn to_json(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(value);
    json.expect("requests and answers are JSON").into()
}

fn to_value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer is JSON")
}

fn not_understood(error: serde_json::Error) -> Problem {
    failed(format!(
        "this version does not understand the leader's answer: {error}"
    ))
}
