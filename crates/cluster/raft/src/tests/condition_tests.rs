//! Conditional PUTs, which are checked at every node and at any time.

use futures_util::future::join_all;
use quorate_replica::{Condition, Conditions, Version};

use super::*;

/// On condition that this packet is stored.
fn if_match(packet: &SignedPacket) -> Conditions {
    Conditions::new(vec![Condition::AnyOf(vec![Version::of(packet)])]).unwrap()
}

async fn put_if(node: &Node, packet: &SignedPacket, conditions: &Conditions) -> PutOutcome {
    let put = node.put(packet.clone(), conditions.clone());
    let outcome = timeout(TIMEOUT, put).await.expect("it is answered");
    outcome.expect("it is known")
}

/// The outcomes of many writers that have read the same packet and replace it at the same time, at
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

/// Otherwise two of them would both assume that they replaced what they had read.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_many_conditional_writers_succeeds() {
    let cluster = Cluster::start(3, |_| {}).await;
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

/// A failed condition is reported before an old timestamp, and identical bytes before both.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_put_does_not_fail_its_own_condition() {
    let cluster = Cluster::start(3, |_| {}).await;
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
