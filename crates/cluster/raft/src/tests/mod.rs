//! Nodes over a transport in memory: tests that need no process and no socket.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use quorate_packet::{PublicKey, SignedPacket};
use quorate_peer::{
    Frame, NodeId, StreamKind,
    message::{Append, Appended, Entry, Payload, Request, Response, Vote},
};
use quorate_replica::{LinearizeError, Observer, PutError, PutOutcome, Reader, Replica, Role};
use quorate_state::{LogIndex, LogPosition, Term};

use self::cluster::*;
use super::*;
use crate::{OpenError, RaftConfig};

#[path = "leader_proposals_tests.rs"]
mod leader_proposals;
#[path = "operator_request_tests.rs"]
mod operator_requests;

#[path = "test_cluster.rs"]
mod cluster;

#[path = "clock_tests.rs"]
mod clocks;

#[path = "condition_tests.rs"]
mod conditions;

#[path = "election_tests.rs"]
mod elections;

#[path = "feed_tests.rs"]
mod feed;

#[path = "founding_tests.rs"]
mod founding;

#[path = "disk_fault_tests.rs"]
mod disk_faults;

#[path = "full_disk_tests.rs"]
mod full_disk;

#[path = "set_back_tests.rs"]
mod set_back;

#[path = "hostile_tests.rs"]
mod hostile;

#[path = "size_tests.rs"]
mod sizes;

#[path = "voucher_tests.rs"]
mod vouchers;

#[path = "secret_tests.rs"]
mod secrets;

#[path = "zone_tests.rs"]
mod zones;

#[path = "publishing_tests.rs"]
mod publishing;

#[path = "membership_tests.rs"]
mod members;

#[path = "test_snapshot_traffic.rs"]
mod snapshot_traffic;

#[path = "snapshot_tests.rs"]
mod snapshots;

#[path = "learner_tests.rs"]
mod learners;

#[path = "newcomer_tests.rs"]
mod newcomers;

#[path = "old_copy_tests.rs"]
mod old_copies;

#[path = "reading_tests.rs"]
mod reads;

#[path = "removal_tests.rs"]
mod removals;

#[path = "test_members.rs"]
mod test_members;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reads_what_it_wrote_to_a_node() {
    let cluster = Cluster::start(3, |_| {}).await;
    leader_proposals::agreed_count_max(cluster.leader()).await;
    for (number, node) in (1..).zip(cluster.nodes.values()) {
        let packet = packet(number, 5);
        assert_eq!(put(node, &packet).await, Ok(PutOutcome::Stored));
        let stored = node
            .stored_packet(packet.key())
            .unwrap()
            .expect("it is there immediately");
        assert_eq!(stored.packet, packet);
    }
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

/// The answer to a forward arrives before the leader's next message about commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_applies_what_the_answer_to_a_forward_says_is_committed() {
    let cluster = Cluster::start(3, elections::calm).await;
    let leader = cluster.leader().context().config.node;
    let follower = cluster.followers().next().unwrap();
    cluster.board.cut_off.lock().unwrap().insert(leader);
    let raft = &follower.context().write_path.raft;
    let term = follower.status().term;
    // The leader has stopped in the middle of its work: an entry came, and not that it is committed.
    let previous = follower.context().log.state().last.unwrap();
    let position = LogPosition {
        term,
        index: previous.index.next(),
    };
    let append = Append {
        vote: Vote {
            term,
            node: leader,
            committed: true,
        },
        previous: Some(previous),
        entries: vec![Entry {
            position,
            payload: Payload::Blank,
        }],
        leader_commit: Some(previous),
    };
    let appended = raft.answer(Request::Append(append)).await;
    assert!(
        matches!(appended, Response::Append(Appended::Flushed(_))),
        "{appended:?}"
    );

    // Another node does not lead, and this one had no such entry in another term.
    let other = cluster.nodes.keys().copied().find(|node| *node != leader);
    raft.learn_committed(other.unwrap(), position).await;
    let later = LogPosition {
        term: Term(term.0 + 1),
        ..position
    };
    raft.learn_committed(leader, later).await;
    assert_eq!(follower.status().applied_index, previous.index);
    assert_eq!(follower.context().log.state().last, Some(position));

    raft.learn_committed(leader, position).await;
    applied(follower, position.index).await;
    cluster.board.cut_off.lock().unwrap().clear();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_answers_a_put_alike() {
    let cluster = Cluster::start(3, |_| {}).await;
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let stored = packet(1, 5);
    put(cluster.leader(), &stored).await.unwrap();
    let last = cluster.leader().status().applied_index;
    for node in cluster.nodes.values() {
        applied(node, last).await;
        assert_eq!(put(node, &stored).await, Ok(PutOutcome::Unchanged));
        assert_eq!(put(node, &packet(1, 4)).await, Ok(PutOutcome::Superseded));
        assert_eq!(
            put(node, &packet(2, u64::MAX)).await,
            Ok(PutOutcome::TooFarAhead)
        );
        let after = node.status();
        let entries = last.lag_behind(after.last_log_index);
        assert!(
            entries <= 3,
            "identical and older packets cost no entry: {entries}"
        );
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_a_put_is_answered_in_time_and_reads_continue() {
    let adjust = |config: &mut RaftConfig| config.settings.put.deadline_ms = 1_000;
    let cluster = Cluster::start(3, adjust).await;
    let known = packet(1, 5);
    let leader = cluster.leader().clone();
    put(&leader, &known).await.unwrap();
    let others: Vec<_> = cluster
        .followers()
        .map(|node| node.context().config.node)
        .collect();
    cluster
        .board
        .cut_off
        .lock()
        .unwrap()
        .extend(others.iter().copied());

    let error = put(&leader, &packet(2, 5)).await.unwrap_err();
    assert_eq!(error, PutError::Unknown, "it is in the leader's log");
    assert!(leader.stored_packet(known.key()).unwrap().is_some());

    cluster.board.cut_off.lock().unwrap().clear();
    assert_eq!(put(&leader, &packet(3, 5)).await, Ok(PutOutcome::Stored));
    let late = put(&leader, &packet(2, 5)).await.unwrap();
    assert!(
        matches!(late, PutOutcome::Stored | PutOutcome::Unchanged),
        "{late:?}"
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_stores_nothing_and_reports_it() {
    let adjust = |config: &mut RaftConfig| config.settings.put.deadline_ms = 2_000;
    let cluster = Cluster::start(3, adjust).await;
    let alone = cluster.followers().next().unwrap().clone();
    cluster
        .board
        .cut_off
        .lock()
        .unwrap()
        .insert(alone.context().config.node);
    let gone = alone
        .context()
        .write_path
        .leader
        .clone()
        .wait_for(|leader| leader.node.is_none())
        .await
        .is_ok();
    assert!(gone, "it stops believing in its leader");
    assert_eq!(put(&alone, &packet(1, 5)).await, Err(PutError::NoLeader));
    assert_eq!(alone.linearize().await, Err(LinearizeError));
    assert_eq!(alone.status().not_ready, Some(NotReady::NoLeader));
    cluster.shutdown().await;
}

/// The deadline coincides with a retry, repeatedly.
#[tokio::test(flavor = "multi_thread")]
async fn a_put_without_a_leader_is_never_in_doubt() {
    let adjust = |config: &mut RaftConfig| config.settings.put.deadline_ms = 20;
    let cluster = Cluster::start(3, adjust).await;
    let alone = cluster.followers().next().unwrap().clone();
    let node = alone.context().config.node;
    cluster.board.cut_off.lock().unwrap().insert(node);
    let mut leader = alone.context().write_path.leader.clone();
    let gone = leader.wait_for(|leader| leader.node.is_none());
    gone.await.unwrap();
    for micros in 1..100 {
        let answer = put(&alone, &packet(1, micros)).await;
        assert_eq!(answer, Err(PutError::NoLeader), "PUT {micros}");
    }
    cluster.shutdown().await;
}

/// The previous batch was in flight when its node lost its leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_put_without_a_leader_is_answered_in_time() {
    let adjust = |config: &mut RaftConfig| config.settings.put.deadline_ms = 1_000;
    let cluster = Cluster::start(5, adjust).await;
    let alone = cluster.followers().next().unwrap().clone();
    let leader = cluster.leader().id;
    let (board, own) = (&cluster.board, alone.id);
    let is_other = |node: &&NodeId| ![leader, own].contains(*node);
    let others = cluster.nodes.keys().filter(is_other).copied();
    board.cut_off.lock().unwrap().extend(others);
    let first = packet(1, 5);
    let (answer, ()) = tokio::join!(put(&alone, &first), async {
        until(cluster.leader(), |view| view.last_log > view.committed).await;
        board.cut_off.lock().unwrap().insert(leader);
        let mut known = alone.context().leader.clone();
        let gone = known.wait_for(|leader| leader.node.is_none());
        drop(gone.await.unwrap());
        board.close_links(own);
    });
    assert_eq!(answer, Err(PutError::Unknown));
    for key in 2..4 {
        let answer = put(&alone, &packet(key, 5)).await;
        assert_eq!(answer, Err(PutError::NoLeader), "{key}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linearizable_read_at_a_follower_sees_what_was_acknowledged_elsewhere() {
    let cluster = Cluster::start(3, |_| {}).await;
    let follower = cluster.followers().next().unwrap().clone();
    for micros in 1..50 {
        let packet = packet(1, micros);
        put(cluster.leader(), &packet).await.unwrap();
        timeout(TIMEOUT, follower.linearize())
            .await
            .unwrap()
            .unwrap();
        let seen = follower
            .stored_packet(packet.key())
            .unwrap()
            .expect("it is there")
            .packet;
        assert_eq!(seen.timestamp(), packet.timestamp());
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reads_share_requests_to_the_leader() {
    let cluster = Cluster::start(3, |_| {}).await;
    let follower = cluster.followers().next().unwrap();
    let request_count = || cluster.board.read_index_count.load(Ordering::Relaxed);
    let before = request_count();
    let reads = (0..1000).map(|_| follower.linearize());
    let reads = futures_util::future::join_all(reads).await;
    assert!(reads.iter().all(Result::is_ok));
    let requests = request_count() - before;
    assert!((1..100).contains(&requests), "{requests} requests");
    cluster.shutdown().await;
}

/// A batch waits for as many packets as the last one had. One that stays alone must not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_lone_packet_is_stored_after_a_batch_of_many() {
    let cluster = Cluster::start(3, |_| {}).await;
    let [leader, follower] = [cluster.leader(), cluster.followers().next().unwrap()];
    for (round, node) in [leader, follower].into_iter().cycle().take(20).enumerate() {
        let micros = u64::try_from(round).unwrap() + 1;
        let many: Vec<_> = (1..=30).map(|key| packet(key, micros)).collect();
        let puts = many.iter().map(|packet| put(node, packet));
        for outcome in futures_util::future::join_all(puts).await {
            assert_eq!(outcome, Ok(PutOutcome::Stored));
        }
        let lone = put(node, &packet(31, micros)).await;
        assert_eq!(lone, Ok(PutOutcome::Stored), "round {round}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_not_received_again_expire_on_all_nodes() {
    let adjust = |config: &mut RaftConfig| config.settings.packets.retention_secs = 2;
    let cluster = Cluster::start(3, adjust).await;
    let packets: Vec<_> = (0..20).map(|key| packet(key, 5)).collect();
    for packet in &packets {
        put(cluster.leader(), packet).await.unwrap();
    }
    for node in cluster.nodes.values() {
        let mut applied = node.context().write_path.applied.clone();
        let empty = applied
            .wait_for(|meta| meta.applied_index() > LogIndex(20) && meta.packets.usage.count == 0);
        timeout(TIMEOUT, empty)
            .await
            .expect("the packets expire")
            .unwrap();
        assert!(node.stored_packet(packets[0].key()).unwrap().is_none());
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_first() {
    let cluster = Cluster::start(3, |_| {}).await;
    let old = cluster.leader().clone();
    let term = old.status().term;
    timeout(TIMEOUT, old.shutdown()).await.unwrap().unwrap();
    assert_eq!(put(&old, &packet(1, 5)).await, Err(PutError::ShuttingDown));
    let successor = cluster.nodes.values().find(|node| leads(node));
    let successor = successor.expect("there is a new leader as soon as the old one has stopped");
    assert_eq!(successor.status().term, Term(term.0 + 1));
    assert_eq!(put(successor, &packet(1, 5)).await, Ok(PutOutcome::Stored));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_needs_entries_that_are_gone_gets_a_snapshot() {
    let cluster = Cluster::start(3, |_| {}).await;
    // What a leader proposes on its own changes every digest.
    leader_proposals::agreed_count_max(cluster.leader()).await;
    let lagging = cluster.followers().next().unwrap().clone();
    put(cluster.leader(), &packet(0, 1)).await.unwrap();
    cluster
        .board
        .cut_off
        .lock()
        .unwrap()
        .insert(lagging.context().config.node);
    for micros in 2..100 {
        put(cluster.leader(), &packet((micros % 7) as u8, micros))
            .await
            .unwrap();
    }
    let leader = cluster.leader();
    let index = leader.status().applied_index;
    leader.context().write_path.raft.trigger_checkpoint().await;
    until(leader, |view| view.checkpoint >= index).await;
    leader.context().write_path.raft.trigger_purge(index).await;
    until(leader, |view| view.purged >= index).await;

    cluster.board.cut_off.lock().unwrap().clear();
    applied(&lagging, index).await;
    expect_equal_digests([&lagging, leader]).await;
    // An installed snapshot is a checkpoint.
    until(&lagging, |view| view.checkpoint >= index).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lone_node_keeps_what_it_acknowledged_without_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let node_id = NodeId::from(1);
    let voters = BTreeMap::from([(node_id, "here".to_owned())]);
    let config = RaftConfig::numbered(1, voters, dir.path().to_owned());
    let open = |dir: &std::path::Path| {
        let config = RaftConfig {
            dir: dir.to_owned(),
            ..config.clone()
        };
        let board = Arc::<Switchboard>::default();
        opened(config, Memory::new(node_id, board))
    };
    let node = open(dir.path()).await.unwrap();
    timeout(TIMEOUT, node.ready()).await.unwrap();
    // The copy belongs to the same cluster only from then on.
    leader_proposals::agreed_count_max(&node).await;
    for key in 0..50 {
        put(&node, &packet(key, 5)).await.unwrap();
    }

    // What a crash now would leave on the disk.
    let image = tempfile::tempdir().unwrap();
    std::fs::create_dir(image.path().join("log")).unwrap();
    let store = "records.redb";
    std::fs::copy(dir.path().join(store), image.path().join(store)).unwrap();
    for file in std::fs::read_dir(dir.path().join("log")).unwrap() {
        let file = file.unwrap();
        let copied = std::fs::copy(file.path(), image.path().join("log").join(file.file_name()));
        // The next segment is being created meanwhile, under a name that changes.
        assert!(copied.is_ok() || file.path().extension().unwrap() == "spare");
    }
    let again = open(image.path()).await.unwrap();
    timeout(TIMEOUT, again.ready()).await.unwrap();
    for key in 0..50 {
        let stored = again
            .stored_packet(&PublicKey::from_bytes([key; 32]))
            .unwrap();
        assert_eq!(stored.expect("it was acknowledged").packet, packet(key, 5));
    }
    assert_eq!(
        node.digest().await.unwrap().sha256,
        again.digest().await.unwrap().sha256
    );
    node.shutdown().await.unwrap();
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_voter_that_has_forgotten_its_votes_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let node_id = NodeId::from(1);
    let voters = BTreeMap::from([(node_id, "here".to_owned())]);
    let config = |has_joined| RaftConfig {
        has_joined,
        ..RaftConfig::numbered(1, voters.clone(), dir.path().to_owned())
    };
    let open = |config| {
        let board = Arc::<Switchboard>::default();
        opened(config, Memory::new(node_id, board))
    };
    let error = open(config(true)).await.err().expect("its log is empty");
    assert!(matches!(error, OpenError::DataLost(_)), "{error}");
    for has_joined in [false, true] {
        let node = open(config(has_joined)).await.unwrap();
        node.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_voter_whose_log_has_a_vote_and_no_entry_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    save_vote(dir.path()).await;
    let config = RaftConfig {
        has_joined: true,
        founding: None,
        ..RaftConfig::numbered(1, BTreeMap::new(), dir.path().to_owned())
    };
    let opened = opened(config, Memory::new(NodeId::from(1), Arc::default())).await;
    let error = opened.err().expect("it has lost its entries");
    assert!(matches!(error, OpenError::DataLost(_)), "{error}");
}

/// Saves a vote in the log of a node in `dir`, which has no entries.
async fn save_vote(dir: &std::path::Path) {
    let disk = Arc::new(quorate_disk::LinuxDisk);
    let config = quorate_log::LogConfig::new(disk, dir.join(crate::LOG_DIR));
    let log = quorate_log::Log::open(config, metrics().log).unwrap();
    let vote = quorate_log::SavedVote {
        term: 1,
        committed: false,
        node: [7; 32],
    };
    let saved = crate::adapters::flushed(|on_flushed| log.save_vote(vote, on_flushed));
    saved.await.unwrap();
}
