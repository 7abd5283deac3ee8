//! Who may found a cluster, and who finds one.

use std::fs;

use quorate_tests::{
    Cluster, Node, publish_many, voters,
    wait::{LEADER_WITHIN, until},
};

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

/// Two of three nodes come back with their keys and nothing else. Together they are a majority, and they
/// have forgotten what they acknowledged: neither do they found a second cluster beside the survivor,
/// nor does it lead with their votes. They say so and go, and it answers readers.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_majority_founds_no_second_cluster() {
    let cluster = Cluster::start(voters(3)).await;
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 8).await;
    cluster.nodes().expect_converged().await;
    let survivor = cluster.leader().await;
    let wiped = cluster.nodes().without(&survivor);
    for node in wiped.iter() {
        // It is noted that they have data.
        survivor.wait_for_role(node, "voter").await;
    }
    wiped.kill();
    wiped.iter().for_each(|node| wipe(node));

    wiped.start();
    for node in wiped.iter() {
        let ended = node.wait_for_end().await;
        assert_eq!(ended.status.code(), Some(65), "{}", ended.log);
        assert!(ended.log.contains("has lost its data"), "{}", ended.log);
    }
    oracle.expect_held_by(&cluster.live()).await;
    until(
        "the survivor to know no leader",
        LEADER_WITHIN,
        async || match survivor.ready().await {
            Err(reason) if reason.contains("no leader") => Ok(()),
            other => Err(format!("{other:?}")),
        },
    )
    .await;
}
