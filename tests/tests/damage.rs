//! Data that was damaged or lost while a node was stopped.

use std::{fs, os::unix::fs::FileExt, path::Path, time::Duration};

use quorate_tests::{
    Cluster, Ended, Node, Plan, binary, publish_many, voters,
    wait::{CONVERGE_WITHIN, until},
};

use crate::programs::run;

/// The exit code of a node that cannot start from its data.
const EXIT_DATA: i32 = 65;

const PACKET_COUNT: usize = 300;

/// Flips one bit in each block of 4 KiB after the first `spared` ones.
fn damage(file: &Path, spared: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
        .expect("it is there");
    let size = file.metadata().expect("it has a size").len();
    for offset in (spared..size).step_by(4096).map(|block| block + 100) {
        let mut byte = [0];
        if file.read_exact_at(&mut byte, offset).is_ok() {
            file.write_all_at(&[byte[0] ^ 4], offset)
                .expect("it can be written");
        }
    }
}

/// A cluster that writes checkpoints often and keeps almost no log entries before them.
fn plan(count: usize) -> Plan {
    let plan = voters(count).log_kept_count(1);
    plan.checkpoint_interval(Duration::from_secs(1))
}

/// Waits until the log of no node reaches back to its beginning.
async fn cut_logs(cluster: &Cluster) {
    until("the logs to be cut", CONVERGE_WITHIN, async || {
        let statuses = cluster.nodes().statuses().await?;
        let purged: Vec<_> = statuses.iter().map(|it| it.purged_index).collect();
        match purged.iter().all(|index| *index > 1) {
            true => Ok(()),
            false => Err(format!("they are purged up to {purged:?}")),
        }
    })
    .await;
}

async fn expect_data_rejected(node: &Node) -> String {
    node.start();
    let Ended { status, log } = node.wait_for_end().await;
    assert_eq!(status.code(), Some(EXIT_DATA), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_heals_from_damage_of_its_store() {
    let cluster = Cluster::start(plan(3)).await;
    let oracle = publish_many(&cluster.live(), PACKET_COUNT, 8).await;
    cut_logs(&cluster).await;
    let follower = cluster.follower().await;
    follower.terminate().await;
    damage(&follower.data_dir().join("records.redb"), 4096);

    follower.restart();
    follower.wait_ready().await;
    let log = follower.log_text();
    assert!(log.contains("the stored packets cannot be used"), "{log}");
    assert!(log.contains("fetched the packets"), "{log}");
    let digest = cluster.nodes().expect_converged().await;
    assert_eq!(digest.packet_count, PACKET_COUNT as u64);
    oracle.expect_held_by(&cluster.nodes()).await;
}

/// The log reaches back only to the last checkpoint: what the store held is nowhere else on that
/// disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_heals_from_the_loss_of_its_store() {
    let cluster = Cluster::start(plan(3)).await;
    let oracle = publish_many(&cluster.live(), PACKET_COUNT, 8).await;
    cut_logs(&cluster).await;
    let follower = cluster.follower().await;
    follower.terminate().await;
    fs::remove_file(follower.data_dir().join("records.redb")).expect("it is there");

    follower.restart();
    follower.wait_ready().await;
    let digest = cluster.nodes().expect_converged().await;
    assert_eq!(digest.packet_count, PACKET_COUNT as u64);
    oracle.expect_held_by(&cluster.nodes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_names_what_its_store_has_lost() {
    let cluster = Cluster::start(plan(1)).await;
    let node = cluster.node(1);
    publish_many(&cluster.live(), PACKET_COUNT, 8).await;
    cut_logs(&cluster).await;
    node.terminate().await;
    damage(&node.data_dir().join("records.redb"), 4096);
    let output = expect_data_rejected(&node).await;
    assert!(
        output.contains("records.redb") && output.contains("damaged"),
        "{output}"
    );
}

/// It must not vote with the rest; the others continue without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_damaged_log_does_not_start() {
    let cluster = Cluster::start(voters(3)).await;
    let alice = cluster.publisher("alice");
    let follower = cluster.follower().await;
    alice.put(&follower, "one").await.expect_acked();
    follower.terminate().await;
    let log_dir = follower.data_dir().join("log");
    let inspect = || {
        run(binary::command()
            .args(["log", "inspect"])
            .arg(follower.data_dir()))
    };
    let whole = inspect();
    assert!(!whole.contains("WRONG"), "{whole}");
    let files = fs::read_dir(&log_dir).expect("there is a log");
    let mut segments: Vec<_> = files
        .map(|file| file.expect("it has a name").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    // The first group, which was synced long ago.
    let segment = fs::OpenOptions::new()
        .write(true)
        .open(&segments[0])
        .expect("it is there");
    segment
        .write_all_at(&[0xa5; 8], 512 + 24)
        .expect("it can be written");

    let output = expect_data_rejected(&follower).await;
    let name = segments[0].to_str().expect("a name of ours");
    assert!(output.contains(name) && output.contains("512"), "{output}");
    let damaged = inspect();
    assert!(damaged.contains("WRONG"), "{damaged}");

    let others = cluster.nodes().without(&follower);
    let leader = others.wait_for_leader().await;
    alice.put(&leader, "two").await.expect_acked();
    others.expect_txt(&alice, "two").await;
}
