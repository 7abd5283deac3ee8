//! Which node leads after the leader has died, or should not lead.

use quorate_peer::{NotElectable, message::VoteRequest};

use super::*;
use crate::clocks::gossip::PeerGossip;

/// Longer than any of these tests: a node that is elected earlier was not elected by a timeout.
const NO_TIMEOUT_MS: u64 = 60_000;

/// A cluster in which no election timeout ends, and no silence is too long.
pub(super) async fn without_elections(count: u64) -> Cluster {
    with_lease(Cluster::prepare(count, |config| {
        config.settings.raft.election_timeout_min_ms = NO_TIMEOUT_MS - 1;
        config.settings.raft.election_timeout_max_ms = NO_TIMEOUT_MS;
    }))
    .await
}

/// A leader's lease does not end, but its silence is noticed.
pub(super) fn noticing_silence(config: &mut RaftConfig) {
    config.settings.raft.election_timeout_min_ms = 500;
    config.settings.raft.election_timeout_max_ms = NO_TIMEOUT_MS;
}

/// Opens the nodes, and has one elected.
pub(super) async fn with_lease(mut cluster: Cluster) -> Cluster {
    cluster.open_all().await;
    let elected = async {
        while !cluster.nodes.values().any(|node| leads(node)) {
            let (_, first) = cluster.nodes.first_key_value().unwrap();
            first.context().write_path.raft.elect().await;
            let led = first.context().write_path.leader.clone();
            let led = async move {
                let mut led = led;
                led.wait_for(|leader| leader.node.is_some()).await.map(drop)
            };
            let _ = timeout(Duration::from_millis(500), led).await;
        }
    };
    timeout(TIMEOUT, elected).await.expect("one is elected");
    cluster.ready().await;
    cluster
}

/// Long timeouts, so that no election starts because the machine is busy.
pub(super) fn calm(config: &mut RaftConfig) {
    config.settings.raft.election_timeout_min_ms = 2_000;
    config.settings.raft.election_timeout_max_ms = 4_000;
}

impl Cluster {
    /// The process of `node` dies, and its host closes its connections.
    pub(super) fn kill(&mut self, node: NodeId) {
        self.board.hang_up(node);
        self.nodes.remove(&node);
    }

    fn cut_off(&self, node: NodeId) {
        self.board.cut_off.lock().unwrap().insert(node);
    }

    /// The leader that all but `old` follow, once they do.
    pub(super) async fn leader_after(&self, old: NodeId) -> &Arc<Node> {
        let mut successor = None;
        for node in self.nodes.values() {
            if node.context().config.node == old {
                continue;
            }
            let mut leader = node.context().write_path.leader.clone();
            let other = leader
                .wait_for(|leader| leader.node.as_ref().is_some_and(|(node, _)| *node != old));
            let other = timeout(TIMEOUT, other).await.expect("another leads");
            successor = other.unwrap().node.clone();
        }
        &self.nodes[&successor.expect("a node is left").0]
    }

    fn two_followers(&self) -> [Arc<Node>; 2] {
        let mut followers = self.followers().cloned();
        std::array::from_fn(|_| followers.next().expect("there are two"))
    }
}

pub(super) fn gossip(node: &Node) -> &PeerGossip {
    &node.context().write_path.gossip
}

fn set_not_electable<'a>(nodes: impl IntoIterator<Item = &'a Arc<Node>>, not_electable: bool) {
    for node in nodes {
        gossip(node).set_not_electable(NotElectable::DISK_SLOW, not_electable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_is_succeeded_before_any_election_timeout() {
    let mut cluster = without_elections(3).await;
    let old = cluster.leader().clone();
    put(&old, &packet(1, 5)).await.unwrap();
    let term = old.status().term;
    cluster.kill(old.context().config.node);
    let successor = cluster.leader_after(old.context().config.node).await;
    assert_eq!(
        successor.status().term,
        Term(term.0 + 1),
        "no vote is split"
    );
    for node in cluster.nodes.values() {
        assert!(put(node, &packet(2, 5)).await.is_ok());
    }
    assert!(
        successor
            .stored_packet(packet(1, 5).key())
            .unwrap()
            .is_some()
    );
    cluster.shutdown().await;
}

/// The others notice one after the other: the first candidate repeats its requests until they have.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_node_to_notice_a_dead_leader_waits_for_the_others() {
    let mut cluster = without_elections(3).await;
    let old = cluster.leader().context().config.node;
    cluster.board.vanish(old);
    cluster.nodes.remove(&old);
    let survivors: Vec<_> = cluster.nodes.keys().copied().collect();
    cluster.board.close_links_between(survivors[0], old);
    // It probes the leader in vain, and requests the vote of the other node, which has not noticed.
    let probed = async {
        while cluster.board.rejections(survivors[0], old) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, probed).await.unwrap();
    cluster.board.close_links_between(survivors[1], old);
    cluster.leader_after(old).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_about_a_live_leader_change_nothing() {
    let cluster = Cluster::start(3, calm).await;
    let leader = cluster.leader().clone();
    let (node, term) = (leader.context().config.node, leader.status().term);
    let followers: Vec<_> = cluster.followers().cloned().collect();
    for micros in 1..10 {
        for follower in &followers {
            let mut hangups = follower
                .context()
                .write_path
                .peers
                .link_tracker
                .hangups
                .subscribe();
            let hint = async {
                // Links that are being opened are not closed, so repeat it.
                loop {
                    cluster.board.close_links(node);
                    let hint = timeout(leader.context().config.heartbeat(), hangups.recv()).await;
                    if hint.is_ok_and(|peer| peer.unwrap() == node) {
                        break;
                    }
                }
            };
            timeout(TIMEOUT, hint).await.expect("the hint is received");
        }
        put(&leader, &packet(1, micros)).await.unwrap();
    }
    assert!(leads(&leader));
    assert_eq!(leader.status().term, term);
    cluster.shutdown().await;
}

/// Cuts the leader off by `cut`, which closes no connection, and expects that another node leads
/// although the lease of the old one has not ended.
async fn expect_successor(cut: impl Fn(&Switchboard, NodeId, NodeId)) {
    let cluster = with_lease(Cluster::prepare(3, noticing_silence)).await;
    let old = cluster.leader().clone();
    put(&old, &packet(1, 5)).await.unwrap();
    let node = old.context().config.node;
    for follower in cluster.followers() {
        cut(&cluster.board, node, follower.context().config.node);
    }
    let successor = cluster.leader_after(node).await;
    assert_eq!(put(successor, &packet(1, 6)).await, Ok(PutOutcome::Stored));
    cluster.board.heal();
    until(&old, |view| view.role == Role::Follower).await;
    assert_eq!(put(&old, &packet(1, 7)).await, Ok(PutOutcome::Stored));
    cluster.shutdown().await;
}

/// As if its process stood still.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_neither_sends_nor_receives_is_succeeded_before_its_lease_ends() {
    expect_successor(|board, leader, follower| {
        board.lose(leader, follower);
        board.lose(follower, leader);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_messages_are_lost_is_succeeded_before_its_lease_ends() {
    expect_successor(|board, leader, follower| board.lose(leader, follower)).await;
}

/// The others hear it, and hear that nobody has acknowledged it.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_receives_nothing_is_succeeded_before_its_lease_ends() {
    expect_successor(|board, leader, follower| board.lose(follower, leader)).await;
}

/// Its links with the others end again and again, as if it crashed several times a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_crashes_repeatedly_does_not_hide_that_the_leader_is_silent() {
    let cluster = with_lease(Cluster::prepare(5, noticing_silence)).await;
    let leader = cluster.leader().id;
    let others: Vec<_> = cluster.followers().map(|node| node.id).collect();
    for other in &others {
        cluster.board.lose(leader, *other);
        cluster.board.lose(*other, leader);
    }
    let crashes = async {
        loop {
            for other in &others[1..] {
                cluster.board.close_links_between(others[0], *other);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        _ = cluster.leader_after(leader) => {}
        () = crashes => {}
    }
    cluster.board.heal();
    cluster.shutdown().await;
}

/// Its lease counts again once the leader is heard: two nodes that missed the leader one after the
/// other are no majority.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_alone_misses_the_leader_changes_nothing() {
    let cluster = with_lease(Cluster::prepare(3, noticing_silence)).await;
    let leader = cluster.leader().clone();
    let (node, term) = (leader.context().config.node, leader.status().term);
    let followers = cluster.two_followers();
    for (index, follower) in followers.iter().enumerate() {
        let other = followers[1 - index].context().config.node;
        let own = follower.context().config.node;
        cluster.board.lose(node, own);
        let before = cluster.board.pre_votes(own, other);
        eventually("it asks in vain", || {
            cluster.board.pre_votes(own, other) >= before + 20
        })
        .await;
        assert!(put(&leader, &packet(1, 5)).await.is_ok());
        cluster.board.heal();
        eventually("it honors the lease", || {
            follower.context().honors_released_lease()
        })
        .await;
    }
    assert!(leads(&leader));
    assert_eq!(leader.status().term, term);
    cluster.shutdown().await;
}

pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, met).await.expect(what);
}

/// A candidate asks for votes after a majority has granted its pre-vote. It no longer follows the
/// leader by then, so a refusal would only make the election longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_honors_a_released_lease_rejects_pre_votes_but_no_votes() {
    let cluster = Cluster::start(3, calm).await;
    let [voter, candidate] = cluster.two_followers();
    let context = voter.context();
    let leader = context.raft.vote().await.unwrap();
    context.raft.release_lease(leader).await;
    eventually("it honors the lease", || context.honors_released_lease()).await;
    let term = Term(leader.term.0 + 1);
    let request = VoteRequest {
        vote: Vote {
            term,
            node: candidate.id,
            committed: false,
        },
        last_log: Some(LogPosition::new(leader.term.0, 1_000)),
        leadership_transfer: false,
    };
    let pre_vote = Request::PreVote(request.clone());
    let rejected = hostile::answered(&voter, candidate.id, StreamKind::Control, pre_vote).await;
    assert!(matches!(rejected, Response::Failed(_)), "{rejected:?}");
    let vote = Request::Vote(request);
    match hostile::answered(&voter, candidate.id, StreamKind::Control, vote).await {
        Response::Vote(response) => assert!(response.granted, "{response:?}"),
        other => panic!("{other:?}"),
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lacks_entries_leaves_its_turn_to_the_next() {
    let mut cluster = without_elections(3).await;
    let old = cluster.leader().clone();
    // The next one in the ring of ids after the leader.
    let next = cluster.nodes.range(old.context().config.node..).nth(1);
    let next = next.or(cluster.nodes.first_key_value());
    let next = *next.unwrap().0;
    cluster.cut_off(next);
    for micros in 1..20 {
        put(&old, &packet(1, micros)).await.unwrap();
    }
    cluster.kill(old.context().config.node);
    cluster.board.cut_off.lock().unwrap().clear();
    let successor = cluster.leader_after(old.context().config.node).await;
    assert_ne!(successor.context().config.node, next);
    // It has the entries, and may not know yet that the last ones are committed.
    successor.linearize().await.unwrap();
    let stored = successor.stored_packet(packet(1, 1).key()).unwrap();
    assert_eq!(stored.unwrap().packet, packet(1, 19));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_should_not_lead_hands_over_to_one_that_may() {
    let cluster = Cluster::start(3, calm).await;
    let old = cluster.leader().clone();
    let term = old.status().term;
    let [not_electable, electable] = cluster.two_followers();
    set_not_electable([&not_electable], true);
    // The leader must know it before it has to choose.
    let received = async {
        let received = || gossip(&old).last_received(not_electable.context().config.node);
        while received().is_none_or(|received| received.metadata.not_electable.is_empty()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, received).await.unwrap();
    set_not_electable([&old], true);
    let successor = cluster.leader_after(old.context().config.node).await;
    assert_eq!(
        successor.context().config.node,
        electable.context().config.node
    );
    for micros in 1..50 {
        for node in cluster.nodes.values() {
            put(node, &packet(1, micros)).await.unwrap();
        }
    }
    assert!(leads(successor), "it does not hand back");
    assert_eq!(successor.status().term, Term(term.0 + 1));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_electable_voter_the_leader_stays_until_there_is_one() {
    let cluster = Cluster::start(3, calm).await;
    let leader = cluster.leader().clone();
    let term = leader.status().term;
    let followers: Vec<_> = cluster.followers().cloned().collect();
    set_not_electable(&followers, true);
    for follower in &followers {
        let received = async {
            let received = || gossip(&leader).last_received(follower.context().config.node);
            while received().is_none_or(|received| received.metadata.not_electable.is_empty()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, received).await.unwrap();
    }
    set_not_electable([&leader], true);
    // The leader checks for a successor many times.
    let until = tokio::time::Instant::now() + 20 * leader.context().config.heartbeat();
    let mut micros = 0;
    while tokio::time::Instant::now() < until {
        micros += 1;
        assert_eq!(
            put(&leader, &packet(1, micros)).await,
            Ok(PutOutcome::Stored)
        );
    }
    assert!(leads(&leader));
    assert_eq!(leader.status().term, term);

    set_not_electable([&followers[1]], false);
    let successor = cluster.leader_after(leader.context().config.node).await;
    assert_eq!(
        successor.context().config.node,
        followers[1].context().config.node
    );
    cluster.shutdown().await;
}

/// The node that is asked to lead is already gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_handover_that_fails_does_not_stop_the_cluster() {
    let cluster = Cluster::start(3, |_| {}).await;
    let old = cluster.leader().clone();
    let first = cluster.followers().next().unwrap().context().config.node;
    let received = async {
        while cluster.followers().any(|f| {
            gossip(&old)
                .last_received(f.context().config.node)
                .is_none()
        }) {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, received).await.unwrap();
    cluster.cut_off(first);
    set_not_electable([&old], true);
    let last = cluster.followers().nth(1).unwrap().clone();
    assert!(put(&last, &packet(1, 5)).await.is_ok());
    until(&last, |view| view.role == Role::Leader).await;
    assert_eq!(put(&old, &packet(1, 6)).await, Ok(PutOutcome::Stored));
    cluster.board.cut_off.lock().unwrap().clear();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_to_one_that_may_lead() {
    let cluster = Cluster::start(3, calm).await;
    let old = cluster.leader().clone();
    // The first is chosen among equal ones.
    let [not_electable, electable] = cluster.two_followers();
    set_not_electable([&not_electable], true);
    let received = async {
        let is_electable = |node: &Arc<Node>| {
            let received = gossip(&old).last_received(node.context().config.node);
            received.map(|received| received.metadata.not_electable.is_empty())
        };
        while (is_electable(&not_electable), is_electable(&electable)) != (Some(false), Some(true))
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, received).await.unwrap();
    timeout(TIMEOUT, old.shutdown()).await.unwrap().unwrap();
    assert!(
        leads(&electable),
        "there is a new leader as soon as the old one has stopped"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_reports_how_long_ago_a_quorum_acknowledged_it() {
    let cluster = Cluster::start(3, |_| {}).await;
    let leader = cluster.leader().clone();
    let follower = cluster.followers().next().unwrap().clone();
    let reported = || {
        gossip(&leader)
            .metadata(follower.context().config.node)
            .quorum_ack_age_ms
    };
    let until = async |condition: &dyn Fn(u64) -> bool| {
        let met = async {
            while !condition(reported()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, met).await.expect("it is reported");
    };
    until(&|age| age > 0 && age < 1_000).await;
    assert_eq!(
        gossip(&follower)
            .metadata(leader.context().config.node)
            .quorum_ack_age_ms,
        0
    );
    cluster.cut_off(leader.context().config.node);
    until(&|age| age > 1_500).await;
    cluster.board.cut_off.lock().unwrap().clear();
    // It now follows another leader, or leads again.
    until(&|age| age < 1_000).await;
    cluster.shutdown().await;
}
