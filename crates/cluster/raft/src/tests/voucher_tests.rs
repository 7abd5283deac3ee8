//! Members that were away while the membership changed.

use quorate_api::MemberRole;
use quorate_peer::Admission;
use quorate_state::Vouchers;

use super::{elections::calm, test_members::*, *};

/// Nodes 1, 2 and 3 are voters, and 3 is away.
async fn without_three(adjust: impl Fn(&mut RaftConfig)) -> Cluster {
    let mut cluster = Cluster::alone(adjust).await;
    cluster.grow([2, 3]).await;
    cluster.until_registered().await;
    cluster.lead(1).await;
    cluster.die(3);
    cluster
}

/// Replaces a node by a new one, which then leads and registers the next.
async fn replace_and_lead(cluster: &mut Cluster, old: u64, new: u64) {
    cluster.join(new, true, |_| {}).await;
    cluster.replace(id(old), id(new)).await;
    cluster.lead(new).await;
    cluster.stop(old).await;
}

/// Waits until a node is ready and has the packets that were put.
async fn expect_followed(node: &Node) {
    timeout(TIMEOUT, node.ready()).await.expect("it follows");
    let stored = node.stored_packet(packet(1, 5).key()).unwrap();
    assert_eq!(stored.expect("it was acknowledged").packet, packet(1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_away_follows_a_leader_that_it_does_not_know() {
    let mut cluster = without_three(calm).await;
    replace_and_lead(&mut cluster, 2, 4).await;
    put(&cluster.nodes[&id(4)], &packet(1, 5)).await.unwrap();
    cluster.reopen(3).await;
    expect_followed(&cluster.nodes[&id(3)]).await;
    assert!(leads(&cluster.nodes[&id(4)]));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_was_away_elects_one_that_it_does_not_know() {
    let mut cluster = without_three(calm).await;
    replace_and_lead(&mut cluster, 2, 4).await;
    put(&cluster.nodes[&id(4)], &packet(1, 5)).await.unwrap();
    cluster.stop(4).await;
    cluster.die(1);
    cluster.reopen(4).await;
    cluster.reopen(3).await;
    expect_followed(&cluster.nodes[&id(3)]).await;
    let Some(four) = cluster.nodes.get(&id(4)) else {
        panic!("it runs");
    };
    assert_ne!(four.status().not_ready, Some(NotReady::Removed));
    cluster.shutdown().await;
}

/// All members that it knows are gone, and so are those that registered the first ones after them.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_vouchers_works_through_members_that_are_gone() {
    let mut cluster = without_three(calm).await;
    for (old, new) in [(2, 4), (1, 5), (4, 6), (5, 7)] {
        replace_and_lead(&mut cluster, old, new).await;
    }
    cluster.until_voters(&[3, 6, 7]).await;
    put(&cluster.nodes[&id(7)], &packet(1, 5)).await.unwrap();
    cluster.die(6);
    cluster.reopen(3).await;
    expect_followed(&cluster.nodes[&id(3)]).await;
    cluster.shutdown().await;
}

/// The same key is registered, removed, and registered again: to a node that has applied the removal
/// the first voucher proves nothing, but the second does.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_added_again_is_accepted() {
    let mut cluster = Cluster::alone(calm).await;
    cluster.grow([2, 3]).await;
    cluster.join(4, true, |_| {}).await;
    cluster
        .until_member(4, |member| member.role == MemberRole::Learner)
        .await;
    cluster.change(remove(4)).await.unwrap();
    let three = cluster.nodes[&id(3)].clone();
    let knows = three
        .context()
        .peers
        .membership_view
        .wait_until(|node_registry| node_registry.removed.contains_key(&id(4).0));
    assert!(timeout(TIMEOUT, knows).await.unwrap());
    assert!(matches!(
        three.context().service().admission(id(4), &[]),
        Admission::Removed(_)
    ));
    drop(three);
    cluster.stop(4).await;
    cluster.lead(1).await;
    cluster.die(3);
    replace_and_lead(&mut cluster, 2, 4).await;
    put(&cluster.nodes[&id(4)], &packet(1, 5)).await.unwrap();
    cluster.die(1);
    cluster.reopen(3).await;
    expect_followed(&cluster.nodes[&id(3)]).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_are_dropped_when_every_checkpoint_has_their_entries() {
    let adjust = |config: &mut RaftConfig| config.settings.store.checkpoint_interval_secs = 1;
    let mut cluster = Cluster::alone(adjust).await;
    cluster.join(2, true, adjust).await;
    let until = async |cluster: &Cluster, is_so: fn(&Vouchers) -> bool| {
        let leader = cluster.leader().clone();
        let reached = async {
            // A new checkpoint contains the entries after the last one.
            for micros in 1.. {
                put(&leader, &packet(9, micros)).await.unwrap();
                if is_so(
                    &leader
                        .context()
                        .peers
                        .membership_view
                        .node_registry()
                        .vouchers,
                ) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(TIMEOUT, reached).await.expect("it comes about");
    };
    until(&cluster, |vouchers| vouchers.kept.len() == 1).await;
    until(&cluster, |vouchers| vouchers.kept.is_empty()).await;
    cluster.die(2);
    cluster.join(3, true, adjust).await;
    until(&cluster, |vouchers| vouchers.kept.len() == 1).await;
    let leader = cluster.leader().context();
    let before = leader.raft.view().checkpoint;
    until(&cluster, |_| true).await;
    let passed = async {
        while cluster.leader().context().raft.view().checkpoint <= before {
            put(cluster.leader(), &packet(9, u64::MAX / 2)).await.ok();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TIMEOUT, passed)
        .await
        .expect("all write checkpoints");
    let kept = cluster
        .leader()
        .context()
        .peers
        .membership_view
        .node_registry();
    assert_eq!(kept.vouchers.kept.len(), 1, "the absent member may need it");
}

/// Waits until a node reports why it does not serve.
async fn until_not_ready(node: &Node, reason: NotReady) {
    let reported = async {
        while node.status().not_ready != Some(reason) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reported = timeout(TIMEOUT, reported).await;
    reported.unwrap_or_else(|_| panic!("{:?}", node.status().not_ready));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_removed_while_it_was_away_asks_those_that_it_does_not_know() {
    let mut cluster = without_three(calm).await;
    cluster.grow([4, 5]).await;
    cluster.change(remove(3)).await.unwrap();
    cluster.change(remove(2)).await.unwrap();
    cluster.until_voters(&[1, 4, 5]).await;
    cluster.die(2);
    cluster.reopen(3).await;
    until_not_ready(&cluster.nodes[&id(3)], NotReady::Removed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_voter_of_three_does_not_prove_a_removal() {
    let mut cluster = without_three(calm).await;
    cluster.grow([4]).await;
    cluster.change(remove(3)).await.unwrap();
    cluster.until_voters(&[1, 2, 4]).await;
    for gone in [2, 4] {
        cluster.die(gone);
    }
    cluster.reopen(3).await;
    let three = cluster.nodes[&id(3)].clone();
    let mut rejections = three
        .context()
        .peers
        .link_tracker
        .dial_rejections
        .subscribe();
    let rejected = rejections.wait_for(|rejections| rejections.contains_key(&id(1)));
    timeout(TIMEOUT, rejected).await.unwrap().unwrap();
    until_not_ready(&three, NotReady::Recovering).await;
    // With a second one it is a majority.
    cluster.reopen(4).await;
    until_not_ready(&three, NotReady::Removed).await;
}
