//! Sends requests to the leader, whether that is this node or another.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use quorate_api::{
    AdminOperation, AdminRequest, ChangeMember, ForwardedAnswer, ForwardedRequest, MemberChange,
    Problem, ProblemType, decode_answer,
};
use quorate_peer::{LinkError, NodeId, StreamKind, message};
use quorate_state::millis;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::{
    admin::Admin,
    audit::AuditLine,
    problems::{no_leader, not_a_member, not_a_voter, unsupported},
};
use crate::{
    leadership::leader::{Leader, next_leader},
    links::connection::CallError,
};

/// After this long without a known leader the request fails, even if the operator would wait longer:
/// the time of several elections.
const LEADERLESS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a leader may still take to answer after it has handed over.
const HANDED_OVER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the leader's answer may travel. The leader stops waiting this much earlier than the
/// requesting node, so that its reason arrives in time.
const ANSWER_TRAVEL_TIME: Duration = Duration::from_millis(500);

impl Admin {
    /// Sends a request of this node itself to the leader and returns the answer.
    pub(crate) async fn call_leader<O: AdminOperation>(
        &self,
        operation: O,
        time_left: Duration,
    ) -> Result<O::Answer, Problem> {
        let answered = self
            .send_to_leader(ForwardedRequest::new(operation, time_left))
            .await?;
        decode_answer::<O>(answered.answer)
    }

    /// Sends a request to the leader and returns its answer. Retries when leadership moves; this is
    /// safe because every request may be repeated.
    pub(crate) async fn send_to_leader(
        &self,
        request: ForwardedRequest,
    ) -> Result<ForwardedAnswer, Problem> {
        let deadline = Instant::now() + request.time_left();
        let mut leaders = self.context.leader.clone();
        let mut known_at = Instant::now();
        let mut majority_lost = pin!(self.majority_lost());
        loop {
            let leader = leaders.borrow_and_update().node.clone();
            if let Some((node, address)) = leader {
                let answer = match node == self.context.config.node {
                    true => {
                        let task = self.task(deadline);
                        task.answer(node, request.request.clone()).await
                    }
                    false => self.forward(node, &address, &request, deadline).await,
                };
                match answer {
                    Err(problem) if problem.problem_type == ProblemType::NoLeader => {}
                    answer => return answer,
                }
                known_at = Instant::now();
            }
            let now = Instant::now();
            // The sender of leader changes is gone: the node is being stopped.
            let is_over = leaders.has_changed().is_err();
            if is_over || now >= deadline || now >= known_at + LEADERLESS_TIMEOUT {
                return Err(no_leader());
            }
            if self.context.is_removed() {
                return Err(not_a_member());
            }
            tokio::select! {
                () = next_leader(&mut leaders) => {}
                problem = &mut majority_lost => return Err(problem),
            }
        }
    }

    /// Forwards the request to another node. Fails with `no_leader` if no answer comes.
    async fn forward(
        &self,
        leader: NodeId,
        address: &str,
        request: &ForwardedRequest,
        deadline: Instant,
    ) -> Result<ForwardedAnswer, Problem> {
        let link = self.context.peers.link(leader, address, StreamKind::Admin);
        let answered = async {
            link.opened().await?;
            let request = ForwardedRequest {
                time_left_ms: millis(deadline.saturating_duration_since(Instant::now())),
                ..request.clone()
            };
            link.call(message::Request::Admin(to_json(&request))).await
        };
        // The request is retried as soon as there is a new leader: this one may be gone.
        let answered = tokio::select! {
            answered = timeout_at(deadline, answered) => answered.map_err(|_| no_leader())?,
            () = self.superseded(leader) => return Err(no_leader()),
            problem = self.majority_lost() => return Err(problem),
        };
        match answered {
            Ok(message::Response::Admin(answer)) => {
                let answer = serde_json::from_slice(&answer);
                answer.map_err(|error| Problem::unreadable_answer(&error))?
            }
            Err(CallError::NotSent(LinkError::NotAdmitted(_))) => Err(not_a_member()),
            _ => Err(no_leader()),
        }
    }

    /// Answers a request of `peer`, which assumes that this node leads. Never forwards it further: the
    /// requesting node finds the leader itself.
    pub(crate) async fn answer_peer(&self, peer: NodeId, request: &[u8]) -> Bytes {
        let answer = match serde_json::from_slice::<ForwardedRequest>(request) {
            Ok(forwarded) => {
                let time_left = forwarded.time_left().saturating_sub(ANSWER_TRAVEL_TIME);
                let task = self.task(Instant::now() + time_left);
                let audit = AuditLine::new(peer, &forwarded);
                let answer = match self.may_request(peer, &forwarded.request) {
                    true => task.answer(peer, forwarded.request).await,
                    false => Err(not_a_voter()),
                };
                if let Some(line) = audit {
                    line.write(&answer);
                }
                answer
            }
            Err(error) => {
                tracing::warn!(%peer, %error, "rejected a request that this version does not know");
                Err(unsupported())
            }
        };
        to_json(&answer)
    }

    /// Whether `peer` may send this request. Requests of operators come through voters; a learner may
    /// only make requests about itself.
    fn may_request(&self, peer: NodeId, request: &AdminRequest) -> bool {
        match request {
            AdminRequest::Members(_) | AdminRequest::Rename(_) => true,
            // A change of itself: an earlier attempt may have ended its vote already.
            AdminRequest::ChangeMember(ChangeMember { node, change })
                if !matches!(change, MemberChange::Promote(_))
                    && self.membership_snapshot().find(node) == Ok(peer) =>
            {
                true
            }
            _ => self.context.raft.membership().is_voter(peer),
        }
    }

    /// Resolves a few seconds after another node leads: a leader that hands over still answers.
    async fn superseded(&self, leader: NodeId) {
        let mut leaders = self.context.leader.clone();
        let other = |now: &Leader| now.node.as_ref().is_some_and(|(node, _)| *node != leader);
        if leaders.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(HANDED_OVER_TIMEOUT).await;
    }
}

fn to_json(value: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(value);
    json.expect("requests and answers are JSON").into()
}
