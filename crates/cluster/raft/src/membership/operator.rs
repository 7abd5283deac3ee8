//! Operators' requests at any node: it asks the leader, be it itself or another.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use quorate_api::operate::{Change, Changed, Refusal, Request, Response};
use quorate_packet::PublicKey;
use quorate_peer::{JoinToken, Lane, LinkError, NodeId, message};
use quorate_replica::{ClusterMembers, Invited, Operator, ReadError, StoredPacket};
use quorate_state::{InviteId, LogIndex, PublishChange, ZoneChange, millis};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{admin::Admin, standing::PREFIX_LEN_MIN};
use crate::{
    Node,
    leadership::leader::{Leader, next_leader},
    links::connection::CallError,
    links::peers::Peers,
};

/// How long to look for a leader that answers: some elections, and the way there.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one leader may take for an answer: a change of the members, and a handover before it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long this node may take to apply what it was told that the leader has.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct LeaderClient {
    pub(crate) node: NodeId,
    pub(crate) leader: watch::Receiver<Leader>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) admin: Arc<Admin>,
}

impl LeaderClient {
    /// The leader's answer. Asks again when leadership moves, which does no harm: whatever is asked
    /// may be asked twice.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Refusal> {
        let deadline = Instant::now() + LEADER_TIMEOUT;
        let mut leaders = self.leader.clone();
        loop {
            let leader = leaders.borrow_and_update().node.clone();
            let answer = match leader {
                Some((node, _)) if node == self.node => {
                    Some(self.admin.answer(request.clone()).await)
                }
                Some((node, address)) => self.forward(node, &address, &request).await?,
                None => None,
            };
            match answer {
                Some(Response::Refused(Refusal::NoLeader)) | None => {}
                Some(Response::Refused(refusal)) => return Err(refusal),
                Some(answer) => return Ok(answer),
            }
            if Instant::now() >= deadline {
                return Err(Refusal::NoLeader);
            }
            next_leader(&mut leaders).await;
        }
    }

    /// What another node answers, if it does.
    async fn forward(
        &self,
        leader: NodeId,
        address: &str,
        request: &Request,
    ) -> Result<Option<Response>, Refusal> {
        let link = self.peers.own_link(leader, address, Lane::Admin);
        let request = message::Request::Operate(request.clone());
        let answered = async {
            link.opened().await?;
            link.call(request).await
        };
        // Whoever leads next is asked as soon as it does: this one may be gone.
        let superseded = self.superseded(leader);
        let answered = tokio::select! {
            answered = timeout(ANSWER_TIMEOUT, answered) => answered.ok(),
            () = superseded => None,
        };
        match answered {
            Some(Ok(message::Response::Operated(response))) => Ok(Some(response)),
            Some(Err(CallError::NotSent(LinkError::NotAdmitted(_)))) => Err(turned_away()),
            _ => Ok(None),
        }
    }

    /// Resolves some time after another node leads: one that hands over still answers.
    async fn superseded(&self, leader: NodeId) {
        let mut leaders = self.leader.clone();
        let other = |now: &Leader| now.node.as_ref().is_some_and(|(node, _)| *node != leader);
        if leaders.wait_for(other).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(APPLY_TIMEOUT).await;
    }
}

impl Operator for Node {
    fn members(&self) -> BoxFuture<'_, Result<ClusterMembers, Refusal>> {
        Box::pin(async {
            let client = self.client()?;
            let answer = tokio::select! {
                answer = client.ask(Request::Members) => answer,
                () = client.leaderless() => Err(Refusal::NoLeader),
            };
            match answer {
                Ok(Response::Members(members)) => Ok(ClusterMembers {
                    cluster: client.peers.roster().names().id,
                    leader: Some(members.leader),
                    members: members.members,
                }),
                Ok(other) => Err(unexpected(&other)),
                Err(Refusal::NoLeader) => Ok(client.own_view()),
                Err(refusal) => Err(refusal),
            }
        })
    }

    fn invite(
        &self,
        stays_learner: bool,
        valid: Duration,
    ) -> BoxFuture<'_, Result<Invited, Refusal>> {
        Box::pin(async move {
            let (id, seed) = (InviteId(random()?), random()?);
            let request = Request::Invite {
                id,
                key: JoinToken::public_key_of(&seed),
                valid_secs: valid.as_secs(),
                stays_learner,
            };
            let client = self.client()?;
            let Response::Invited(expires) = client.ask(request).await? else {
                return Err(Refusal::Failed("the leader answered otherwise".to_owned()));
            };
            // Whoever comes here with it is known then.
            let roster = client.peers.roster();
            let known = roster.until(|roll| roll.invites.contains_key(&id));
            if timeout(APPLY_TIMEOUT, known).await != Ok(true) {
                return Err(Refusal::NoLeader);
            }
            let cluster = roster.names().id.ok_or(Refusal::NoLeader)?;
            let mut members: Vec<_> = roster.members().into_iter().collect();
            // A token names some of many: this node, which has just been asked, among them.
            members.sort_by_key(|(node, _)| *node != client.node);
            let token = JoinToken::new(cluster, id, seed, members).to_string();
            Ok(Invited {
                token,
                invite: id,
                expires,
            })
        })
    }

    fn change(&self, change: Change, force: bool) -> BoxFuture<'_, Result<Changed, Refusal>> {
        Box::pin(async move {
            let client = self.client()?;
            // The answer that it is removed cannot reach it any more.
            let is_own = matches!(&change, Change::Remove(text) if client.is_called(text));
            let asked = client.ask(Request::Change { change, force });
            match asked.await {
                Ok(Response::Changed(changed)) => Ok(changed),
                Ok(other) => Err(unexpected(&other)),
                Err(refusal) if is_own && refusal == turned_away() => Ok(Changed {
                    node: client.node,
                    lag: None,
                    warnings: Vec::new(),
                }),
                Err(refusal) => Err(refusal),
            }
        })
    }

    /// When the answer is lost, leadership may move once more than it was asked to.
    fn transfer_leader(&self, to: Option<String>) -> BoxFuture<'_, Result<NodeId, Refusal>> {
        Box::pin(async move {
            match self.client()?.ask(Request::Transfer(to)).await? {
                Response::Transferred(node) => Ok(node),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn change_zone(&self, change: ZoneChange) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let request = Request::ChangeZone(change.encode());
            let client = self.client()?;
            let index = match client.ask(request).await? {
                Response::ZoneChanged(index) => index,
                other => return Err(unexpected(&other)),
            };
            client.changed_here(index).await
        })
    }

    fn change_publishing(&self, change: PublishChange) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let request = Request::ChangePublishing(change.encode());
            let client = self.client()?;
            let index = match client.ask(request).await? {
                Response::PublishingChanged(index) => index,
                other => return Err(unexpected(&other)),
            };
            client.changed_here(index).await
        })
    }

    fn delete_packet(
        &self,
        key: PublicKey,
        block: Option<Duration>,
    ) -> BoxFuture<'_, Result<bool, Refusal>> {
        Box::pin(async move {
            // A leader that is asked twice, for an answer was lost, finds nothing any more.
            let open = self.open.get();
            let was_here = open.is_some_and(|open| open.index.packet(&key).is_some());
            let request = Request::DeletePacket {
                key: *key.as_bytes(),
                block_ms: block.map(millis),
            };
            let client = self.client()?;
            let (index, existed) = match client.ask(request).await? {
                Response::PacketDeleted { index, existed } => (index, existed),
                other => return Err(unexpected(&other)),
            };
            client.changed_here(index).await?;
            Ok(existed || was_here)
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

impl Node {
    /// Who asks the leader. A node that is not open knows none.
    fn client(&self) -> Result<&LeaderClient, Refusal> {
        let open = self.opened().map_err(|_| Refusal::NoLeader)?;
        Ok(&open.service.client)
    }
}

impl LeaderClient {
    /// Waits until this node has applied what has changed.
    async fn changed_here(&self, index: LogIndex) -> Result<(), Refusal> {
        let mut applied = self.admin.applied.clone();
        let applied = applied.wait_for(|meta| meta.applied_index() >= index);
        match timeout(APPLY_TIMEOUT, applied).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Refusal::Failed(
                "it is changed, and this node has not applied that yet: look again".to_owned(),
            )),
        }
    }

    /// Whether an operator means this node by `text`.
    fn is_called(&self, text: &str) -> bool {
        let (key, name) = (self.node.to_string(), &self.admin.config.name);
        let is_name = !name.is_empty() && text == name;
        is_name || (text.len() >= PREFIX_LEN_MIN && key.starts_with(text))
    }
}

fn random<const SIZE: usize>() -> Result<[u8; SIZE], Refusal> {
    let mut bytes = [0; SIZE];
    let failed = |error: getrandom::Error| Refusal::Failed(error.to_string());
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn turned_away() -> Refusal {
    let text = "the leader does not know this node as a member any more: ask another node";
    Refusal::Failed(text.to_owned())
}

fn unexpected(response: &Response) -> Refusal {
    Refusal::Failed(format!(
        "the leader answered another question: {response:?}"
    ))
}
