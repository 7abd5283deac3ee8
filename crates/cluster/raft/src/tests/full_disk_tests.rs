//! Nodes on disks that are full.

use std::sync::atomic::AtomicU8;

use quorate_peer::message::{Append, Appended, Entry, Payload, Request, Response};
use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use super::{disk_faults::Simulated, *};

/// Leaves a node too little space, and waits until it has noticed.
async fn fill(simulated: &Simulated, node: NodeId) {
    simulated.disks[&node].fill();
    set_low(&simulated.cluster.nodes[&node], true).await;
}

/// Gives a node space again, and waits until it has noticed.
async fn free_space(simulated: &Simulated, node: NodeId) {
    simulated.disks[&node].clear_faults();
    set_low(&simulated.cluster.nodes[&node], false).await;
}

async fn set_low(node: &Node, expected: bool) {
    let mut low = node.context().write_path.raft.space.watch();
    let seen = timeout(TIMEOUT, low.wait_for(|low| *low == expected)).await;
    drop(seen.expect("it is seen").unwrap());
}

async fn stored(node: &Node, packet: &SignedPacket) -> bool {
    let stored = node.stored_packet(packet.key()).unwrap();
    stored.is_some_and(|stored| stored.packet == *packet)
}

fn expect_alive(simulated: &Simulated) {
    for node in simulated.cluster.nodes.values() {
        let failure = node.context().write_path.raft.view().failure;
        assert!(failure.is_none(), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_follower_still_votes_and_acknowledges_heartbeats() {
    let simulated = Simulated::start(3).await;
    let full = simulated.follower();
    let node = simulated.cluster.nodes[&full].clone();
    put(simulated.cluster.leader(), &packet(1, 5))
        .await
        .unwrap();
    applied(&node, simulated.cluster.leader().status().applied_index).await;
    fill(&simulated, full).await;

    // The others continue, and it keeps what it had.
    let before = node.status();
    for key in 2..20 {
        put(simulated.cluster.leader(), &packet(key, 5))
            .await
            .unwrap();
    }
    assert_eq!(put(&node, &packet(20, 5)).await, Err(PutError::DiskFull));
    assert_eq!(put(&node, &packet(1, 5)).await, Ok(PutOutcome::Unchanged));
    let status = node.status();
    assert!(status.disk_full && status.not_ready.is_none(), "{status:?}");
    assert_eq!(status.term, before.term, "it started no election");
    // An entry of the leader's own may have come before the disk was full: none of these packets has.
    let missing = LogIndex(status.last_log_index.0 + 18);
    applied(simulated.cluster.leader(), missing).await;
    assert!(stored(&node, &packet(1, 5)).await);

    // It acknowledges the heartbeats that are sent from now on.
    let leader = simulated.cluster.leader().clone();
    for _ in 0..2 {
        until(&leader, |view| {
            let follower = view.followers.iter().find(|it| it.node == full);
            follower.is_some_and(|it| it.ack_age.is_some_and(|age| age.as_millis() < 100))
        })
        .await;
    }

    // With its vote the third node leads.
    let old = leader.context().config.node;
    simulated.cluster.board.cut_off.lock().unwrap().insert(old);
    let other = simulated.cluster.followers();
    let other = other.filter(|it| ![full, old].contains(&it.context().config.node));
    let other = other.last().expect("there are three").clone();
    until(&other, |view| view.role == Role::Leader).await;
    simulated.cluster.board.cut_off.lock().unwrap().clear();

    free_space(&simulated, full).await;
    applied(&node, other.status().last_log_index).await;
    for key in 1..20 {
        assert!(stored(&node, &packet(key, 5)).await, "{key}");
    }
    put(&node, &packet(21, 5)).await.unwrap();
    expect_alive(&simulated);
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_leader_hands_over_to_a_node_with_space() {
    let simulated = Simulated::start(3).await;
    let old = simulated.cluster.leader().clone();
    let full = old.context().config.node;
    fill(&simulated, full).await;
    let other = simulated.follower();
    let other = simulated.cluster.nodes[&other].clone();
    assert_eq!(put(&other, &packet(1, 5)).await, Ok(PutOutcome::Stored));
    assert_eq!(put(&old, &packet(2, 5)).await, Err(PutError::DiskFull));
    until(&old, |view| {
        view.role == Role::Follower && view.leader.is_some_and(|(leader, _)| leader != full)
    })
    .await;
    free_space(&simulated, full).await;
    assert_eq!(put(&old, &packet(2, 5)).await, Ok(PutOutcome::Stored));
    expect_alive(&simulated);
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_follower_rejects_commands_and_accepts_the_first_entry_of_a_leader() {
    let simulated = Simulated::start(3).await;
    let full = simulated.follower();
    let node = simulated.cluster.nodes[&full].clone();
    fill(&simulated, full).await;
    let status = node.status();
    let append = |payload| {
        let index = status.last_log_index.next();
        let position = LogPosition {
            term: status.term,
            index,
        };
        Append {
            vote: quorate_peer::message::Vote {
                term: status.term,
                node: simulated.cluster.leader().context().config.node,
                committed: true,
            },
            previous: Some(LogPosition {
                term: status.term,
                index: status.last_log_index,
            }),
            entries: vec![Entry { position, payload }],
            leader_commit: None,
        }
    };
    let raft = &node.context().write_path.raft;
    let rejected = raft
        .answer(Request::Append(append(Payload::Command(Bytes::new()))))
        .await;
    let Response::Failed(reason) = rejected else {
        panic!("{rejected:?}");
    };
    assert!(reason.contains("nearly full"), "{reason}");
    let accepted = raft.answer(Request::Append(append(Payload::Blank))).await;
    assert!(
        matches!(accepted, Response::Append(Appended::Flushed(_))),
        "{accepted:?}"
    );
}

/// All disks are full, and all nodes continue to serve reads. Then there is space again, and
/// everything works as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_never_stops_a_node() {
    let simulated = Simulated::start(3).await;
    let nodes: Vec<_> = simulated.cluster.nodes.values().cloned().collect();
    put(&nodes[0], &packet(1, 5)).await.unwrap();
    let last = simulated.cluster.leader().status().last_log_index;
    for node in &nodes {
        applied(node, last).await;
        // A full node that lacks a proposal of the leader cannot linearize.
        leader_proposals::agreed_count_max(node).await;
    }
    // The leader comes last: it would hand over to a node with space, which proposes commands that
    // the full ones reject.
    let leader = simulated.cluster.leader().context().config.node;
    let mut full: Vec<_> = simulated.disks.keys().copied().collect();
    full.sort_by_key(|node| *node == leader);
    for node in &full {
        fill(&simulated, *node).await;
    }
    for node in &nodes {
        assert_eq!(put(node, &packet(2, 5)).await, Err(PutError::DiskFull));
        assert!(stored(node, &packet(1, 5)).await);
        node.linearize().await.expect("they have a leader");
    }

    // A new leader starts its term: there is space for its first entry.
    let leader = simulated.cluster.leader().context().config.node;
    simulated
        .cluster
        .board
        .cut_off
        .lock()
        .unwrap()
        .insert(leader);
    for node in nodes
        .iter()
        .filter(|node| node.context().config.node != leader)
    {
        until(node, |view| {
            let other = view.leader.as_ref().is_some_and(|(id, _)| *id != leader);
            other && view.applied > last
        })
        .await;
    }
    simulated.cluster.board.cut_off.lock().unwrap().clear();
    // There is no space for a checkpoint: neither a trigger nor a digest stops a node.
    for node in &nodes {
        node.context().write_path.raft.trigger_checkpoint().await;
        assert!(node.digest().await.is_err());
    }
    expect_alive(&simulated);

    for node in &full {
        free_space(&simulated, *node).await;
    }
    simulated.cluster.ready().await;
    for (key, node) in (10..).zip(&nodes) {
        put(node, &packet(key, 5)).await.unwrap();
        let applied = node.status().applied_index;
        node.context().write_path.raft.trigger_checkpoint().await;
        until(node, |view| view.checkpoint >= applied).await;
        node.digest().await.unwrap();
    }
    simulated.cluster.shutdown().await;
}

/// Writers continue while space is lost and returns at one node after the other.
#[tokio::test(flavor = "multi_thread")]
async fn everything_resumes_automatically_when_space_returns() {
    let simulated = Simulated::start_with(3, |config| {
        config.settings.store.checkpoint_interval_secs = 1;
    })
    .await;
    let nodes: Vec<_> = simulated.cluster.nodes.values().cloned().collect();
    let key = AtomicU8::new(1);
    for (node, disk) in &simulated.disks {
        let full = &simulated.cluster.nodes[node];
        // The space ends not at the configured minimum, but in the middle of any write.
        disk.leave_space(1024);
        set_low(full, true).await;
        full.context().write_path.raft.trigger_checkpoint().await;
        free_space(&simulated, *node).await;
        for node in &nodes {
            let packet = packet(key.fetch_add(1, Ordering::Relaxed), 5);
            let put = async {
                while put(node, &packet).await.is_err() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(TIMEOUT, put).await.expect("it is stored again");
        }
        let applied = full.status().applied_index;
        until(full, |view| view.checkpoint >= applied).await;
    }
    expect_alive(&simulated);
    let last = simulated.cluster.leader().status().last_log_index;
    for node in &nodes {
        applied(node, last).await;
        for key in 1..key.load(Ordering::Relaxed) {
            assert!(stored(node, &packet(key, 5)).await, "{key}");
        }
    }
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_on_a_full_disk_and_reads() {
    let mut simulated = Simulated::start(1).await;
    let alone = NodeId::from(1);
    let node = simulated.cluster.nodes[&alone].clone();
    put(&node, &packet(1, 5)).await.unwrap();
    fill(&simulated, alone).await;
    for stopped in [false, true] {
        if stopped {
            simulated.cluster.nodes[&alone].shutdown().await.unwrap();
        }
        let disk: SimDisk = simulated.disks[&alone].clone();
        simulated.kill(alone);
        drop(disk);
        simulated.cluster.open(alone).await.unwrap();
        simulated.cluster.ready().await;
        let node = &simulated.cluster.nodes[&alone];
        assert!(node.status().disk_full);
        assert!(stored(node, &packet(1, 5)).await);
        assert_eq!(put(node, &packet(2, 5)).await, Err(PutError::DiskFull));
    }
    free_space(&simulated, alone).await;
    let node = &simulated.cluster.nodes[&alone];
    put(node, &packet(2, 5)).await.unwrap();
    simulated.cluster.shutdown().await;
}

/// It lacks entries that are purged at its leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_follower_rejects_a_snapshot_until_there_is_space() {
    let simulated = Simulated::start_with(3, |config| {
        config.settings.log.kept_count_max = 0;
    })
    .await;
    let full = simulated.follower();
    let node = simulated.cluster.nodes[&full].clone();
    simulated.cluster.board.cut_off.lock().unwrap().insert(full);
    let leader = simulated.cluster.leader().clone();
    for key in 1..50 {
        put(&leader, &packet(key, 5)).await.unwrap();
    }
    let last = leader.status().applied_index;
    leader.context().write_path.raft.trigger_checkpoint().await;
    until(&leader, |view| view.checkpoint >= last).await;
    leader.context().write_path.raft.trigger_purge(last).await;
    until(&leader, |view| view.purged >= last).await;
    fill(&simulated, full).await;
    simulated.cluster.board.cut_off.lock().unwrap().clear();
    // It is in contact again, and the snapshot that it needs is rejected.
    until(&node, |view| {
        view.leader.is_some() && view.leader_contact_age < Duration::from_millis(100)
    })
    .await;
    assert!(node.status().applied_index < last);
    expect_alive(&simulated);
    free_space(&simulated, full).await;
    applied(&node, last).await;
    assert!(stored(&node, &packet(49, 5)).await);
    simulated.cluster.shutdown().await;
}
