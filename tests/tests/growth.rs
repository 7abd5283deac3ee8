//! A cluster that grows and shrinks under writes.

use std::sync::Arc;

use quorate_tests::{Cluster, Load, Node, Nodes, voters};

/// Enough writers to form batches, few enough for two cores.
const WRITER_COUNT: usize = 8;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 100;

fn only(cluster: &Cluster, node: &Node) -> Nodes {
    cluster.nodes().only(|other| other.id() == node.id())
}

/// One node grows into five with tokens only, and keeps its packets. Then it shrinks again, and no PUT
/// fails at the member that stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_node_grows_into_five_and_shrinks_to_one() {
    let cluster = Cluster::start(voters(1)).await;
    let first = cluster.node(1);
    let alice = cluster.publisher("alice");
    alice
        .put(&first, "from the time alone")
        .await
        .expect_acked();

    let load = Load::start(&only(&cluster, &first), WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    for _ in 2..=5 {
        cluster.join(&first).await;
        load.wait_for_acks(ACKS).await;
    }
    cluster.nodes().expect_to_be_the_voters().await;
    cluster
        .nodes()
        .expect_txt(&alice, "from the time alone")
        .await;

    // The leader first, as long as it is not the one that stays.
    while cluster.live().len() > 1 {
        let leader = cluster.leader().await;
        let others = cluster.live().without(&first);
        let leaving = others.iter().find(|node| node.id() == leader.id());
        let leaving = leaving.unwrap_or(&others[0]).clone();
        first.operate(&["member", "remove", leaving.id()]).await;
        leaving.kill();
        cluster.live().expect_to_be_the_voters().await;
        load.wait_for_acks(ACKS).await;
    }
    assert_eq!(
        load.failed_count(),
        0,
        "PUTs failed at the node that stayed"
    );
    let oracle = load.stop().await;
    oracle.expect_held_by(&cluster.live()).await;
    cluster
        .live()
        .expect_txt(&alice, "from the time alone")
        .await;
}

/// A permanent learner serves reads and accepts PUTs, and its loss has no effect.
#[tokio::test(flavor = "multi_thread")]
async fn a_learner_is_a_replica_for_readers_and_writers() {
    let cluster = Cluster::start(voters(1)).await;
    let first = cluster.node(1);
    let learner = cluster.machine();
    learner.join(&first.invite(&["--learner"]).await);
    first.wait_for_role(&learner, "learner").await;
    learner.wait_ready().await;

    let (alice, bob) = (cluster.publisher("alice"), cluster.publisher("bob"));
    alice.put(&first, "at the voter").await.expect_acked();
    bob.put(&learner, "at the learner").await.expect_acked();
    assert_eq!(learner.texts(&bob.key()).await, ["at the learner"]);
    cluster.nodes().expect_txt(&alice, "at the voter").await;
    cluster.nodes().expect_converged().await;
    assert_eq!(first.status().await.unwrap().voters, [first.id()]);

    // Its operators ask at a voter, and what they ask here is on record there.
    let rejected = learner.expect_rejected(&["leader", "transfer"]).await;
    assert!(rejected.contains("ask a voter"), "{rejected}");
    let log = first.log();
    let mut audit = log
        .lines()
        .filter(|line| line.contains("another node requested"));
    let line = audit
        .next_back()
        .expect("it is in the audit log of the leader");
    for expected in ["quorate::audit", learner.id(), "not-voter", "transfer"] {
        assert!(line.contains(expected), "{line} lacks {expected}");
    }

    learner.kill();
    alice.put(&first, "without it").await.expect_acked();
    learner.restart();
    learner.wait_ready().await;
    cluster.nodes().expect_txt(&alice, "without it").await;

    first.operate(&["member", "promote", learner.id()]).await;
    cluster.nodes().expect_to_be_the_voters().await;
    first.operate(&["member", "demote", learner.id()]).await;
    only(&cluster, &first).expect_to_be_the_voters().await;
    first.wait_for_role(&learner, "learner").await;
}

/// Every member lists the members correctly, for people and for programs.
#[tokio::test(flavor = "multi_thread")]
async fn every_member_reports_the_same_list() {
    let cluster = Cluster::start(voters(3)).await;
    let leader = cluster.leader().await;
    for node in cluster.nodes().iter() {
        node.wait_for_members("all to be named and alive", |members| {
            let is_well = |node: &Arc<Node>| {
                members.iter().any(|member| {
                    let state = match node.id() == leader.id() {
                        true => "leader",
                        false => "live",
                    };
                    member.node == node.id()
                        && member.name == node.name().replace(' ', "-")
                        && member.role == "voter"
                        && member.address == node.addresses().peer.to_string()
                        && member.state == state
                })
            };
            members.len() == 3 && cluster.nodes().iter().all(is_well)
        })
        .await;
        let table = node.operate(&["member", "list"]).await;
        assert!(table.contains("node-2"), "{table}");
    }
    // By name, by the beginning of a key, and by nothing that is there.
    let [second, third] = [cluster.node(2), cluster.node(3)];
    leader.operate(&["leader", "transfer", "node-2"]).await;
    assert_eq!(cluster.leader().await.id(), second.id());
    leader
        .operate(&["leader", "transfer", &third.id()[..8]])
        .await;
    assert_eq!(cluster.leader().await.id(), third.id());
    let error = leader
        .expect_rejected(&["leader", "transfer", "node-9"])
        .await;
    assert!(error.contains("node-9"), "{error}");
}
