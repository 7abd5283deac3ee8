//! Members that come, go and move.

use quorate_packet::PublicKey;
use quorate_replica::{ClusterMembers, Operator};
use quorate_rpc::{
    JoinAnswer, JoinRequest, JoinToken,
    operate::{Change, Changed, Member, MemberRole, MemberState, Refusal},
};
use quorate_state::{Command, JoinRefusal, Level};

use super::{super::*, elections::calm, *};
use crate::config::{Cleanup, Known};

const HOUR: Duration = Duration::from_secs(3600);

fn id(number: u64) -> NodeId {
    NodeId::from(number)
}

fn address(number: u64) -> String {
    format!("node{number}:7700")
}

impl Cluster {
    /// One node that has founded a cluster by itself.
    async fn alone(adjust: impl Fn(&mut Config)) -> Self {
        let mut cluster = Self::prepare(1, |config| {
            config.known = Known::default();
            config.voters = BTreeMap::from([(id(1), address(1))]);
            config.address = address(1);
            config.name = "one".to_owned();
            adjust(config);
        });
        cluster.open_all().await;
        cluster.ready().await;
        cluster
    }

    async fn token(&self, stays_learner: bool) -> JoinToken {
        let node = self.nodes.values().next().expect("a node runs");
        let invited = timeout(TIMEOUT, node.invite(stays_learner, HOUR)).await;
        invited.expect("it is answered").expect("it is made").token
    }

    /// What `member` says to node `number`, which comes with a token.
    async fn ask_to_join(
        &self,
        token: &JoinToken,
        member: NodeId,
        number: u64,
        name: &str,
    ) -> Option<JoinAnswer> {
        let service = self.nodes[&member].service();
        let (name, address) = (name.to_owned(), address(number));
        let request = JoinRequest::new(token, id(number), member, name, address);
        let answer = timeout(TIMEOUT, service.join(id(number), request)).await;
        answer.expect("it is answered or not at once")
    }

    /// Has node `number` join and opens it.
    async fn join(&mut self, number: u64, stays_learner: bool, adjust: impl Fn(&mut Config)) {
        let token = self.token(stays_learner).await;
        let member = *self.nodes.keys().next().unwrap();
        let name = format!("n{number}");
        let answer = self.ask_to_join(&token, member, number, &name).await;
        let Some(JoinAnswer::Joined(joined)) = answer else {
            panic!("{answer:?}");
        };
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(id(number), BTreeMap::new(), dir.path().to_owned());
        config.known = Known {
            names: joined.names(),
            members: joined.members.iter().cloned().collect(),
        };
        config.name = name;
        config.address = address(number);
        adjust(&mut config);
        self._dirs.push(dir);
        self.configs.insert(id(number), config);
        self.open(id(number)).await.unwrap();
    }

    /// Has nodes join and vote, one after the other.
    async fn grow(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.join(number, false, |_| {}).await;
            self.until_member(number, |member| member.role == MemberRole::Voter)
                .await;
        }
        self.ready().await;
    }

    async fn members(&self) -> ClusterMembers {
        let node = self.nodes.values().next().expect("a node runs");
        let asked = async {
            loop {
                match node.members().await {
                    Ok(members) => return members,
                    Err(Refusal::NoLeader) => {}
                    Err(refusal) => panic!("{refusal}"),
                }
            }
        };
        timeout(TIMEOUT, asked).await.expect("a leader answers")
    }

    async fn until_members(&self, condition: impl Fn(&[Member]) -> bool) -> Vec<Member> {
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

    async fn until_member(&self, number: u64, condition: impl Fn(&Member) -> bool) {
        let is_met = |members: &[Member]| {
            let member = members.iter().find(|member| member.node == id(number));
            member.is_some_and(&condition)
        };
        self.until_members(is_met).await;
    }

    /// Waits until these vote, and all members but these are learners.
    async fn until_voters(&self, numbers: &[u64]) {
        let wanted: Vec<_> = numbers.iter().copied().map(id).collect();
        self.until_members(|members| {
            let is_voter = |member: &&Member| member.role == MemberRole::Voter;
            let voters = members.iter().filter(is_voter).map(|member| member.node);
            voters.eq(wanted.iter().copied())
        })
        .await;
    }

    /// Waits until the leader knows of all members that they have entries.
    async fn until_registered(&self) {
        for node in self.nodes.values() {
            agreement::agreed_count_max(node).await;
        }
    }

    async fn change(&self, change: Change) -> Result<Changed, Refusal> {
        self.change_with(change, false).await
    }

    /// Asks until no other change is in the way.
    async fn change_with(&self, change: Change, force: bool) -> Result<Changed, Refusal> {
        let node = self.nodes.values().next_back().expect("a node runs");
        let changed = async {
            loop {
                match node.change(change.clone(), force).await {
                    Err(Refusal::Busy | Refusal::NoLeader) => {}
                    changed => return changed,
                }
            }
        };
        timeout(3 * TIMEOUT, changed).await.expect("it is answered")
    }

    async fn replace(&self, old: NodeId, new: NodeId) -> Changed {
        let replaced = async {
            loop {
                let change = Change::Replace {
                    old: old.to_string(),
                    new: new.to_string(),
                };
                let changed = self.change(change).await.expect("it may be done");
                if changed.lag.is_none() {
                    return changed;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, replaced).await.expect("it catches up")
    }

    /// The process of a node dies.
    fn die(&mut self, number: u64) {
        self.board.hang_up(id(number));
        self.nodes.remove(&id(number));
    }

    async fn stop(&mut self, number: u64) {
        let node = self.nodes.remove(&id(number)).unwrap();
        timeout(TIMEOUT, node.shutdown()).await.unwrap().unwrap();
        self.board.hang_up(id(number));
    }

    /// Opens a node whose process has ended, as soon as its files are free.
    async fn reopen(&mut self, number: u64) {
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

    async fn lead(&self, number: u64) {
        let node = &self.nodes[&id(number)];
        let asked = async {
            while !leads(node) {
                if let Some(leader) = self.nodes.values().find(|node| leads(node)) {
                    let _ = leader.transfer_leader(Some(id(number).to_string())).await;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(TIMEOUT, asked).await.expect("it leads");
    }
}

fn promote(number: u64) -> Change {
    Change::Promote(id(number).to_string())
}

fn demote(number: u64) -> Change {
    Change::Demote(id(number).to_string())
}

fn remove(number: u64) -> Change {
    Change::Remove(id(number).to_string())
}

/// Puts newer and newer packets, each of which must be stored, until it is told to stop. Says how
/// many.
struct Writer {
    stop: watch::Sender<bool>,
    writing: tokio::task::JoinHandle<u64>,
}

impl Writer {
    fn start(node: &Arc<Node>) -> Self {
        let (stop, node) = (watch::Sender::new(false), node.clone());
        let stopped = stop.subscribe();
        let writing = tokio::spawn(async move {
            let mut micros = 0;
            while !*stopped.borrow() {
                micros += 1;
                let packet = packet((micros % 50) as u8, micros);
                assert_eq!(put(&node, &packet).await, Ok(PutOutcome::Stored));
            }
            micros
        });
        Self { stop, writing }
    }

    async fn stop(self) -> u64 {
        self.stop.send_replace(true);
        timeout(TIMEOUT, self.writing).await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_grows_into_five_and_shrinks_again_without_a_failed_put() {
    let mut cluster = Cluster::alone(calm).await;
    let first = cluster.nodes[&id(1)].clone();
    put(&first, &packet(200, 1)).await.unwrap();
    let writer = Writer::start(&first);
    cluster.grow([2, 3]).await;
    cluster.until_voters(&[1, 2, 3]).await;
    cluster.grow([4, 5]).await;
    cluster.until_voters(&[1, 2, 3, 4, 5]).await;
    for node in cluster.nodes.values() {
        let last = first.status().applied_index;
        applied(node, last).await;
        assert!(node.stored_packet(packet(200, 1).key()).unwrap().is_some());
        let newer = packet(201, node.config.node.0.as_bytes()[31].into());
        assert_eq!(put(node, &newer).await, Ok(PutOutcome::Stored));
    }
    for number in [5, 4, 3] {
        cluster.change(remove(number)).await.unwrap();
        cluster.stop(number).await;
    }
    cluster.until_voters(&[1, 2]).await;
    let changed = cluster.change(remove(2)).await.unwrap();
    assert_eq!(changed.warnings, Vec::<String>::new());
    cluster.stop(2).await;
    cluster.until_voters(&[1]).await;
    assert!(writer.stop().await > 0);
    let refused = cluster.change(remove(1)).await;
    assert_eq!(refused, Err(Refusal::LastVoter));
    let refused = cluster.change(demote(1)).await;
    assert_eq!(refused, Err(Refusal::LastVoter));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_know_who_the_cluster_is_and_who_its_members_are() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    let members = cluster.members().await;
    let known = cluster.nodes[&id(1)].known().borrow().clone();
    assert!(known.names.id.is_some() && known.names.id == members.cluster);
    for node in cluster.nodes.values() {
        let mut now = node.known();
        let told = timeout(TIMEOUT, now.wait_for(|now| now.members.len() == 3)).await;
        let told = told.expect("it hears of all").unwrap().clone();
        assert_eq!(told.names.id, known.names.id);
        for number in 1..=3 {
            assert_eq!(told.members[&id(number)], address(number));
        }
    }
    let names: Vec<_> = members.members.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["one", "n2", "n3"]);
    // Plainly started again, they are what they were.
    let second = id(2);
    cluster.stop(2).await;
    let config = cluster.configs.get_mut(&second).unwrap();
    config.known = known;
    config.has_joined = true;
    cluster.reopen(2).await;
    cluster.ready().await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_serves_reads_and_forwards_puts_and_never_votes() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.join(2, true, |_| {}).await;
    cluster
        .until_member(2, |member| member.state == MemberState::Live)
        .await;
    let learner = cluster.nodes[&id(2)].clone();
    timeout(TIMEOUT, learner.ready()).await.unwrap();
    assert_eq!(put(&learner, &packet(1, 5)).await, Ok(PutOutcome::Stored));
    let stored = learner.stored_packet(packet(1, 5).key()).unwrap();
    assert_eq!(stored.unwrap().packet, packet(1, 5));
    assert_eq!(learner.status().role, Role::Learner);
    // Many looks of the upkeep.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.until_voters(&[1]).await;
    assert_eq!(learner.status().role, Role::Learner);

    let promoted = cluster.change(promote(2)).await.unwrap();
    assert_eq!(promoted.lag, None);
    assert_eq!(promoted.warnings.len(), 1, "two voters");
    cluster.until_voters(&[1, 2]).await;
    assert_eq!(cluster.change(promote(2)).await, Ok(promoted));
    cluster.change(demote(2)).await.unwrap();
    cluster.until_voters(&[1]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.until_voters(&[1]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_good_token_is_let_in_and_once() {
    let mut cluster = Cluster::alone(|_| {}).await;
    let service = cluster.nodes[&id(1)].service();
    assert!(!service.expects_joiners());
    let token = cluster.token(false).await;
    assert!(service.expects_joiners() && !service.admits(id(2)));

    let mut wrong = token.clone();
    wrong.seed[0] ^= 1;
    assert_eq!(cluster.ask_to_join(&wrong, id(1), 2, "").await, None);
    let mut unknown = token.clone();
    unknown.invite.0[0] ^= 1;
    assert_eq!(cluster.ask_to_join(&unknown, id(1), 2, "").await, None);
    let refused = cluster.ask_to_join(&token, id(1), 2, "one").await;
    assert_eq!(refused, Some(JoinAnswer::Refused(JoinRefusal::NameTaken)));

    for _ in 0..2 {
        let joined = cluster.ask_to_join(&token, id(1), 2, "two").await;
        assert!(matches!(joined, Some(JoinAnswer::Joined(_))), "{joined:?}");
    }
    assert!(service.admits(id(2)) && !service.expects_joiners());
    let used = cluster.ask_to_join(&token, id(1), 3, "").await;
    assert_eq!(used, Some(JoinAnswer::Refused(JoinRefusal::Used)));
    assert!(!service.admits(id(3)));

    let node = cluster.nodes[&id(1)].clone();
    let expired = node.invite(false, Duration::ZERO).await.unwrap().token;
    assert!(!service.expects_joiners());
    let expired = cluster.ask_to_join(&expired, id(1), 3, "").await;
    assert_eq!(expired, Some(JoinAnswer::Refused(JoinRefusal::Expired)));

    // It is removed before it has ever come: its links are refused.
    cluster.change(remove(2)).await.unwrap();
    timeout(TIMEOUT, service.expelled(id(2))).await.unwrap();
    let again = cluster.ask_to_join(&token, id(1), 2, "two").await;
    assert_eq!(again, Some(JoinAnswer::Refused(JoinRefusal::Used)));
    cluster.grow([4]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_removed_hands_over_first() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let survivor = cluster.nodes[&id(3)].clone();
    let writer = Writer::start(&survivor);
    let removed = cluster.nodes.remove(&id(1)).unwrap();
    let changed = timeout(TIMEOUT, removed.change(remove(1), false)).await;
    assert_eq!(changed.unwrap().unwrap().node, id(1));
    cluster.until_voters(&[2, 3]).await;
    let knows = async {
        while removed.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, knows).await.expect("it learns it");
    assert!(writer.stop().await > 0);
    let terms: Vec<_> = cluster.nodes.values().map(|it| it.status().term).collect();
    tokio::time::sleep(survivor.config.election_timeout_max()).await;
    let later: Vec<_> = cluster.nodes.values().map(|it| it.status().term).collect();
    assert_eq!(terms, later, "it disturbs nobody");
    // Said again, it is so.
    let again = cluster.change(remove(1)).await.unwrap();
    assert_eq!(again.node, id(1));
    removed.shutdown().await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_by_one_that_has_just_joined() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    cluster.die(3);
    cluster.join(4, true, |_| {}).await;
    let replaced = cluster.replace(id(3), id(4)).await;
    assert_eq!((replaced.node, replaced.warnings.len()), (id(4), 0));
    let members = cluster.until_members(|members| members.len() == 3).await;
    assert!(
        members
            .iter()
            .all(|member| member.role == MemberRole::Voter)
    );
    assert!(!cluster.nodes[&id(1)].service().admits(id(3)));
    let again = cluster.replace(id(3), id(4)).await;
    assert_eq!(again.warnings.len(), 1, "it is gone already");
    let change = Change::Replace {
        old: id(3).to_string(),
        new: id(3).to_string(),
    };
    let refused = cluster.change(change).await;
    assert!(matches!(refused, Err(Refusal::UnknownNode(_))));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_of_a_cluster_can_be_replaced() {
    let mut cluster = Cluster::alone(calm).await;
    put(cluster.leader(), &packet(1, 5)).await.unwrap();
    cluster.join(2, true, |_| {}).await;
    cluster.replace(id(1), id(2)).await;
    let old = cluster.nodes.remove(&id(1)).unwrap();
    cluster.until_voters(&[2]).await;
    let stored = cluster.leader().stored_packet(packet(1, 5).key());
    assert!(stored.unwrap().is_some());
    old.shutdown().await.unwrap();
    cluster.shutdown().await;
}

/// Whatever a leader has left of a replacement, the next one or asking again completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_was_interrupted_converges() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.join(4, true, |_| {}).await;
    cluster
        .until_member(4, |member| member.state == MemberState::Live)
        .await;
    cluster.until_registered().await;
    // The old one is deregistered and no more.
    cluster.lead(1).await;
    let leader = cluster.nodes[&id(1)].clone();
    let admin = leader.service.client.admin.clone();
    let deregister = Command::Deregister(id(3).0);
    leader.write_path.raft.propose(deregister.encode()).await;
    cluster.lead(2).await;
    cluster
        .until_member(3, |member| member.role == MemberRole::Voter)
        .await;
    cluster.until_registered().await;
    // The joint configuration is committed, and its leader is gone.
    cluster.lead(1).await;
    let _lock = admin.change_lock.lock().await;
    leave_joint(&leader, &[1, 2, 4]).await;
    cluster.die(1);
    let _gone = leader;
    cluster.until_voters(&[2, 4]).await;
    cluster.replace(id(3), id(4)).await;
    cluster
        .until_members(|members| members.iter().all(|member| member.node != id(3)))
        .await;
    assert!(put(&cluster.nodes[&id(4)], &packet(1, 5)).await.is_ok());
}

/// Commits a joint configuration towards these voters, and leaves it so.
async fn leave_joint(node: &Node, numbers: &[u64]) {
    let voters = numbers.iter().copied().map(id).collect();
    let raft = &node.write_path.raft;
    raft.begin_joint(voters).await;
    assert!(raft.membership().is_joint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joint_configuration_that_was_left_behind_is_completed() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.until_registered().await;
    let leader = cluster.leader().clone();
    leave_joint(&leader, &[1, 2]).await;
    cluster.until_voters(&[1, 2]).await;
    // It is registered as a voter to be.
    cluster.until_voters(&[1, 2, 3]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_cut_off_at_once() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let removed = cluster.nodes[&id(3)].clone();
    let services: Vec<_> = [1, 2]
        .map(|number| cluster.nodes[&id(number)].service())
        .into();
    cluster.change(remove(3)).await.unwrap();
    for service in services {
        timeout(TIMEOUT, service.expelled(id(3))).await.unwrap();
        assert!(!service.admits(id(3)));
    }
    let learns = async {
        while removed.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, learns).await.expect("it learns it");
    // One that comes back learns it too.
    drop(removed);
    cluster.die(3);
    cluster.reopen(3).await;
    let back = cluster.nodes.remove(&id(3)).unwrap();
    let learns = async {
        while back.status().not_ready != Some(NotReady::Removed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TIMEOUT, learns).await.expect("it learns it");
    assert!(put(&cluster.nodes[&id(2)], &packet(1, 5)).await.is_ok());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_moves_to_another_address() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    let board = cluster.board.clone();
    board.listen_at(id(3), "elsewhere:7700");
    // Its links live on until they are lost.
    board.close_links(id(3));
    cluster
        .until_member(3, |member| member.state == MemberState::Silent)
        .await;
    for wrong in ["0.0.0.0:7700", "elsewhere", "[::]:1"] {
        let change = Change::Move {
            node: "n3".to_owned(),
            address: wrong.to_owned(),
        };
        let refused = cluster.change(change).await;
        assert_eq!(refused, Err(Refusal::BadAddress(wrong.to_owned())));
    }
    let change = Change::Move {
        node: "n3".to_owned(),
        address: "elsewhere:7700".to_owned(),
    };
    cluster.change(change).await.unwrap();
    cluster
        .until_member(3, |member| member.state == MemberState::Live)
        .await;
    cluster.ready().await;
    for node in cluster.nodes.values() {
        let mut known = node.known();
        let moved = |known: &Known| known.members[&id(3)] == "elsewhere:7700";
        timeout(TIMEOUT, known.wait_for(moved))
            .await
            .unwrap()
            .unwrap();
    }
    assert!(put(&cluster.nodes[&id(3)], &packet(1, 5)).await.is_ok());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_leaves_no_live_quorum_is_refused_unless_forced() {
    let mut cluster = Cluster::alone(|_| {}).await;
    cluster.grow([2, 3]).await;
    cluster.lead(1).await;
    let config = cluster.configs[&id(3)].clone();
    cluster.die(3);
    cluster
        .until_member(3, |member| member.state == MemberState::Silent)
        .await;
    let refused = cluster.change(remove(2)).await;
    let no_quorum = Refusal::NoLiveQuorum {
        live: 1,
        needed: 2,
        voters: 2,
    };
    assert_eq!(refused, Err(no_quorum));
    assert!(put(&cluster.nodes[&id(1)], &packet(1, 5)).await.is_ok());
    // Forced, it waits for the one that is gone.
    let leader = cluster.nodes[&id(1)].clone();
    let forced = tokio::spawn(async move { leader.change(remove(2), true).await });
    let begun = &cluster.nodes[&id(1)].write_path.raft;
    let begins = async {
        while !begun.membership().is_joint() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, begins).await.expect("it is begun");
    cluster.configs.insert(id(3), config);
    cluster.reopen(3).await;
    timeout(TIMEOUT, forced).await.unwrap().unwrap().unwrap();
    cluster.nodes.remove(&id(2));
    cluster.until_voters(&[1, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_is_gone_is_cleaned_up_and_enough_stay() {
    let adjust = |config: &mut Config| {
        config.cleanup = Some(Cleanup {
            after: Duration::from_secs(2),
            voters_min: 3,
        });
    };
    let mut cluster = Cluster::alone(adjust).await;
    for number in 2..=4 {
        cluster.join(number, false, adjust).await;
        cluster
            .until_member(number, |member| member.role == MemberRole::Voter)
            .await;
    }
    cluster.lead(1).await;
    cluster.die(4);
    cluster.until_voters(&[1, 2, 3]).await;
    cluster.until_members(|members| members.len() == 3).await;
    cluster.die(3);
    cluster
        .until_member(3, |member| member.silent_ms > Some(3_000))
        .await;
    cluster.until_voters(&[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_hands_leadership_over_at_any_node() {
    let cluster = Cluster::start(3, calm).await;
    let leader = cluster.leader().config.node;
    for node in cluster.nodes.values() {
        let text = Some(node.config.node.to_string());
        let moved = timeout(TIMEOUT, node.transfer_leader(text)).await.unwrap();
        assert_eq!(moved, Ok(node.config.node));
    }
    let last = *cluster.nodes.keys().next_back().unwrap();
    let any = cluster.nodes.values().next().unwrap();
    let moved = timeout(TIMEOUT, any.transfer_leader(None)).await.unwrap();
    assert!(moved.is_ok_and(|node| node != last), "{leader}");
    let unknown = any.transfer_leader(Some("nobody".to_owned())).await;
    assert_eq!(unknown, Err(Refusal::UnknownNode("nobody".to_owned())));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_cannot_change_before_all_programs_know_how() {
    let cluster = Cluster::start(3, |config| {
        if config.node == id(3) {
            config.level_max = Level::CAPACITY;
        }
    })
    .await;
    let [new, old] = [1, 3].map(|number| &cluster.nodes[&id(number)]);
    cluster.lead(1).await;
    let refused = new.invite(false, HOUR).await.map(drop);
    assert_eq!(refused, Err(Refusal::Unsupported));
    let refused = new.change(remove(3), false).await;
    assert_eq!(refused, Err(Refusal::Unsupported));
    assert_eq!(new.members().await.unwrap().members.len(), 3);
    assert!(old.known().borrow().names.id.is_none());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_listed_page_by_page() {
    let cluster = Cluster::start(1, |_| {}).await;
    let node = cluster.leader();
    for key in 0..10 {
        put(node, &packet(key, 5)).await.unwrap();
    }
    let after = PublicKey::from_bytes([6; 32]);
    let listed = node.packets_after(Some(after), 2).unwrap();
    let keys: Vec<_> = listed
        .iter()
        .map(|it| it.packet.key().as_bytes()[0])
        .collect();
    assert_eq!(keys, [7, 8]);
    cluster.shutdown().await;
}
