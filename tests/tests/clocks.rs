//! Wrong wall clocks, one in each scenario. No single clock decides.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use quorate_tests::{
    Cluster, Member, Node, Plan, Publisher, publish_many, voters,
    wait::{START_WITHIN, throughout, until},
};

use crate::programs::clock_off_by;

/// Packets that are there before a clock goes wrong.
const PACKET_COUNT: usize = 600;

/// How long packets live: longer than the test, and short enough that nodes check for old ones often.
const RETENTION_SECS: u64 = 100;

/// More than twice the time between two checks for old packets.
const LOOKED_TWICE: Duration = Duration::from_secs(25);

const DAY: Duration = Duration::from_secs(24 * 3600);

fn plan(voter_count: usize) -> Plan {
    voters(voter_count).with_config(&format!("[packets]\nretention_secs = {RETENTION_SECS}\n"))
}

/// Starts a stopped node with a wrong clock.
async fn start_off_by(node: &Node, offset: &str) {
    node.set_environment(clock_off_by(offset));
    node.start();
    node.wait_alive().await;
}

/// Expects that the node's clock is off by `expected`: if faketime did not work, these tests would
/// pass.
async fn expect_off_by(node: &Node, ahead: bool, expected: Duration) {
    let answer = node.admin("/livez").await.expect("it is alive");
    let date = answer.headers["date"].to_str().expect("it is text");
    let date = httpdate::parse_http_date(date).expect("it is a date");
    let now = SystemTime::now();
    let off = match ahead {
        true => date.duration_since(now),
        false => now.duration_since(date),
    };
    let off = off.expect("the clock is off to this side");
    assert!(off.abs_diff(expected) < Duration::from_secs(60), "{off:?}");
}

/// Restarts a follower with a wrong clock and makes it win the election: without the old leader, it has
/// an entry that the third node lacks. Returns it with all nodes running.
async fn lead_off_by(cluster: &Cluster, offset: &str) -> Arc<Node> {
    let old_leader = cluster.leader().await;
    let followers = cluster.nodes().without(&old_leader);
    let (chosen, behind) = (followers[0].clone(), followers[1].clone());
    chosen.terminate().await;
    start_off_by(&chosen, offset).await;
    chosen.wait_ready().await;

    behind.kill();
    let publisher = Publisher::new("what the third node misses");
    let leader = cluster.leader().await;
    publisher.put(&leader, "here").await.expect_acked();
    let missed = leader.status().await.expect("it lives").last_log_index;
    chosen.wait_applied(missed).await;
    old_leader.kill();
    behind.restart();
    until("the chosen node to be elected", START_WITHIN, async || {
        // It may have noticed its wrong clock and handed over since.
        let statuses = [chosen.status().await?, behind.status().await?];
        let is_new = |leader: &Option<String>| {
            leader
                .as_deref()
                .is_some_and(|leader| leader != old_leader.id())
        };
        match statuses.iter().all(|status| is_new(&status.leader)) {
            true => Ok(()),
            false => Err(format!("{statuses:?}")),
        }
    })
    .await;
    old_leader.restart();
    cluster.nodes().wait_ready().await;
    chosen
}

async fn expect_no_expiry(cluster: &Cluster, packet_count: u64) {
    let what = "all packets are there";
    throughout(what, LOOKED_TWICE, async || {
        for node in cluster.nodes().iter() {
            let found = node.status().await?.packet_count;
            if found < packet_count {
                return Err(format!("{} holds {found} of {packet_count}", node.name()));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_eight_days_ahead_removes_nothing() {
    let cluster = Cluster::start(plan(3)).await;
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 16).await;
    let fast = lead_off_by(&cluster, "+8d").await;
    expect_off_by(&fast, true, 8 * DAY).await;

    expect_no_expiry(&cluster, PACKET_COUNT as u64).await;
    let alice = Publisher::new("alice");
    for node in cluster.nodes().iter() {
        alice.put(node, node.name()).await.expect_acked();
    }
    cluster.nodes().expect_converged().await;
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// It would hand over immediately, after the operator was told that it leads.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_no_node_whose_clock_is_wrong() {
    let cluster = Cluster::start(plan(3)).await;
    let leader = cluster.leader().await;
    let wrong = cluster.nodes().without(&leader)[0].clone();
    wrong.terminate().await;
    start_off_by(&wrong, "+1h").await;
    wrong.wait_ready().await;
    expect_off_by(&wrong, true, Duration::from_secs(3600)).await;
    leader
        .wait_for_members("its clock to be known", |members| {
            let is_wrong =
                |member: &Member| member.node == wrong.id() && member.not_electable == ["clock"];
            members.iter().any(is_wrong)
        })
        .await;

    let before = leader.status().await.unwrap();
    for node in cluster.nodes().iter() {
        let rejected = node
            .expect_rejected(&["leader", "transfer", wrong.id()])
            .await;
        assert!(rejected.contains("must not lead: its clock"), "{rejected}");
    }
    let after = leader.status().await.unwrap();
    assert_eq!((after.term, after.leader), (before.term, before.leader));

    // Without a name, an electable node becomes leader and stays it.
    leader.operate(&["leader", "transfer"]).await;
    let now = cluster.leader().await;
    assert!(now.id() != wrong.id() && now.id() != leader.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_twenty_minutes_behind_rejects_no_fresh_packet() {
    let cluster = Cluster::start(plan(3)).await;
    let slow = lead_off_by(&cluster, "-20m").await;
    expect_off_by(&slow, false, Duration::from_secs(20 * 60)).await;

    let alice = Publisher::new("alice");
    for node in cluster.nodes().iter() {
        alice.put(node, node.name()).await.expect_acked();
    }
    cluster.nodes().expect_converged().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_that_comes_back_eight_days_ahead_removes_nothing() {
    let cluster = Cluster::start(plan(1)).await;
    let node = cluster.node(1);
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 16).await;
    node.terminate().await;
    start_off_by(&node, "+8d").await;
    node.wait_ready().await;
    expect_off_by(&node, true, 8 * DAY).await;

    expect_no_expiry(&cluster, PACKET_COUNT as u64).await;
    let alice = Publisher::new("alice");
    alice.put(&node, "later").await.expect_acked();
    oracle.expect_held_by(&cluster.nodes()).await;
}
