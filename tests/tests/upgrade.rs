//! Clusters with two versions of the program. The newer one is the same program that claims a feature
//! level that does not exist yet.

use std::time::Duration;

use quorate_tests::{
    Cluster, Load, Member, Node, voters,
    wait::{CONVERGE_WITHIN, throughout, until},
};

/// Enough writers to form batches, few enough for two cores.
const WRITER_COUNT: usize = 12;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 100;

/// Several times as long as a leader takes to raise a level that no member holds back.
const HELD_FOR: Duration = Duration::from_secs(5);

/// The arguments of a newer node.
const NEWER: [&str; 2] = ["--level-max", "2"];

/// The order in which nodes are upgraded.
#[derive(Clone, Copy)]
enum UpgradeOrder {
    LeaderFirst,
    LeaderLast,
}

async fn upgrade(node: &Node) {
    node.terminate().await;
    node.set_arguments(NEWER);
    node.restart();
    node.wait_ready().await;
}

async fn feature_level(node: &Node) -> u16 {
    node.status().await.expect("it lives").feature_level
}

async fn wait_raised(cluster: &Cluster) {
    until("all to use the second level", CONVERGE_WITHIN, async || {
        for node in cluster.nodes().iter() {
            let status = node.status().await?;
            if status.feature_level != 2 {
                return Err(format!("{status:?}"));
            }
        }
        Ok(())
    })
    .await;
}

/// No PUT fails, nothing acknowledged is lost, and after the last node the cluster uses the new level on
/// its own.
async fn upgrade_one_by_one(order: UpgradeOrder) {
    let cluster = Cluster::start(voters(3)).await;
    let load = Load::start(&cluster.nodes(), WRITER_COUNT);
    let leader = cluster.leader().await;
    let mut nodes: Vec<_> = cluster.nodes().without(&leader).to_vec();
    match order {
        UpgradeOrder::LeaderFirst => nodes.insert(0, leader),
        UpgradeOrder::LeaderLast => nodes.push(leader),
    }
    for node in &nodes {
        load.wait_for_acks(ACKS).await;
        assert_eq!(feature_level(node).await, 1, "an older node is left");
        upgrade(node).await;
    }
    wait_raised(&cluster).await;
    load.wait_for_acks(ACKS).await;
    let oracle = load.stop().await;
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_that_starts_with_the_leader_loses_nothing() {
    upgrade_one_by_one(UpgradeOrder::LeaderFirst).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_upgrade_that_ends_with_the_leader_loses_nothing() {
    upgrade_one_by_one(UpgradeOrder::LeaderLast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_does_not_start_where_the_cluster_uses_more_than_it_knows() {
    let cluster = Cluster::prepare(&voters(3));
    for node in cluster.nodes().iter() {
        node.set_arguments(NEWER);
        node.start();
    }
    cluster.nodes().wait_ready().await;
    let alice = cluster.publisher("alice");
    alice.put(&cluster.node(1), "kept").await.expect_acked();
    wait_raised(&cluster).await;
    let node = cluster.follower().await;
    node.terminate().await;
    node.set_arguments([]);
    let log = node.expect_start_fails().await;
    let reason =
        "feature level 2 is needed, and this program knows 1: run a newer version of Quorate";
    assert!(log.contains(reason), "{log}");
    node.set_arguments(NEWER);
    node.restart();
    cluster.nodes().wait_ready().await;
    cluster.nodes().expect_txt(&alice, "kept").await;
}

/// A level is not raised while a member holds it back, or does not support it.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_held_is_raised_by_an_operator_alone() {
    let plan = voters(3).with_cluster_settings("level_hold = true");
    let cluster = Cluster::start(plan).await;
    let nodes = cluster.nodes().to_vec();
    upgrade(&nodes[0]).await;
    let leader = cluster.leader().await;
    let supports =
        |level: u16| move |member: &Member| member.level == Some(level) && member.level_hold;
    leader
        .wait_for_members("the new level to be supported", |members| {
            members.iter().any(supports(2))
        })
        .await;
    let rejected = leader.expect_rejected(&["cluster", "raise-level"]).await;
    assert!(rejected.contains("supports 1"), "{rejected}");

    for node in &nodes[1..] {
        upgrade(node).await;
    }
    let leader = cluster.leader().await;
    leader
        .wait_for_members("all to support it", |members| {
            members.iter().all(supports(2))
        })
        .await;
    throughout("the level is held", HELD_FOR, async || {
        for node in &nodes {
            let level = node.status().await?.feature_level;
            if level != 1 {
                return Err(format!("{} is at {level}", node.name()));
            }
        }
        Ok(())
    })
    .await;
    cluster
        .follower()
        .await
        .operate(&["cluster", "raise-level"])
        .await;
    wait_raised(&cluster).await;
}
