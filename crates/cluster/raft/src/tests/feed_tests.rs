//! The change feed of a node.

use futures_util::stream::FuturesUnordered;
use quorate_replica::{ChangeKind, Changes, ChangesLost, Replica};

use super::{disk_faults::checkpoint_and_purge, *};

/// More changes than these tests make.
const COUNT_MAX: usize = 1000;

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

/// The keys whose packets have changed after `since`, and how.
fn changed(node: &Node, since: LogIndex) -> Vec<(PublicKey, ChangeKind)> {
    let changes = node.changes_since(since, COUNT_MAX).unwrap().changes;
    changes.into_iter().map(|c| (c.key, c.kind)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_report_the_same_changes_at_the_same_entries() {
    let cluster = Cluster::start(3, |_| {}).await;
    for (key, micros) in [(1, 5), (2, 5), (1, 6), (1, 6), (2, 4)] {
        put(cluster.leader(), &packet(key, micros)).await.unwrap();
    }
    let last = cluster.leader().status().applied_index;
    let mut feeds: Vec<Changes> = Vec::new();
    for node in cluster.nodes.values() {
        applied(node, last).await;
        let expected = [1, 2, 1].map(|number| (key(number), ChangeKind::Stored));
        assert_eq!(changed(node, LogIndex(0)), expected);
        let mut changes = node.changes_since(LogIndex(0), COUNT_MAX).unwrap();
        // A node may have applied more meanwhile.
        assert!(changes.next >= last);
        changes.next = last;
        feeds.push(changes);
    }
    assert!(feeds.windows(2).all(|two| two[0] == two[1]));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_at_a_follower_can_read_the_reported_change() {
    let cluster = Cluster::start(3, |_| {}).await;
    let follower = cluster.followers().next().unwrap();
    let mut watch = follower.watch(&key(1));
    for micros in 1..50 {
        put(cluster.leader(), &packet(1, micros)).await.unwrap();
        timeout(TIMEOUT, watch.next()).await.unwrap().unwrap();
        let seen = follower.stored_packet(&key(1)).unwrap().unwrap().packet;
        assert_eq!(seen.timestamp().as_micros(), micros);
    }
    follower.begin_shutdown();
    assert_eq!(timeout(TIMEOUT, watch.next()).await.unwrap(), None);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_expire_are_reported_as_deleted() {
    let adjust = |config: &mut RaftConfig| config.settings.packets.retention_secs = 2;
    let cluster = Cluster::start(1, adjust).await;
    let node = cluster.leader();
    let numbers = 0..20;
    let watches: FuturesUnordered<_> = numbers
        .clone()
        .map(|number| node.watch(&key(number)).skip(1).into_future())
        .collect();
    for number in numbers.clone() {
        put(node, &packet(number, 5)).await.unwrap();
    }
    let stored: Vec<_> = numbers.map(|n| (key(n), ChangeKind::Stored)).collect();
    let since = node.status().applied_index;
    assert_eq!(changed(node, LogIndex(0))[..20], stored);
    let ended = timeout(TIMEOUT, watches.collect::<Vec<_>>()).await;
    assert_eq!(ended.expect("all expire").len(), stored.len());
    let deleted: Vec<_> = changed(node, since);
    assert_eq!(deleted.len(), stored.len());
    assert!(deleted.iter().all(|(_, kind)| *kind == ChangeKind::Deleted));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_of_a_snapshot_are_lost_and_watchers_are_notified() {
    let cluster = Cluster::start(3, |_| {}).await;
    let lagging = cluster.followers().next().unwrap().clone();
    put(cluster.leader(), &packet(1, 1)).await.unwrap();
    applied(&lagging, cluster.leader().status().applied_index).await;
    let known = lagging.status().applied_index;
    let mut watch = lagging.watch(&key(1));
    let node = lagging.context().config.node;
    cluster.board.cut_off.lock().unwrap().insert(node);
    for micros in 2..20 {
        put(cluster.leader(), &packet(1, micros)).await.unwrap();
    }
    checkpoint_and_purge(cluster.leader()).await;
    let index = cluster.leader().status().applied_index;
    cluster.board.cut_off.lock().unwrap().clear();

    timeout(TIMEOUT, watch.next()).await.unwrap().unwrap();
    applied(&lagging, index).await;
    let seen = lagging.stored_packet(&key(1)).unwrap().unwrap().packet;
    assert_eq!(seen.timestamp().as_micros(), 19);
    assert_eq!(lagging.changes_since(known, COUNT_MAX), Err(ChangesLost));
    put(cluster.leader(), &packet(2, 1)).await.unwrap();
    applied(&lagging, cluster.leader().status().applied_index).await;
    assert_eq!(changed(&lagging, index), [(key(2), ChangeKind::Stored)]);
    cluster.shutdown().await;
}

#[tokio::test]
async fn changes_from_before_a_start_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let id = NodeId::from(1);
    let voters = BTreeMap::from([(id, "here".to_owned())]);
    let config = RaftConfig::numbered(1, voters, dir.path().to_owned());
    let open = || {
        let board = Arc::<Switchboard>::default();
        opened(config.clone(), Memory::new(id, board))
    };
    let node = open().await.unwrap();
    timeout(TIMEOUT, node.ready()).await.unwrap();
    put(&node, &packet(1, 5)).await.unwrap();
    let before = node.status().applied_index;
    assert!(node.changes_since(LogIndex(0), COUNT_MAX).is_ok());
    node.shutdown().await.unwrap();
    drop(node);

    let node = open().await.unwrap();
    timeout(TIMEOUT, node.ready()).await.unwrap();
    let lost = node.changes_since(LogIndex(0), COUNT_MAX);
    assert_eq!(lost, Err(ChangesLost));
    // Nothing has changed since, so a reader that had all changes can continue.
    let since = LogIndex(before.0.max(node.context().store.meta().applied_index().0));
    put(&node, &packet(1, 6)).await.unwrap();
    assert_eq!(changed(&node, since), [(key(1), ChangeKind::Stored)]);
    node.shutdown().await.unwrap();
}
