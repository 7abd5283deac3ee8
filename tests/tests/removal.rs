//! Members that leave, and come back.

use std::fs;

use quorate_tests::{
    Cluster, Load, voters,
    wait::{CONVERGE_WITHIN, until},
};

const WRITER_COUNT: usize = 8;

/// Acknowledgements that show that writes go on.
const ACKS: u64 = 100;

/// The leader is removed while it leads: it hands over, and no PUT fails at those that stay. When it
/// comes back it is told, and disturbs nobody.
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

    let is_told = async || match leader.ready().await {
        Err(reason) if reason.contains("removed") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    until(
        "the node to know that it was removed",
        CONVERGE_WITHIN,
        is_told,
    )
    .await;
    leader.kill();
    leader.restart();
    leader.wait_alive().await;
    until("it to know that again", CONVERGE_WITHIN, is_told).await;
    load.wait_for_acks(ACKS).await;
    assert_eq!(load.failed_count(), 0, "PUTs failed at those that stay");
    stay.wait_for_leader().await;
    load.stop().await.expect_held_by(&stay).await;
}

/// A voter whose data is gone, but not its key, does not take part again: it says so, and what to do.
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

/// A node with the data of another cluster gets in nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_cluster_gets_in_nowhere() {
    let [ours, theirs] = [
        Cluster::start(voters(3)).await,
        Cluster::start(voters(1)).await,
    ];
    let node = ours.follower().await;
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
    node.start();
    node.wait_alive().await;
    until("it to turn the others away", CONVERGE_WITHIN, async || {
        assert!(node.ready().await.is_err(), "it is ready");
        match node.log() {
            log if log.contains("another cluster") => Ok(()),
            log => Err(log),
        }
    })
    .await;
    node.kill();
    ours.live().wait_for_leader().await;
}
