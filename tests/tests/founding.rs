//! Who may found a cluster, and who finds one.

use std::{fs, time::Duration};

use quorate_tests::{
    Cluster, Node, publish_many, voters,
    wait::{START_WITHIN, throughout, until},
};

const PACKET_COUNT: usize = 100;

/// Longer than two nodes need to found a cluster.
const FOUNDED_WITHIN: Duration = Duration::from_secs(8);

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

/// Two of three nodes come back with their keys and nothing else. Together they are a majority, and
/// what the survivor holds is not theirs to forget.
#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_majority_founds_nothing_beside_a_survivor() {
    let cluster = Cluster::start(voters(3)).await;
    let oracle = publish_many(&cluster.nodes(), PACKET_COUNT, 8).await;
    cluster.nodes().expect_converged().await;
    let survivor = cluster.node(1);
    let wiped = cluster.nodes().without(&survivor);
    wiped.kill();
    wiped.iter().for_each(|node| wipe(node));

    wiped.start();
    for node in wiped.iter() {
        node.wait_alive().await;
    }
    throughout("no second cluster", FOUNDED_WITHIN, async || {
        for node in wiped.iter() {
            let status = node.status().await?;
            if status.leader.is_some() || status.role == "leader" {
                return Err(format!("{} follows: {status:?}", node.name()));
            }
        }
        let held = survivor.status().await?.packet_count;
        match held == PACKET_COUNT as u64 {
            true => Ok(()),
            false => Err(format!("the survivor holds {held} packets")),
        }
    })
    .await;
    for node in wiped.iter() {
        let what = format!("{} to say why it waits", node.name());
        until(&what, START_WITHIN, async || match node.ready().await {
            Err(reason) if node.log().contains(survivor.id()) => Ok(reason),
            Err(reason) => Err(format!("{reason}, and in its log nothing of the survivor")),
            Ok(()) => Err("it is ready".to_owned()),
        })
        .await;
    }
    oracle
        .expect_held_by(&[survivor].into_iter().collect())
        .await;
}
