//! Members that are away while the membership changes, and what they find when they come back.

use std::{sync::Arc, time::Duration};

use quorate_tests::{
    Cluster, Node, Nodes, voters,
    wait::{CONVERGE_WITHIN, throughout, until},
};

/// The text that a removed node logs.
const REMOVED: &str = "removed from the cluster";

/// The text that a node logs only if the operator should discard its data.
const ADVICE: &str = "empty data directory";

/// How long a node must conclude nothing: many times as long as asking all others takes.
const SPAN: Duration = Duration::from_secs(4);

/// A cluster of a, b and c in which b is down.
struct Absence {
    cluster: Cluster,
    a: Arc<Node>,
    b: Arc<Node>,
    c: Arc<Node>,
}

impl Absence {
    /// The leader is a.
    async fn of_three() -> Self {
        let cluster = Cluster::start(voters(3)).await;
        cluster.nodes().wait_agreed().await;
        let a = cluster.leader().await;
        let others = cluster.nodes().without(&a);
        let (b, c) = (others[0].clone(), others[1].clone());
        cluster.nodes().expect_converged().await;
        b.kill();
        Self { cluster, a, b, c }
    }

    /// Adds a new voter through `by`, and replaces `old`, whose machine is off, with it.
    async fn replace(&self, by: &Node, old: &Node) -> Arc<Node> {
        let new = self.cluster.join(by).await;
        by.operate(&["member", "replace", old.id(), new.id()]).await;
        if old.is_up() {
            old.kill();
        }
        new
    }
}

/// Makes `node` the leader, and waits until all live nodes agree.
async fn have_lead(nodes: &Nodes, node: &Node) {
    nodes[0].operate(&["leader", "transfer", node.id()]).await;
    let leader = nodes.wait_for_leader().await;
    assert_eq!(leader.id(), node.id());
}

fn nodes(nodes: &[&Arc<Node>]) -> Nodes {
    nodes.iter().map(|node| Arc::clone(node)).collect()
}

async fn wait_until_removed(node: &Node) {
    let what = format!("{} to know that it was removed", node.name());
    until(&what, CONVERGE_WITHIN, async || match node.ready().await {
        Err(reason) if reason.contains(REMOVED) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Expects that a node is not ready, does not report its removal, and advises nothing that would lose
/// data.
async fn expect_no_conclusion(node: &Node) {
    node.wait_alive().await;
    let what = format!("{} concludes nothing", node.name());
    throughout(&what, SPAN, async || match node.ready().await {
        Ok(()) => Err("it is ready".to_owned()),
        Err(reason) if reason.contains(REMOVED) => Err(reason),
        Err(_) if node.log().contains(ADVICE) => Err("it advises to empty it".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
}

/// While b is away, d replaces c and leads. b follows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_away_follows_a_leader_that_it_does_not_know() {
    let absence = Absence::of_three().await;
    let Absence { cluster, a, b, c } = &absence;
    let d = absence.replace(a, c).await;
    have_lead(&nodes(&[a, &d]), &d).await;
    let alice = cluster.publisher("alice");
    alice.put(&d, "while b is away").await.expect_acked();

    b.start();
    b.wait_ready().await;
    let present = nodes(&[a, b, &d]);
    present.expect_txt(&alice, "while b is away").await;
    present.expect_to_be_the_voters().await;
    alice.put(b, "at b").await.expect_acked();
    present.expect_txt(&alice, "at b").await;
    present.expect_converged().await;
}

/// The same, and a goes down before b comes back: b and d, who have never met, are the majority.
#[tokio::test(flavor = "multi_thread")]
async fn two_voters_that_never_met_elect_a_leader() {
    let absence = Absence::of_three().await;
    let Absence { cluster, a, b, c } = &absence;
    let d = absence.replace(a, c).await;
    have_lead(&nodes(&[a, &d]), &d).await;
    let alice = cluster.publisher("alice");
    alice.put(&d, "while b is away").await.expect_acked();
    a.kill();

    b.start();
    let present = nodes(&[b, &d]);
    b.wait_alive().await;
    present.wait_for_leader().await;
    present.wait_ready().await;
    present.expect_txt(&alice, "while b is away").await;
    alice.put(b, "at b").await.expect_acked();
    present.expect_txt(&alice, "at b").await;
    assert!(!d.log().contains(ADVICE), "{}", d.log());

    a.start();
    a.wait_ready().await;
    let present = present.with(a);
    present.expect_to_be_the_voters().await;
    present.expect_txt(&alice, "at b").await;
    present.expect_converged().await;
}

/// While b is away, d and e join. b and these two, which it does not know, are a majority.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_away_finds_a_cluster_that_has_grown() {
    let absence = Absence::of_three().await;
    let Absence { cluster, a, b, c } = &absence;
    let d = cluster.join(a).await;
    let e = cluster.join(a).await;
    have_lead(&nodes(&[a, c, &d, &e]), &e).await;
    let alice = cluster.publisher("alice");
    alice.put(&d, "while b is away").await.expect_acked();
    nodes(&[a, c, &d, &e]).expect_converged().await;
    nodes(&[a, c]).kill();

    b.start();
    b.wait_ready().await;
    let present = nodes(&[b, &d, &e]);
    present.expect_txt(&alice, "while b is away").await;
    alice.put(b, "at b").await.expect_acked();
    present.expect_txt(&alice, "at b").await;

    nodes(&[a, c]).start();
    let present = present.with(a).with(c);
    present.wait_ready().await;
    present.expect_to_be_the_voters().await;
    present.expect_txt(&alice, "at b").await;
    present.expect_converged().await;
}

/// While b is away, all nodes that it knew are replaced. The new ones reach it.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_slept_through_the_replacement_of_all_that_it_knew_follows() {
    let absence = Absence::of_three().await;
    let Absence { cluster, a, b, c } = &absence;
    let d = absence.replace(a, c).await;
    have_lead(&nodes(&[a, &d]), &d).await;
    let e = absence.replace(&d, a).await;
    have_lead(&nodes(&[&d, &e]), &e).await;
    let alice = cluster.publisher("alice");
    alice.put(&d, "while b is away").await.expect_acked();

    b.start();
    b.wait_ready().await;
    let present = nodes(&[b, &d, &e]);
    present.expect_to_be_the_voters().await;
    present.expect_txt(&alice, "while b is away").await;
    present.expect_converged().await;
}

/// b is replaced while it is away. One of three voters reports that, which is not a majority; then the
/// others do too.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_removed_while_away_believes_a_majority() {
    let absence = Absence::of_three().await;
    let Absence { a, b, c, .. } = &absence;
    let d = absence.replace(a, b).await;
    let present = nodes(&[a, c, &d]);
    present.expect_converged().await;
    nodes(&[c, &d]).kill();

    b.start();
    expect_no_conclusion(b).await;
    nodes(&[c, &d]).start();
    wait_until_removed(b).await;
    let what = "it to say what an operator can do";
    until(what, CONVERGE_WITHIN, async || match b.log() {
        log if log.contains(ADVICE) => Ok(()),
        log => Err(log),
    })
    .await;
    present.wait_ready().await;
    present.expect_to_be_the_voters().await;
}

/// b is removed while it is away, and all nodes that it knew are gone: it learns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_only_removed_members_decides_nothing() {
    let absence = Absence::of_three().await;
    let Absence { a, b, c, .. } = &absence;
    let d = absence.replace(a, c).await;
    let e = absence.replace(&d, a).await;
    d.operate(&["member", "remove", b.id()]).await;
    let present = nodes(&[&d, &e]);
    present.expect_to_be_the_voters().await;

    b.start();
    expect_no_conclusion(b).await;
    present.wait_ready().await;
}
