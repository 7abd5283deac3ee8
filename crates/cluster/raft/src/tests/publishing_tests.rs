//! Who may publish, and packets that operators delete.

use quorate_api::{ChangePublishing, DeletePacket, Problem, ProblemType};
use quorate_peer::message::Payload;
use quorate_replica::{
    ChangeKind, ClockState, Conditions, PublishChange, PublishMode, PublishState, Replica,
    TokenHash,
};
use quorate_state::{Command, UnixMillis};

use super::{disk_faults::Simulated, test_members::ask, *};
use crate::clocks::commit_freshness::FRESHNESS_MAX;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

async fn change(node: &Node, change: PublishChange) -> Result<(), Problem> {
    let changed = timeout(TIMEOUT, ask(node, ChangePublishing { change })).await;
    changed.expect("it is answered")
}

async fn delete(node: &Node, block: Option<Duration>) -> Result<bool, Problem> {
    let delete = DeletePacket {
        key: key(1),
        block_secs: block.map(|block| block.as_secs()),
    };
    let deleted = timeout(TIMEOUT, ask(node, delete)).await;
    let deleted = deleted.expect("it is answered")?;
    assert_eq!(deleted.key, key(1).to_string());
    Ok(deleted.was_stored)
}

/// A cluster that has committed everything that it agrees on automatically.
async fn cluster(adjust: impl Fn(&mut RaftConfig)) -> Cluster {
    let cluster = Cluster::start(3, adjust).await;
    for node in cluster.nodes.values() {
        leader_proposals::agreed_count_max(node).await;
    }
    cluster
}

/// Waits until all nodes agree that this time has passed.
async fn clocks_agree_on(cluster: &Cluster, time: UnixMillis) {
    for node in cluster.nodes.values() {
        let agree = async {
            loop {
                let reading = node.context().gossip.time();
                if reading.state == ClockState::Agreed && reading.time > time {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, agree)
            .await
            .expect("the nodes exchange messages");
    }
}

/// How many entries after this one contain packets.
fn put_count(node: &Node, after: LogIndex) -> usize {
    let last = node.status().last_log_index;
    let range = after.next().0..last.next().0;
    let entries = node.context().log.read(range, usize::MAX).unwrap();
    let is_put = |(_, payload): &(_, Bytes)| match Payload::decode(payload).unwrap() {
        Payload::Command(command) => {
            matches!(Command::decode(command), Ok(Command::PutBatch(_)))
        }
        _ => false,
    };
    entries.iter().filter(|entry| is_put(entry)).count()
}

/// Waits until all nodes have applied what one has.
async fn applied_by_all(cluster: &Cluster, node: &Node) {
    let index = node.status().applied_index;
    for other in cluster.nodes.values() {
        applied(other, index).await;
    }
}

async fn expect_put(cluster: &Cluster, packet: &SignedPacket, expected: PutOutcome) {
    for node in cluster.nodes.values() {
        assert_eq!(put(node, packet).await, Ok(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_deleted_at_one_node_is_gone_everywhere_and_stays_away() {
    let cluster = cluster(|_| {}).await;
    let [older, deleted, newer] = [4, 5, 6].map(|micros| packet(1, micros));
    let node = cluster.followers().next().unwrap();
    put(node, &deleted).await.unwrap();
    applied_by_all(&cluster, node).await;
    let before = node.status().applied_index;
    assert_eq!(delete(node, None).await, Ok(true));
    assert!(
        node.packet(&key(1)).unwrap().is_none(),
        "deleted here immediately"
    );
    applied_by_all(&cluster, node).await;
    for other in cluster.nodes.values() {
        // DNS answers from the same index.
        assert!(other.packet(&key(1)).unwrap().is_none());
        assert!(other.context().store.stored_packet(&key(1)).is_none());
        assert_eq!(other.status().packet_count, 0);
        let changes = other.changes_since(before, 10).unwrap().changes;
        let reported: Vec<_> = changes.iter().map(|it| (it.key, it.kind)).collect();
        assert_eq!(reported, [(key(1), ChangeKind::Deleted)]);
    }
    expect_put(&cluster, &older, PutOutcome::Superseded).await;
    expect_put(&cluster, &deleted, PutOutcome::Superseded).await;
    assert_eq!(delete(node, None).await, Ok(false));

    assert_eq!(put(node, &newer).await, Ok(PutOutcome::Stored));
    applied_by_all(&cluster, node).await;
    expect_put(&cluster, &deleted, PutOutcome::Superseded).await;
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_blocked_until_the_cluster_time_reaches_the_end() {
    let ahead = Ahead::default();
    let cluster = cluster(|config| config.wall_clock = ahead.clock()).await;
    let [deleted, newer, newest] = [5, 6, 7].map(|micros| packet(1, micros));
    let leader = cluster.leader();
    put(leader, &deleted).await.unwrap();
    assert_eq!(delete(leader, Some(DAY)).await, Ok(true));
    applied_by_all(&cluster, leader).await;
    expect_put(&cluster, &newer, PutOutcome::Blocked).await;
    expect_put(&cluster, &deleted, PutOutcome::Blocked).await;
    // Another deletion does not change that.
    assert_eq!(delete(leader, None).await, Ok(false));
    applied_by_all(&cluster, leader).await;
    expect_put(&cluster, &newer, PutOutcome::Blocked).await;

    let end = leader.publishing().blocked_until(&key(1)).unwrap();
    ahead.set(2 * DAY);
    clocks_agree_on(&cluster, end).await;
    expect_put(&cluster, &deleted, PutOutcome::Superseded).await;
    assert_eq!(put(leader, &newer).await, Ok(PutOutcome::Stored));

    // A block of zero seconds removes the existing one.
    assert_eq!(delete(leader, Some(DAY)).await, Ok(true));
    assert_eq!(put(leader, &newest).await, Ok(PutOutcome::Blocked));
    assert_eq!(delete(leader, Some(Duration::ZERO)).await, Ok(false));
    assert_eq!(put(leader, &newest).await, Ok(PutOutcome::Stored));
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_policy_at_any_node_applies_to_all() {
    let cluster = cluster(|_| {}).await;
    let nodes: Vec<_> = cluster.nodes.values().collect();
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let stored = packet(1, 5);
    put(nodes[0], &stored).await.unwrap();

    change(nodes[0], PublishChange::Deny(vec![key(1)]))
        .await
        .unwrap();
    applied_by_all(&cluster, nodes[0]).await;
    expect_put(&cluster, &packet(1, 6), PutOutcome::Forbidden).await;
    expect_put(&cluster, &stored, PutOutcome::Forbidden).await;
    let kept = nodes[1].stored_packet(&key(1)).unwrap();
    assert_eq!(kept.map(|stored| stored.packet), Some(stored));
    assert_eq!(put(nodes[1], &packet(2, 5)).await, Ok(PutOutcome::Stored));

    let set_mode = PublishChange::SetMode(PublishMode::AllowList);
    change(nodes[1], set_mode).await.unwrap();
    change(nodes[1], PublishChange::Allow(vec![key(3)]))
        .await
        .unwrap();
    applied_by_all(&cluster, nodes[1]).await;
    expect_put(&cluster, &packet(2, 6), PutOutcome::Forbidden).await;
    assert_eq!(put(nodes[2], &packet(3, 5)).await, Ok(PutOutcome::Stored));

    let hash = TokenHash([7; 32]);
    let name = "tenant".to_owned();
    let add = PublishChange::AddToken { name, hash };
    change(nodes[2], add.clone()).await.unwrap();
    applied_by_all(&cluster, nodes[2]).await;
    assert!(nodes.iter().all(|node| node.publishing().has_token(&hash)));
    // A repeated request finds the change made, and writes nothing.
    let index = nodes[2].status().last_log_index;
    change(nodes[2], add).await.unwrap();
    assert_eq!(nodes[2].status().last_log_index, index);
    let other = PublishChange::AddToken {
        name: "tenant".to_owned(),
        hash: TokenHash([8; 32]),
    };
    let rejected = change(nodes[2], other).await.unwrap_err();
    assert_eq!(
        rejected.problem_type,
        ProblemType::RefusedPolicy,
        "{rejected}"
    );
    expect_equal_digests(nodes).await;
    cluster.shutdown().await;
}

/// A check only on the node that receives a PUT could miss a change; the log orders both.
#[tokio::test(flavor = "multi_thread")]
async fn no_put_evades_a_change_that_the_leader_has_applied() {
    let adjust = |config: &mut RaftConfig| config.settings.put.deadline_ms = 20_000;
    let mut simulated = Simulated::start_with(3, adjust).await;
    for node in simulated.cluster.nodes.values() {
        leader_proposals::agreed_count_max(node).await;
    }
    let leader = simulated.cluster.leader().clone();
    let behind = simulated.follower();
    let node = simulated.cluster.nodes[&behind].clone();
    let deleted = packet(1, 5);
    put(&leader, &deleted).await.unwrap();
    applied(&node, leader.status().applied_index).await;
    let board = simulated.cluster.board.clone();
    board.cut_off.lock().unwrap().insert(behind);
    // A link on which a response was lost would time out later, with the PUTs on it.
    board.close_links(behind);
    change(&leader, PublishChange::Deny(vec![key(2)]))
        .await
        .unwrap();
    delete(&leader, Some(DAY)).await.unwrap();
    disk_faults::checkpoint_and_purge(&leader).await;

    // The node knows neither change and accepts both PUTs. Their place in the log decides the outcome.
    assert_eq!(*node.publishing(), PublishState::default());
    let (forbidden, blocked) = (packet(2, 5), packet(1, 6));
    let puts = async { tokio::join!(put(&node, &forbidden), put(&node, &blocked)) };
    let healed = async { board.cut_off.lock().unwrap().clear() };
    let (outcomes, ()) = tokio::join!(puts, healed);
    let rejected = (Ok(PutOutcome::Forbidden), Ok(PutOutcome::Blocked));
    assert_eq!(outcomes, rejected);

    // A snapshot has brought it what was purged from the log.
    applied(&node, leader.status().applied_index).await;
    assert_eq!(node.publishing(), leader.publishing());
    assert!(node.publishing().blocked_until(&key(1)) > Some(UnixMillis(0)));
    assert!(node.stored_packet(&key(1)).unwrap().is_none());
    expect_equal_digests(simulated.cluster.nodes.values()).await;
    drop(leader);

    // A checkpoint keeps it too.
    let expected = node.publishing();
    disk_faults::checkpoint_and_purge(&node).await;
    drop(node);
    simulated.kill(behind);
    simulated.cluster.open(behind).await.unwrap();
    assert_eq!(simulated.cluster.nodes[&behind].publishing(), expected);
    simulated.cluster.shutdown().await;
}

/// Identical bytes cost no entry until an eighth of the retention has passed, and then one entry for
/// all nodes together.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_costs_one_write_per_eighth_of_the_retention() {
    let ahead = Ahead::default();
    let cluster = cluster(|config| config.wall_clock = ahead.clock()).await;
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let node = cluster.followers().next().unwrap();
    let stored = packet(1, 5);
    put(node, &stored).await.unwrap();
    applied_by_all(&cluster, node).await;
    let eighth = node.context().config.retention() / 8;
    for round in 1..=3 {
        let received = node.stored_packet(&key(1)).unwrap().unwrap().received;
        let index = node.status().last_log_index;
        for _ in 0..10 {
            expect_put(&cluster, &stored, PutOutcome::Unchanged).await;
        }
        assert_eq!(put_count(node, index), 0, "round {round}");
        let known = |packet: &SignedPacket| node.known_outcome(packet, &Conditions::default());
        assert_eq!(known(&packet(1, 4)), Some(PutOutcome::Superseded));
        assert_eq!(known(&packet(1, 6)), None);

        ahead.set(round * (eighth + Duration::from_secs(60)));
        clocks_agree_on(&cluster, received.saturating_add(eighth)).await;
        assert_eq!(known(&stored), None, "the log must record the receipt");
        for other in cluster.nodes.values() {
            assert_eq!(put(other, &stored).await, Ok(PutOutcome::Unchanged));
            applied_by_all(&cluster, other).await;
        }
        assert_eq!(put_count(node, index), 1, "round {round}: at any node");
        let renewed = node.stored_packet(&key(1)).unwrap().unwrap().received;
        assert!(renewed.since(received) >= eighth);
    }
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

/// A node that has not received a deletion acknowledges the deleted bytes for at most one second.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_acknowledges_what_it_holds_for_a_second() {
    let cluster = Cluster::start(3, |_| {}).await;
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let packet = packet(1, 5);
    put(cluster.leader(), &packet).await.unwrap();
    let last = cluster.leader().status().applied_index;
    let follower = cluster.followers().next().unwrap().clone();
    applied(&follower, last).await;
    assert_eq!(put(&follower, &packet).await, Ok(PutOutcome::Unchanged));

    cluster.board.cut_off.lock().unwrap().insert(follower.id);
    let leader = cluster.leader().clone();
    assert_eq!(delete(&leader, None).await, Ok(true));
    let deleted = tokio::time::Instant::now();
    tokio::time::sleep_until(deleted + FRESHNESS_MAX).await;
    let answer = put(&follower, &packet).await;
    assert!(answer.is_err(), "{answer:?}");

    cluster.board.cut_off.lock().unwrap().clear();
    timeout(TIMEOUT, follower.ready()).await.unwrap();
    let rejected = async { while put(&follower, &packet).await != Ok(PutOutcome::Superseded) {} };
    timeout(TIMEOUT, rejected)
        .await
        .expect("it receives the deletion");
    cluster.shutdown().await;
}
