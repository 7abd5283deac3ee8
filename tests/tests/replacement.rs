//! Members that are lost, and their replacements.

use std::time::Duration;

use quorate_tests::{
    Cluster, Load, Member, voters,
    wait::{throughout, until},
};

const WRITER_COUNT: usize = 8;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 100;

/// How soon a leader notices that a member is gone.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// A node is lost. One command replaces it with a new one, under writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_replaced_under_load() {
    let cluster = Cluster::start(voters(3)).await;
    let lost = cluster.follower().await;
    let survivors = cluster.nodes().without(&lost);
    let load = Load::start(&survivors, WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    lost.kill();

    let new = cluster.machine();
    new.join(&survivors[0].invite(&[]).await);
    survivors[1].wait_until_known(&new).await;
    survivors[1]
        .operate(&["member", "replace", lost.id(), new.id()])
        .await;
    survivors.with(&new).expect_to_be_the_voters().await;
    new.wait_ready().await;
    load.wait_for_acks(ACKS).await;
    // A rerun changes nothing.
    survivors[0]
        .operate(&["member", "replace", lost.id(), new.id()])
        .await;

    assert_eq!(load.failed_count(), 0, "PUTs failed at survivors");
    let oracle = load.stop().await;
    survivors.with(&new).expect_converged().await;
    oracle.expect_held_by(&survivors.with(&new)).await;
}

/// The leader is killed twice while a node joins and replaces another: a rerun completes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_survives_two_restarts_in_a_row() {
    let cluster = Cluster::start(voters(3)).await;
    let old = cluster.follower().await;
    let load = Load::start(&cluster.nodes().without(&old), WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    let stays = cluster.nodes().without(&old);
    let new = cluster.machine();
    new.join(&stays[0].invite(&[]).await);
    stays[0].wait_until_known(&new).await;
    let replace = ["member", "replace", old.id(), new.id()];
    for _ in 0..2 {
        let leader = stays[0].reported_leader(&cluster.nodes()).await;
        let (replaced, killed) = tokio::join!(stays[1].run(&replace), async {
            // At any step.
            load.wait_for_acks(5).await;
            leader.kill();
        });
        drop((replaced, killed));
        leader.restart();
        leader.wait_alive().await;
    }
    until("the replacement to be made", SEEN_WITHIN, async || {
        let ran = stays[0].run(&replace).await;
        match ran.code {
            0 => Ok(()),
            _ => Err(ran.stderr),
        }
    })
    .await;
    stays.with(&new).expect_to_be_the_voters().await;
    let oracle = load.stop().await;
    stays.with(&new).expect_converged().await;
    oracle.expect_held_by(&stays.with(&new)).await;
}

/// A change that leaves no live quorum is rejected with the count, and made if it is forced.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_leaves_no_live_quorum_is_rejected() {
    let cluster = Cluster::start(voters(3)).await;
    let leader = cluster.leader().await;
    let followers = cluster.nodes().without(&leader);
    followers[0].kill();
    let silent = format!("{} to be silent", followers[0].name());
    leader
        .wait_for_members(&silent, |members| {
            let is_it = |member: &&Member| member.node == followers[0].id();
            members
                .iter()
                .find(is_it)
                .is_some_and(|it| it.state == "silent")
        })
        .await;
    let remove = ["member", "remove", followers[1].id()];
    let error = leader.expect_rejected(&remove).await;
    assert!(error.contains("1 of 2"), "{error}");
    cluster.live().wait_for_leader().await;

    // The dead one may be removed.
    leader
        .operate(&["member", "remove", followers[0].id()])
        .await;
    cluster.live().expect_to_be_the_voters().await;
}

/// Voters that are gone are removed automatically if configured, down to a minimum.
#[tokio::test(flavor = "multi_thread")]
async fn dead_voters_are_removed_down_to_a_minimum() {
    let settings = "cleanup_after_secs = 10\ncleanup_voters_min = 3";
    let cluster = Cluster::start(voters(4).with_cluster_settings(settings)).await;
    let leader = cluster.leader().await;
    let followers = cluster.nodes().without(&leader);
    followers[0].kill();
    cluster.live().expect_to_be_the_voters().await;
    followers[1].kill();
    let silent = |members: &[Member]| {
        let is_it = |member: &&Member| member.node == followers[1].id();
        members
            .iter()
            .find(is_it)
            .is_some_and(|it| it.state == "silent")
    };
    leader
        .wait_for_members("the third to be silent", silent)
        .await;
    throughout("it stays", Duration::from_secs(12), async || {
        match silent(&leader.members().await?) {
            true => Ok(()),
            false => Err("it was removed".to_owned()),
        }
    })
    .await;
    followers[1].restart();
    followers[1].wait_ready().await;
}
