//! What a leader proposes on its own, in clusters of mixed versions and in full clusters.

use quorate_peer::message::Proposed;
use quorate_state::{
    Command, LEVEL_MAX, Level, NodeRegistry, PutBatch, STEP_MIN, SecretKind, UnixMillis,
};

use super::{disk_faults::Simulated, *};

use crate::{WallClock, adapters::applied_membership};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Waits until a node has applied all that its leader proposes on its own, including a capacity.
/// Returns how many packets that allows.
pub(super) async fn agreed_count_max(node: &Node) -> u64 {
    let mut applied = node.context().write_path.applied.clone();
    let agreed = applied.wait_for(|meta| {
        let cluster = &meta.cluster;
        let members = applied_membership(meta).unwrap().membership.nodes;
        let is_registered = |node: &NodeId| {
            let registration = cluster.node_registry.registrations.get(&node.0);
            registration.is_some_and(|registration| registration.has_data)
        };
        let is_founded = cluster.id.is_some() && members.keys().all(is_registered);
        let has_cookies = cluster.secrets.stored.contains_key(&SecretKind::DnsCookies);
        let leader = node.context().write_path.raft.view().leader;
        let is_vouched =
            leader.is_some_and(|(leader, _)| cluster.node_registry.unvouched(leader).is_none());
        cluster.capacity.is_some() && is_founded && is_vouched && has_cookies
    });
    let meta = timeout(TIMEOUT, agreed)
        .await
        .expect("the proposals are applied");
    let cluster = meta.unwrap().cluster.clone();
    // The membership view that answers peers is updated after the applied state.
    let with_data = cluster
        .node_registry
        .registrations
        .iter()
        .filter(|(_, known)| known.has_data);
    let with_data: Vec<_> = with_data.map(|(key, _)| *key).collect();
    let is_updated = |node_registry: &NodeRegistry| {
        let has_data = |key| {
            node_registry
                .registrations
                .get(key)
                .is_some_and(|known| known.has_data)
        };
        with_data.iter().all(has_data)
    };
    let updated = timeout(
        TIMEOUT,
        node.context().peers.membership_view.wait_until(is_updated),
    )
    .await;
    assert_eq!(updated, Ok(true), "its view of the members is updated");
    let capacity = cluster.capacity;
    capacity.expect("the capacity is applied").count_max
}

/// The level of the nodes that run a newer program than this one.
const NEWER: Level = Level(LEVEL_MAX.0 + 1);

/// A command of that level. Nodes that support the level do not know the command either: they
/// reject it.
fn newer_command() -> Bytes {
    let [_, level] = NEWER.0.to_be_bytes();
    let encoded = Command::RaiseLevel(NEWER).encode();
    [&encoded[..1], &[0, level, 200]].concat().into()
}

/// Waits until all nodes have applied that the cluster is at this level.
async fn at_level(cluster: &Cluster, level: Level) {
    for node in cluster.nodes.values() {
        let mut applied = node.context().write_path.applied.clone();
        let reached = applied.wait_for(|meta| meta.cluster.level >= level);
        timeout(TIMEOUT, reached)
            .await
            .expect("the level is raised")
            .unwrap();
    }
}

/// Proposes a command until a node that leads has applied it.
async fn propose(cluster: &Cluster, command: Bytes) {
    let nodes = cluster.nodes.values().cycle();
    let proposed = async {
        for node in nodes {
            let proposal = node
                .context()
                .write_path
                .raft
                .propose(command.clone())
                .await;
            if matches!(proposal, Proposed::Applied { .. }) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, proposed)
        .await
        .expect("a leader applies it");
}

/// Any node: a PUT reaches the leader from each.
fn any(cluster: &Cluster) -> &Arc<Node> {
    cluster.nodes.values().next().expect("there is one")
}

/// Why a node that is opened stops, immediately or a little later.
async fn why_it_stops(cluster: &mut Cluster, node: NodeId) -> String {
    match cluster.open(node).await {
        Err(error) => chain(&error),
        Ok(()) => why_it_stopped(&cluster.nodes[&node]).await,
    }
}

async fn why_it_stopped(node: &Node) -> String {
    let failed = timeout(TIMEOUT, node.failed()).await;
    failed.expect("it stops on its own").to_string()
}

fn expect_too_old(reason: &str) {
    let expected =
        "feature level 2 is needed, and this program knows 1: run a newer version of Quorate";
    assert!(reason.contains(expected), "{reason}");
}

/// Three nodes that are not started. All but the last run a newer program.
fn prepare_mixed() -> (Simulated, NodeId) {
    let mut simulated = Simulated::prepare(3);
    for newer in [1, 2] {
        simulated.cap(NodeId::from(newer), NEWER);
    }
    (simulated, NodeId::from(3))
}

/// The same nodes, once they have applied all that a leader proposes on its own.
async fn mixed_cluster() -> (Simulated, NodeId) {
    let (mut simulated, old) = prepare_mixed();
    simulated.cluster.open_all().await;
    simulated.cluster.ready().await;
    for node in simulated.cluster.nodes.values() {
        agreed_count_max(node).await;
    }
    put(any(&simulated.cluster), &packet(1, 5)).await.unwrap();
    (simulated, old)
}

async fn expect_equal(cluster: &Cluster) {
    expect_equal_digests(cluster.nodes.values()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_before_an_entry_above_its_level_and_skips_nothing() {
    let (mut simulated, old) = mixed_cluster().await;
    // No leader proposes this on its own.
    propose(&simulated.cluster, Command::RaiseLevel(NEWER).encode()).await;
    let node = simulated.cluster.nodes[&old].clone();
    let reason = why_it_stopped(&node).await;
    expect_too_old(&reason);
    assert!(reason.contains("entry"), "{reason}");
    assert_eq!(node.context().store.meta().cluster.level, Level::FIRST);
    assert_eq!(node.status().not_ready, Some(NotReady::Failed));
    drop(node);

    simulated.kill(old);
    expect_too_old(&why_it_stops(&mut simulated.cluster, old).await);
    simulated.kill(old);
    simulated.cluster.ready().await;
    put(any(&simulated.cluster), &packet(2, 5)).await.unwrap();

    simulated.cap(old, NEWER);
    simulated.cluster.open(old).await.unwrap();
    simulated.cluster.ready().await;
    for node in simulated.cluster.nodes.values() {
        agreed_count_max(node).await;
    }
    expect_equal(&simulated.cluster).await;
    let node = &simulated.cluster.nodes[&old];
    assert_eq!(node.context().store.meta().cluster.level, NEWER);
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_before_a_snapshot_above_its_level_and_a_newer_program_installs_it() {
    let (mut simulated, old) = mixed_cluster().await;
    let board = simulated.cluster.board.clone();
    board.cut_off.lock().unwrap().insert(old);
    let node = simulated.cluster.nodes.remove(&old).unwrap();
    let others: Vec<_> = simulated.cluster.nodes.values().cloned().collect();
    for node in &others {
        until(node, |view| view.leader.is_some_and(|(id, _)| id != old)).await;
    }
    propose(&simulated.cluster, Command::RaiseLevel(NEWER).encode()).await;
    for node in &others {
        agreed_count_max(node).await;
    }
    put(&others[0], &packet(2, 5)).await.unwrap();
    for node in &others {
        disk_faults::checkpoint_and_purge(node).await;
    }
    board.cut_off.lock().unwrap().clear();
    let reason = why_it_stopped(&node).await;
    expect_too_old(&reason);
    assert!(reason.contains("snapshot"), "{reason}");
    drop(node);

    simulated.kill(old);
    simulated.cap(old, NEWER);
    simulated.cluster.open(old).await.unwrap();
    simulated.cluster.ready().await;
    expect_equal(&simulated.cluster).await;
    assert_eq!(
        simulated.cluster.nodes[&old].context().store.meta().cluster,
        others[0].context().store.meta().cluster
    );
    drop(others);
    simulated.cluster.shutdown().await;
}

/// All nodes that support the level reject an unknown command of it, and stay equal.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_before_a_command_above_its_level_and_the_others_continue() {
    let (mut simulated, old) = mixed_cluster().await;
    propose(&simulated.cluster, newer_command()).await;
    let node = simulated.cluster.nodes.remove(&old).unwrap();
    let reason = why_it_stopped(&node).await;
    expect_too_old(&reason);
    assert!(reason.contains("entry"), "{reason}");
    drop(node);
    simulated.kill(old);
    simulated.cluster.ready().await;
    put(any(&simulated.cluster), &packet(2, 5)).await.unwrap();

    // The level is raised automatically once all support it.
    simulated.cap(old, NEWER);
    simulated.cluster.open(old).await.unwrap();
    simulated.cluster.ready().await;
    at_level(&simulated.cluster, NEWER).await;
    expect_equal(&simulated.cluster).await;
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_an_older_node_stays_at_its_level() {
    let (simulated, _) = mixed_cluster().await;
    for node in simulated.cluster.nodes.values() {
        agreed_count_max(node).await;
        assert_eq!(node.context().store.meta().cluster.level, LEVEL_MAX);
    }
    expect_equal(&simulated.cluster).await;
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetched_packets_bring_level_and_capacity_to_a_node_that_supports_them() {
    let newer = |config: &mut RaftConfig| config.level_max = NEWER;
    let mut simulated = Simulated::start_with(3, newer).await;
    at_level(&simulated.cluster, NEWER).await;
    for node in simulated.cluster.nodes.values() {
        agreed_count_max(node).await;
    }
    put(any(&simulated.cluster), &packet(1, 5)).await.unwrap();
    let damaged = simulated.follower();
    let node = &simulated.cluster.nodes[&damaged];
    applied(node, any(&simulated.cluster).status().applied_index).await;
    disk_faults::checkpoint_and_purge(node).await;
    let cluster_state = node.context().store.meta().cluster;
    simulated.kill(damaged);
    simulated.flip_bits_of_store(damaged);

    simulated.cap(damaged, Level::FIRST);
    expect_too_old(&why_it_stops(&mut simulated.cluster, damaged).await);
    simulated.cap(damaged, NEWER);
    simulated.cluster.open(damaged).await.unwrap();
    simulated.cluster.ready().await;
    let healed = &simulated.cluster.nodes[&damaged];
    assert_eq!(healed.context().store.meta().cluster, cluster_state);
    expect_equal(&simulated.cluster).await;

    // It also does not open a store of its own with a level that it does not support.
    disk_faults::checkpoint_and_purge(&simulated.cluster.nodes[&damaged]).await;
    simulated.kill(damaged);
    simulated.cap(damaged, Level::FIRST);
    let error = simulated.cluster.open(damaged).await.unwrap_err();
    assert!(matches!(error, OpenError::Level(_)), "{error}");
    simulated.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_of_a_full_cluster_answer_alike_and_evict_the_same_packets() {
    let adjust = |config: &mut RaftConfig| config.settings.packets.count_max = 5;
    let cluster = Cluster::start(3, adjust).await;
    for node in cluster.nodes.values() {
        assert_eq!(agreed_count_max(node).await, 5);
    }
    let mut now = WallClock::default().now().saturating_sub(3 * DAY);
    let old = Command::PutBatch(PutBatch {
        now,
        timestamp_max: UnixMillis(u64::MAX),
        conditions: Default::default(),
        packets: (0..5).map(|key| packet(key, 5)).collect(),
    });
    propose(&cluster, old.encode()).await;
    // Lets time pass in the log in small amounts, so that it is no step.
    while now < WallClock::default().now() {
        now = now.saturating_add(STEP_MIN);
        propose(&cluster, Command::Tick { now }.encode()).await;
    }
    let others = cluster.nodes.values().cycle();
    for (number, node) in (0..5).zip(others) {
        let new = packet(100 + number, 5);
        assert_eq!(put(node, &new).await, Ok(PutOutcome::Stored));
        assert!(node.stored_packet(new.key()).unwrap().is_some());
        let gone = node.stored_packet(packet(number, 5).key()).unwrap();
        assert!(gone.is_none(), "the smallest of the old keys goes");
    }
    for node in cluster.nodes.values() {
        assert_eq!(put(node, &packet(200, 5)).await, Ok(PutOutcome::Full));
        let known = put(node, &packet(100, 5)).await;
        assert_eq!(known, Ok(PutOutcome::Unchanged));
    }
    assert_eq!(
        put(any(&cluster), &packet(100, 6)).await,
        Ok(PutOutcome::Stored)
    );
    expect_equal(&cluster).await;
    for node in cluster.nodes.values() {
        assert_eq!(node.status().packet_count, 5);
        assert_eq!(
            node.context()
                .write_path
                .metrics
                .evicted_packets_total
                .get(),
            5
        );
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_capacity_is_only_used_to_found_a_cluster() {
    let mut simulated = Simulated::prepare(1);
    let alone = NodeId::from(1);
    for (configured, purges) in [(5, false), (9, true), (7, false)] {
        let config = simulated.cluster.configs.get_mut(&alone).unwrap();
        config.settings.packets.count_max = configured;
        simulated.cluster.open(alone).await.unwrap();
        simulated.cluster.ready().await;
        let node = &simulated.cluster.nodes[&alone];
        assert_eq!(agreed_count_max(node).await, 5, "configured {configured}");
        put(node, &packet(1, configured)).await.unwrap();
        if purges {
            disk_faults::checkpoint_and_purge(node).await;
        }
        simulated.kill(alone);
    }
}
