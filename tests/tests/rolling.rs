//! Nodes that are restarted one after the other.

use quorate_tests::{Cluster, Load, voters};

const WRITER_COUNT: usize = 8;

/// Acknowledgements that show that writes continue.
const ACKS: u64 = 200;

/// Every node is stopped once, also the leader, and no PUT to another node fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_put_at_a_survivor() {
    let cluster = Cluster::start(voters(3)).await;
    for _ in 0..2 {
        // Twice the leader, and in between a follower.
        for node in [cluster.leader().await, cluster.follower().await] {
            let survivors = cluster.nodes().without(&node);
            let load = Load::start(&survivors, WRITER_COUNT);
            load.wait_for_acks(ACKS).await;
            node.terminate().await;
            load.wait_for_acks(ACKS).await;
            node.restart();
            node.wait_ready().await;
            load.wait_for_acks(ACKS).await;
            assert_eq!(load.failed_count(), 0, "PUTs failed at survivors");
            let oracle = load.stop().await;
            cluster.nodes().expect_converged().await;
            oracle.expect_held_by(&cluster.nodes()).await;
        }
    }
}
