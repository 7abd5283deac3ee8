//! Clusters whose members join, leave and move.

use quorate_api::{
    AdminOperation, ChangeMember, ChangeReport, ChangeRequest, CreatedInvite, ForwardedRequest,
    InviteRequest, ListMembers, Member, MemberChange, MemberRole, Members, Problem, ProblemType,
    RemoveRequest, ReplaceRequest, TransferRequest, decode_answer,
};
use quorate_peer::{Admission, JoinAnswer, JoinRequest, JoinToken, Service};
use quorate_replica::Operator;

use super::*;
use crate::KnownMembers;

/// How long an operator waits for an answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn id(number: u64) -> NodeId {
    NodeId::from(number)
}

pub(super) fn address(number: u64) -> String {
    format!("node{number}:7700")
}

/// Whether node `number` is a member or registered there.
pub(super) fn lists(service: &Arc<dyn Service>, number: u64) -> bool {
    service.admission(id(number), &[]) == Admission::Listed
}

/// Sends a request as an operator does.
pub(super) async fn ask<O: AdminOperation>(
    node: &Node,
    operation: O,
) -> Result<O::Answer, Problem> {
    let request = ForwardedRequest::new(operation, ASK_TIMEOUT);
    decode_answer::<O>(node.operate(request).await?)
}

pub(super) async fn invite(
    node: &Node,
    learner: bool,
    valid_secs: u64,
) -> Result<CreatedInvite, Problem> {
    let request = InviteRequest {
        learner,
        valid_secs,
        uses: 1,
    };
    ask(node, request).await
}

pub(super) async fn transfer(node: &Node, to: Option<String>) -> Result<String, Problem> {
    let transferred = ask(node, TransferRequest { to }).await?;
    Ok(transferred.leader)
}

pub(super) async fn members(node: &Node) -> Result<Members, Problem> {
    ask(node, ListMembers {}).await
}

/// Whether `member` is node `number`.
pub(super) fn is_node(member: &Member, number: u64) -> bool {
    member.node == id(number).to_string()
}

impl Cluster {
    /// A single node that has founded a cluster.
    pub(super) async fn alone(adjust: impl Fn(&mut RaftConfig)) -> Self {
        let mut cluster = Self::prepare(1, |config| {
            config.cofounders = BTreeMap::from([(id(1), address(1))]);
            config.address = address(1);
            config.name = "one".to_owned();
            adjust(config);
        });
        cluster.open_all().await;
        cluster.ready().await;
        cluster
    }

    pub(super) async fn token(&self, stays_learner: bool) -> JoinToken {
        let node = self.nodes.values().next().expect("a node runs");
        let invited = timeout(TIMEOUT, invite(node, stays_learner, 3600)).await;
        let invited = invited
            .expect("it answers in time")
            .expect("the invite is created");
        invited.token.parse().expect("it is a token")
    }

    /// What `member` answers to node `number`, which joins with a token.
    pub(super) async fn ask_to_join(
        &self,
        token: &JoinToken,
        member: NodeId,
        number: u64,
        name: &str,
    ) -> Option<JoinAnswer> {
        let service = self.nodes[&member].context().service();
        let (name, address) = (name.to_owned(), address(number));
        let request = JoinRequest::new(token, id(number), member, name, address);
        let answer = timeout(TIMEOUT, service.join(id(number), request)).await;
        answer.expect("it is answered or rejected immediately")
    }

    /// Lets node `number` join and opens it.
    pub(super) async fn join(
        &mut self,
        number: u64,
        stays_learner: bool,
        adjust: impl Fn(&mut RaftConfig),
    ) {
        let token = self.token(stays_learner).await;
        let member = *self.nodes.keys().next().unwrap();
        let name = format!("n{number}");
        let answer = self.ask_to_join(&token, member, number, &name).await;
        let Some(JoinAnswer::Joined(joined)) = answer else {
            panic!("{answer:?}");
        };
        let dir = tempfile::tempdir().unwrap();
        let mut config = RaftConfig::numbered(number, BTreeMap::new(), dir.path().to_owned());
        config.known = KnownMembers {
            index: joined.index,
            members: joined.members.iter().cloned().collect(),
            term: joined.term,
        };
        config.name = name;
        config.address = address(number);
        adjust(&mut config);
        self._dirs.push(dir);
        self.configs.insert(id(number), config);
        self.open(id(number)).await.unwrap();
    }

    /// Lets nodes join and become voters, one after the other.
    pub(super) async fn grow(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.join(number, false, |_| {}).await;
            self.until_member(number, |member| member.role == MemberRole::Voter)
                .await;
        }
        self.ready().await;
    }

    pub(super) async fn members(&self) -> Members {
        let node = self.nodes.values().next().expect("a node runs");
        let answered = async {
            loop {
                match members(node).await {
                    Ok(members) if members.leader.is_some() => return members,
                    Ok(_) => {}
                    Err(problem) => assert_eq!(problem.problem_type, ProblemType::NoLeader),
                }
            }
        };
        timeout(TIMEOUT, answered).await.expect("a leader answers")
    }

    pub(super) async fn until_members(&self, condition: impl Fn(&[Member]) -> bool) -> Vec<Member> {
        let reached = async {
            loop {
                let members = self.members().await.members;
                if condition(&members) {
                    return members;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let reached = timeout(TIMEOUT, reached).await;
        match reached {
            Ok(members) => members,
            Err(_) => panic!("{:?}", self.members().await.members),
        }
    }

    pub(super) async fn until_member(&self, number: u64, condition: impl Fn(&Member) -> bool) {
        let is_met = |members: &[Member]| {
            let member = members.iter().find(|member| is_node(member, number));
            member.is_some_and(&condition)
        };
        self.until_members(is_met).await;
    }

    /// Waits until exactly these nodes are voters, and all other members are learners.
    pub(super) async fn until_voters(&self, numbers: &[u64]) {
        let wanted: Vec<_> = numbers.iter().map(|it| id(*it).to_string()).collect();
        self.until_members(|members| {
            let is_voter = |member: &&Member| member.role == MemberRole::Voter;
            let voters = members.iter().filter(is_voter).map(|member| &member.node);
            voters.eq(&wanted)
        })
        .await;
    }

    /// Waits until the leader knows that all members have entries.
    pub(super) async fn until_registered(&self) {
        for node in self.nodes.values() {
            leader_proposals::agreed_count_max(node).await;
        }
    }

    /// Sends a request to the first node until no other change is in progress.
    pub(super) async fn change(&self, change: ChangeMember) -> Result<ChangeReport, Problem> {
        let node = self.nodes.values().next().expect("a node runs");
        self.change_at(node, change).await
    }

    async fn change_at(&self, node: &Node, change: ChangeMember) -> Result<ChangeReport, Problem> {
        let changed = async {
            loop {
                let changed = ask(node, change.clone()).await;
                let is_in_the_way = |problem: &Problem| {
                    let in_the_way = [ProblemType::Busy, ProblemType::NoLeader];
                    in_the_way.contains(&problem.problem_type)
                };
                if !changed.as_ref().is_err_and(is_in_the_way) {
                    return changed;
                }
            }
        };
        timeout(3 * TIMEOUT, changed).await.expect("it is answered")
    }

    pub(super) async fn replace(&self, old: NodeId, new: NodeId) -> ChangeReport {
        let replaced = async {
            loop {
                let change = replacing(&old.to_string(), new);
                let others = self.nodes.iter().filter(|(id, _)| **id != new);
                // A removed node cannot be asked again.
                let other = others.max_by_key(|(id, _)| **id != old);
                let (_, other) = other.expect("another node runs");
                let changed = self.change_at(other, change).await.expect("it may be done");
                if changed.lag.is_none() {
                    return changed;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, replaced).await.expect("it catches up")
    }

    /// Kills the process of a node.
    pub(super) fn die(&mut self, number: u64) {
        self.board.hang_up(id(number));
        self.nodes.remove(&id(number));
    }

    pub(super) async fn stop(&mut self, number: u64) {
        let node = self.nodes.remove(&id(number)).unwrap();
        timeout(TIMEOUT, node.shutdown()).await.unwrap().unwrap();
        self.board.hang_up(id(number));
    }

    /// Opens a node whose process has ended, as soon as its files are free.
    pub(super) async fn reopen(&mut self, number: u64) {
        let opened = async {
            while let Err(error) = self.open(id(number)).await {
                assert!(
                    matches!(error, OpenError::Log(_) | OpenError::Store(_)),
                    "{error}"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, opened).await.expect("its files are free");
    }

    pub(super) async fn lead(&self, number: u64) {
        let node = &self.nodes[&id(number)];
        let leads = async {
            while !leads(node) {
                if let Some(leader) = self.nodes.values().find(|node| leads(node)) {
                    let _ = transfer(leader, Some(id(number).to_string())).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, leads).await.expect("it leads");
    }
}

pub(super) fn promote(number: u64) -> ChangeMember {
    MemberChange::Promote(ChangeRequest::default()).of(id(number).to_string())
}

pub(super) fn demote(number: u64) -> ChangeMember {
    MemberChange::Demote(ChangeRequest::default()).of(id(number).to_string())
}

pub(super) fn remove(number: u64) -> ChangeMember {
    MemberChange::Remove(RemoveRequest::default()).of(id(number).to_string())
}

/// Removes a node even if no majority is left.
pub(super) fn force_out(number: u64) -> ChangeMember {
    let request = RemoveRequest {
        force: true,
        ..RemoveRequest::default()
    };
    MemberChange::Remove(request).of(id(number).to_string())
}

pub(super) fn replacing(old: &str, new: NodeId) -> ChangeMember {
    let request = ReplaceRequest {
        with: new.to_string(),
        force: false,
    };
    MemberChange::Replace(request).of(old)
}

/// Publishes new packets until it is stopped. Each must be stored. Returns how many.
pub(super) struct Publisher {
    stop: watch::Sender<bool>,
    writing: tokio::task::JoinHandle<u64>,
}

impl Publisher {
    pub(super) fn start(node: &Arc<Node>) -> Self {
        let (stop, node) = (watch::Sender::new(false), node.clone());
        let stopped = stop.subscribe();
        let writing = tokio::spawn(async move {
            let mut micros = 0;
            while !*stopped.borrow() {
                micros += 1;
                let packet = packet((micros % 50) as u8, micros);
                // It is stored already if the answer to a first attempt was lost.
                let is_there = [Ok(PutOutcome::Stored), Ok(PutOutcome::Unchanged)];
                let outcome = put(&node, &packet).await;
                assert!(is_there.contains(&outcome), "{outcome:?}");
            }
            micros
        });
        Self { stop, writing }
    }

    pub(super) async fn stop(self) -> u64 {
        self.stop.send_replace(true);
        timeout(TIMEOUT, self.writing).await.unwrap().unwrap()
    }
}
