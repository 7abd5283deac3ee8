//! Clusters whose nodes are programs of two versions. The older one is the same program that is told to
//! know no more than the first feature level.

use quorate_tests::{Cluster, Load, Node, voters};

/// Writers: enough that batches form, few enough for two cores.
const WRITER_COUNT: usize = 12;

/// Acknowledgements that show that writes go on.
const ACKS: u64 = 100;

/// What makes a node an older one.
const OLDER: [&str; 2] = ["--level-max", "1"];

/// In which order nodes are upgraded.
#[derive(Clone, Copy)]
enum Order {
    LeaderFirst,
    LeaderLast,
}

async fn older_cluster() -> Cluster {
    let cluster = Cluster::prepare(&voters(3));
    for node in cluster.nodes().iter() {
        node.set_arguments(OLDER);
        node.start();
    }
    cluster.nodes().wait_ready().await;
    cluster
}

async fn upgrade(node: &Node) {
    node.terminate().await;
    node.set_arguments([]);
    node.restart();
    node.wait_ready().await;
}

async fn feature_level(node: &Node) -> u16 {
    node.status().await.expect("it lives").feature_level
}

/// No PUT fails, nothing acknowledged is lost, and once the last node is new the cluster uses what all
/// of them know, without being told.
async fn upgrade_one_by_one(order: Order) {
    let cluster = older_cluster().await;
    let load = Load::start(&cluster.nodes(), WRITER_COUNT);
    let leader = cluster.leader().await;
    let mut nodes: Vec<_> = cluster.nodes().without(&leader).to_vec();
    match order {
        Order::LeaderFirst => nodes.insert(0, leader),
        Order::LeaderLast => nodes.push(leader),
    }
    for node in &nodes {
        load.wait_for_acks(ACKS).await;
        assert_eq!(feature_level(node).await, 1, "an older node is left");
        upgrade(node).await;
    }
    cluster.nodes().wait_agreed().await;
    for node in &nodes {
        assert_eq!(feature_level(node).await, 5);
    }
    load.wait_for_acks(ACKS).await;
    let oracle = load.stop().await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_that_begins_with_the_leader_loses_nothing() {
    upgrade_one_by_one(Order::LeaderFirst).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_that_ends_with_the_leader_loses_nothing() {
    upgrade_one_by_one(Order::LeaderLast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_does_not_start_where_the_cluster_uses_more_than_it_knows() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    alice.put(&cluster.node(1), "kept").await.expect_acked();
    cluster.nodes().wait_agreed().await;
    let node = cluster.follower().await;
    node.terminate().await;
    node.set_arguments(OLDER);
    let log = node.expect_start_refused().await;
    let reason =
        "feature level 5 is needed, and this program knows 1: run a newer version of Quorate";
    assert!(log.contains(reason), "{log}");
    node.set_arguments([]);
    node.restart();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "kept").await;
}
