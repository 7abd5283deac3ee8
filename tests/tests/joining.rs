//! Join tokens that are invalid, expired or already used.

use std::time::Duration;

use quorate_tests::{Cluster, voters};
use tokio::time::sleep;

/// A token is valid for one node. Another node with it is rejected, and the first may repeat the join.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_one_node() {
    let cluster = Cluster::start(voters(1)).await;
    let first = cluster.node(1);
    let token = first.invite(&[]).await;
    let [second, third] = [cluster.machine(), cluster.machine()];
    second.join(&token);
    first.wait_for_role(&second, "voter").await;

    third.set_arguments(["--join", &token]);
    let error = third.expect_start_fails().await;
    assert!(error.contains("is used up"), "{error}");

    // The same command continues.
    second.terminate().await;
    second.join(&token);
    second.wait_ready().await;
}

/// A joining node that is killed at any time continues with the same command.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_continues_after_a_crash() {
    let cluster = Cluster::start(voters(1)).await;
    let first = cluster.node(1);
    let token = first.invite(&[]).await;
    let second = cluster.machine();
    for wait in [20, 60, 120, 200, 400] {
        second.join(&token);
        // At whatever step it is then.
        sleep(Duration::from_millis(wait)).await;
        second.kill();
    }
    second.join(&token);
    first.wait_for_role(&second, "voter").await;
    second.wait_ready().await;
    second.kill();
    second.start();
    second.wait_ready().await;
    cluster.nodes().expect_to_be_the_voters().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_expired_token_admits_no_node() {
    let cluster = Cluster::start(voters(1)).await;
    let first = cluster.node(1);
    let joiner = cluster.machine();

    joiner.set_arguments(["--join", "quorate-join-1.AAAA"]);
    let error = joiner.expect_start_fails().await;
    assert!(error.contains("damaged"), "{error}");

    let short = first.invite(&["--valid", "10s"]).await;
    joiner.set_arguments(["--join", &short]);
    // The span is what it is about.
    sleep(Duration::from_secs(11)).await;
    let error = joiner.expect_start_fails().await;
    assert!(error.contains("expired"), "{error}");
    assert_eq!(first.members().await.unwrap().len(), 1);

    // A token of another cluster finds nobody here, and a node that has one finds no way in.
    let other = Cluster::start(voters(1)).await;
    let foreign = other.node(1).invite(&[]).await;
    first.terminate().await;
    first.set_arguments(["--join", &foreign]);
    let error = first.expect_start_fails().await;
    assert!(error.contains("another cluster"), "{error}");
    first.set_arguments([]);
    first.start();
    first.wait_ready().await;
}
