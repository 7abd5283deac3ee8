//! Members that leave, and come back.

use std::{
    fs,
    time::{Duration, Instant},
};

use quorate_tests::{
    Cluster, Load, Node, Nodes, voters,
    wait::{CONVERGE_WITHIN, until},
};

/// How long a node that waits for nothing may take to stop: far less than a PUT waits for a leader.
const STOP_AT_ONCE: Duration = Duration::from_secs(4);

const WRITER_COUNT: usize = 8;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 100;

/// The leader is removed: it hands over, and no PUT fails at the nodes that stay. When it comes back it
/// learns of its removal and does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_removed_hands_over_and_stays_out() {
    let cluster = Cluster::start(voters(3)).await;
    let leader = cluster.leader().await;
    let stay = cluster.nodes().without(&leader);
    let load = Load::start(&stay, WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    leader.operate(&["member", "remove", leader.id()]).await;
    stay.expect_to_be_the_voters().await;
    load.wait_for_acks(ACKS).await;

    wait_until_reported_removed(&leader).await;
    leader.kill();
    leader.restart();
    leader.wait_alive().await;
    wait_until_reported_removed(&leader).await;
    load.wait_for_acks(ACKS).await;
    assert_eq!(load.failed_count(), 0, "PUTs failed at those that stay");
    stay.wait_for_leader().await;
    let oracle = load.stop().await;
    stay.expect_converged().await;
    oracle.expect_held_by(&stay).await;
}

/// A voter with its key but without its data does not take part again, and prints what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_voter_that_has_lost_its_data_stays_out_and_is_replaced() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let lost = cluster.follower().await;
    let stay = cluster.nodes().without(&lost);
    alice.put(&lost, "v1").await.expect_acked();
    cluster.nodes().wait_agreed().await;
    stay[0].wait_for_role(&lost, "voter").await;
    lost.terminate().await;
    let key = fs::read(lost.data_dir().join("node.key")).unwrap();
    fs::remove_dir_all(lost.data_dir()).unwrap();
    fs::create_dir(lost.data_dir()).unwrap();
    let key_file = lost.data_dir().join("node.key");
    fs::write(&key_file, key).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&key_file, mode).unwrap();

    lost.start();
    let ended = lost.wait_for_end().await;
    assert!(!ended.status.success());
    assert!(ended.log.contains("member replace"), "{}", ended.log);

    let new = cluster.machine();
    new.join(&stay[0].invite(&[]).await);
    stay[0].wait_until_known(&new).await;
    stay[0]
        .operate(&["member", "replace", lost.id(), new.id()])
        .await;
    new.wait_ready().await;
    stay.with(&new).expect_to_be_the_voters().await;
    stay.with(&new).expect_txt(&alice, "v1").await;
}

/// A node with the data of another cluster is rejected.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_cluster_gets_in_nowhere() {
    let [ours, theirs] = [
        Cluster::start(voters(3)).await,
        Cluster::start(voters(1)).await,
    ];
    let node = ours.follower().await;
    let key_file = node.data_dir().join("node.key");
    until("its key to say so", CONVERGE_WITHIN, async || {
        let key = fs::read_to_string(&key_file).unwrap();
        match key.contains("a member of the cluster") {
            true => Ok(()),
            false => Err("it does not".to_owned()),
        }
    })
    .await;
    node.terminate().await;
    theirs.node(1).terminate().await;
    // Its own key, and another cluster's data.
    for name in ["log", "records.redb", "cluster"] {
        let (from, to) = (
            theirs.node(1).data_dir().join(name),
            node.data_dir().join(name),
        );
        match to.is_dir() {
            true => fs::remove_dir_all(&to).unwrap(),
            false => fs::remove_file(&to).unwrap(),
        }
        fs::rename(from, to).unwrap();
    }
    let error = node.expect_start_fails().await;
    assert!(error.contains("another cluster"), "{error}");
    ours.live().wait_for_leader().await;
}

/// A removed node lists itself as removed, and requests that wait there for a leader do not delay its
/// stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_reports_it_and_stops_immediately() {
    let cluster = Cluster::start(voters(3)).await;
    cluster.nodes().wait_agreed().await;
    let removed = cluster.follower().await;
    let alone: Nodes = [removed.clone()].into_iter().collect();
    let load = Load::start(&alone, WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    let stays = cluster.leader().await;
    stays.operate(&["member", "remove", removed.id()]).await;
    wait_until_reported_removed(&removed).await;
    let ran = removed.run(&["member", "list"]).await;
    assert!(ran.stdout.contains("  removed  "), "{}", ran.stdout);
    assert!(ran.stderr.contains("ask another member"), "{}", ran.stderr);

    let removed_at = Instant::now();
    removed.terminate().await;
    let took = removed_at.elapsed();
    assert!(took < STOP_AT_ONCE, "it took {took:?}");
    drop(load);
}

/// The same when it is stopped before it knows why it has no leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_lost_its_leader_stops_soon() {
    let cluster = Cluster::start(voters(3)).await;
    let left = cluster.follower().await;
    let alone: Nodes = [left.clone()].into_iter().collect();
    let load = Load::start(&alone, WRITER_COUNT);
    load.wait_for_acks(ACKS).await;
    cluster.nodes().without(&left).kill();
    let removed_at = Instant::now();
    left.terminate().await;
    let took = removed_at.elapsed();
    assert!(took < STOP_AT_ONCE, "it took {took:?}");
    drop(load);
}

async fn wait_until_reported_removed(node: &Node) {
    let what = "the node to know that it was removed";
    until(what, CONVERGE_WITHIN, async || match node.ready().await {
        Err(reason) if reason.contains("removed") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
