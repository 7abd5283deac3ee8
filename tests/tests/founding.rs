//! Who may found a cluster, and who finds one.

use std::fs;

use quorate_tests::{Cluster, Node, publish_many, voters};

const PACKET_COUNT: usize = 100;

/// Removes all that a node that is down has but its key, as a restore of its identity alone does.
fn wipe(node: &Node) {
    let entries = fs::read_dir(node.data_dir()).expect("it is there");
    for entry in entries {
        let path = entry.expect("it can be listed").path();
        if path.file_name().is_some_and(|name| name == "node.key") {
            continue;
        }
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.expect("it is the test's");
    }
}

/// Two of three nodes come back with their keys and nothing else, while the leader lives. Together they
/// are a majority, and what the leader holds is not theirs to forget: they follow it, and it gives them
/// all of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_outlives_a_wiped_majority_gives_it_everything_again() {
    let cluster = Cluster::start(voters(3)).await;
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 8).await;
    cluster.nodes().expect_converged().await;
    let survivor = cluster.leader().await;
    let term = survivor.status().await.expect("it lives").term;
    let wiped = cluster.nodes().without(&survivor);
    wiped.kill();
    wiped.iter().for_each(|node| wipe(node));

    wiped.start();
    cluster.nodes().wait_ready().await;
    oracle.expect_held_by(&cluster.nodes()).await;
    let leader = cluster.leader().await;
    assert_eq!(
        leader.id(),
        survivor.id(),
        "nobody else has a log to lead by"
    );
    assert!(leader.status().await.expect("it lives").term >= term);
    cluster.nodes().expect_converged().await;
}
