//! PUTs on conditions, which hold wherever and whenever they come.

use futures_util::future::join_all;
use quorate_replica::{Condition, Conditions, Version};
use quorate_state::{LEVEL_MAX, Level};

use super::{ground::Simulated, *};

/// On condition that this packet is stored.
fn if_match(packet: &SignedPacket) -> Conditions {
    Conditions::new(vec![Condition::AnyOf(vec![Version::of(packet)])]).unwrap()
}

async fn put_if(node: &Node, packet: &SignedPacket, conditions: &Conditions) -> PutOutcome {
    let put = node.put(packet.clone(), conditions.clone());
    let outcome = timeout(TIMEOUT, put).await.expect("it is answered");
    outcome.expect("it is known")
}

/// Waits until all nodes have applied that the cluster is at this level.
pub(super) async fn at_level(cluster: &Cluster, level: Level) {
    for node in cluster.nodes.values() {
        let mut applied = node.parts().write_path.applied.clone();
        let reached = applied.wait_for(|meta| meta.cluster.level >= level);
        timeout(TIMEOUT, reached).await.expect("it is").unwrap();
    }
}

/// What each of many found that have read the same packet, and put another in its place at once, at
/// all nodes.
async fn race(cluster: &Cluster, round: u64) -> Vec<PutOutcome> {
    let first = packet(1, round * 100);
    let nodes: Vec<_> = cluster.nodes.values().collect();
    assert_eq!(put(nodes[0], &first).await, Ok(PutOutcome::Stored));
    let writers = (1..=32).map(|writer| {
        let next = packet(1, round * 100 + writer);
        let node = nodes[writer as usize % nodes.len()];
        let conditions = if_match(&first);
        async move { put_if(node, &next, &conditions).await }
    });
    join_all(writers).await
}

/// Two of them would each believe to have replaced what they have read.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_replace_what_they_have_read_exactly_one_does() {
    let cluster = Cluster::start(3, |_| {}).await;
    at_level(&cluster, LEVEL_MAX).await;
    for round in 1..=40 {
        let outcomes = race(&cluster, round).await;
        let count = |of| outcomes.iter().filter(|outcome| **outcome == of).count();
        let (stored, failed) = (
            count(PutOutcome::Stored),
            count(PutOutcome::ConditionFailed),
        );
        assert_eq!((stored, failed), (1, 31), "round {round}: {outcomes:?}");
    }
    expect_equal_digests(cluster.nodes.values()).await;
    cluster.shutdown().await;
}

/// A condition is told before a timestamp, and identical bytes before both.
#[tokio::test(flavor = "multi_thread")]
async fn who_repeats_a_put_does_not_fail_his_own_condition() {
    let cluster = Cluster::start(3, |_| {}).await;
    at_level(&cluster, LEVEL_MAX).await;
    let [old, new, other] = [5, 6, 4].map(|micros| packet(1, micros));
    let if_none = Conditions::new(vec![Condition::NotStored]).unwrap();
    let node = cluster.followers().next().unwrap();
    assert_eq!(put_if(node, &old, &if_none).await, PutOutcome::Stored);
    assert_eq!(
        put_if(node, &new, &if_match(&old)).await,
        PutOutcome::Stored
    );
    let index = node.status().last_log_index;
    for node in cluster.nodes.values() {
        applied(node, index).await;
        assert_eq!(
            put_if(node, &new, &if_match(&old)).await,
            PutOutcome::Unchanged
        );
        let failed = PutOutcome::ConditionFailed;
        assert_eq!(put_if(node, &other, &if_match(&old)).await, failed);
        assert_eq!(put_if(node, &other, &if_none).await, failed);
        let superseded = PutOutcome::Superseded;
        assert_eq!(put_if(node, &other, &if_match(&new)).await, superseded);
    }
    cluster.shutdown().await;
}

/// Whoever does not know conditions is never sent any: then the node that takes the PUT checks them
/// against all that was stored before.
#[tokio::test(flavor = "multi_thread")]
async fn beside_an_older_node_conditions_are_checked_where_they_come() {
    let mut simulated = Simulated::prepare(3);
    let old = NodeId::from(3);
    simulated.cap(old, Level::ZONES);
    simulated.cluster.open_all().await;
    simulated.cluster.ready().await;
    at_level(&simulated.cluster, Level::ZONES).await;
    let mut last = packet(1, 100);
    put(simulated.cluster.leader(), &last).await.unwrap();
    for (micros, node) in (101..).zip(simulated.cluster.nodes.values()) {
        // Nobody has to have applied it anywhere: the check waits until it has.
        let next = packet(1, micros);
        assert_eq!(
            put_if(node, &next, &if_match(&last)).await,
            PutOutcome::Stored
        );
        let later = packet(1, 200);
        let failed = put_if(node, &later, &if_match(&last)).await;
        assert_eq!(failed, PutOutcome::ConditionFailed);
        last = next;
    }
    for node in simulated.cluster.nodes.values() {
        assert_eq!(node.parts().store.meta().cluster.level, Level::ZONES);
    }

    simulated.kill(old);
    simulated.cap(old, LEVEL_MAX);
    simulated.cluster.open(old).await.unwrap();
    simulated.cluster.ready().await;
    at_level(&simulated.cluster, LEVEL_MAX).await;
    let outcomes = race(&simulated.cluster, 10).await;
    let stored = outcomes.iter().filter(|it| **it == PutOutcome::Stored);
    assert_eq!(stored.count(), 1, "{outcomes:?}");
    expect_equal_digests(simulated.cluster.nodes.values()).await;
    simulated.cluster.shutdown().await;
}
