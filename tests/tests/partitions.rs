//! Links that fail under load. Every scenario ends healed.

use std::{slice::from_ref, sync::Arc, time::Duration};

use quorate_tests::{
    Condition, Links, Node, Nodes, Publisher,
    wait::{LEADER_WITHIN, until},
};

use crate::watched::Watched;

/// A link around half the world: a long delay, and less bandwidth than the load.
const FAR: Condition = Condition::Slow {
    delay: Duration::from_millis(150),
    bytes_per_sec: 200_000,
};

/// The others elect a leader and writes continue. The old leader still serves local reads, and rejects
/// a linearizable read.
async fn expect_failover(break_links: impl Fn(&Links, &Node)) {
    let watched = Watched::start().await;
    let (cluster, alice) = (&watched.cluster, Publisher::new("alice"));
    let old_leader = cluster.leader().await;
    let others = cluster.nodes().without(&old_leader);
    alice.put(&old_leader, "before").await.expect_acked();
    cluster.nodes().expect_txt(&alice, "before").await;

    break_links(cluster.links(), &old_leader);
    let new_leader = others.wait_for_leader().await;
    alice.put(&new_leader, "after").await.expect_acked();
    watched.expect_writes().await;
    expect_rejected(&old_leader, &alice).await;
    let held = old_leader.texts(&alice.key()).await;
    assert_eq!(held, ["before"], "DNS goes on");

    cluster.links().heal();
    cluster.nodes().expect_txt(&alice, "after").await;
    watched.expect_healed().await;
}

async fn expect_rejected(node: &Node, alice: &Publisher) {
    let answer = node.get_linearizable(&alice.key()).await;
    let answer = answer.expect("it is not the clients who are cut off");
    assert_eq!(answer.status, 503, "it confirms what may be old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_succeeded() {
    expect_failover(|links, leader| links.isolate(leader, Condition::Lost)).await;
}

/// Messages from that time arrive later, when they are useless.
#[tokio::test(flavor = "multi_thread")]
async fn messages_that_arrive_late_harm_nothing() {
    expect_failover(|links, leader| links.isolate(leader, Condition::Delayed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_links_are_refused_is_replaced() {
    expect_failover(|links, leader| links.isolate(leader, Condition::Refused)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_send_is_succeeded() {
    expect_failover(Links::silence).await;
}

/// The others receive its messages, and it never receives theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_receive_is_succeeded() {
    expect_failover(Links::deafen).await;
}

/// The leader and its term.
async fn leadership(nodes: &Nodes) -> (String, u64) {
    until("one leadership", LEADER_WITHIN, async || {
        let statuses = nodes.statuses().await?;
        let first = statuses.first().ok_or("there are no nodes")?;
        let leadership = (first.leader.clone(), first.term);
        let same = |(leader, term): (&Option<String>, u64)| {
            (leader, term) == (&leadership.0, leadership.1)
        };
        match &leadership {
            (Some(leader), term) if statuses.iter().all(|it| same((&it.leader, it.term))) => {
                Ok((leader.clone(), *term))
            }
            _ => Err(format!("{statuses:?}")),
        }
    })
    .await
}

/// A follower that does not hear the leader must not unseat it, during the fault or later.
async fn expect_no_election(break_links: impl Fn(&Links, &Arc<Node>, &Arc<Node>)) {
    let watched = Watched::start_patient(3).await;
    let cluster = &watched.cluster;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let before = leadership(&cluster.nodes()).await;

    break_links(cluster.links(), &leader, &follower);
    let what = "the follower to miss the leader";
    until(what, LEADER_WITHIN, async || match follower.ready().await {
        Ok(()) => Err("it is ready".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    watched.expect_writes().await;
    let others = cluster.nodes().without(&follower);
    assert_eq!(leadership(&others).await, before);

    cluster.links().heal();
    follower.wait_ready().await;
    watched.expect_writes().await;
    assert_eq!(leadership(&cluster.nodes()).await, before);
    watched.expect_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_was_partitioned_deposes_no_leader() {
    expect_no_election(|links, _, follower| links.isolate(follower, Condition::Lost)).await;
}

/// It still hears the other follower, and both others hear it.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_does_not_receive_the_leader_deposes_no_leader() {
    expect_no_election(|links, leader, follower| {
        links.set(from_ref(leader), from_ref(follower), Condition::Lost);
    })
    .await;
}

/// Only one node reaches both halves. The leader's half continues, and the other half, whose requests the
/// bridge receives, wins no election.
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_between_two_halves_keeps_its_leader() {
    let watched = Watched::start_patient(5).await;
    let (cluster, alice) = (&watched.cluster, Publisher::new("alice"));
    let leader = cluster.leader().await;
    let before = leadership(&cluster.nodes()).await;
    let followers = cluster.nodes().without(&leader);
    let left = [leader.clone(), followers[0].clone()];
    let (bridge, right) = (&followers[1], &followers[2..]);

    cluster.links().set_both(&left, right, Condition::Lost);
    alice.put(bridge, "over the bridge").await.expect_acked();
    watched.expect_writes().await;
    for node in right {
        expect_rejected(node, &alice).await;
    }
    let joined: Nodes = left.iter().chain([bridge]).cloned().collect();
    assert_eq!(leadership(&joined).await, before);
    watched.expect_healed().await;
}

/// A majority without it is close.
#[tokio::test(flavor = "multi_thread")]
async fn a_distant_follower_delays_no_put() {
    let watched = Watched::start().await;
    let follower = watched.cluster.follower().await;
    watched.cluster.links().isolate(&follower, FAR);
    watched.expect_writes().await;
    watched.expect_writes().await;
    watched.expect_healed().await;
}

/// With this leader or another one.
#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_when_the_leader_is_far_away() {
    let watched = Watched::start().await;
    let leader = watched.cluster.leader().await;
    watched.cluster.links().isolate(&leader, FAR);
    watched.expect_writes().await;
    watched.expect_writes().await;
    watched.expect_healed().await;
}

/// All nodes are far from each other and configured for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_over_far_links_keeps_its_leader() {
    let watched = Watched::start_more_patient().await;
    let nodes = watched.cluster.nodes();
    let before = leadership(&nodes).await;
    watched.cluster.links().set_both(&nodes, &nodes, FAR);
    watched.expect_writes().await;
    watched.expect_writes().await;
    assert_eq!(leadership(&nodes).await, before);
    watched.expect_healed().await;
}
