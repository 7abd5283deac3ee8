//! Processes that are suspended under load and resumed. Every scenario ends healed.

use std::{env, time::Duration};

use quorate_tests::{Nodes, Publisher, PutAnswer, Signal};
use tokio::time::Instant;

use crate::watched::Watched;

/// The variable with the number of seconds for which processes are suspended.
const PAUSE_VARIABLE: &str = "QUORATE_PAUSE_SECS";

/// The default: longer than any timeout of an election or a link's request.
const PAUSE_SECS: u64 = 4;

fn pause() -> Duration {
    let secs = env::var(PAUSE_VARIABLE).ok();
    let secs = secs.map(|secs| secs.parse().expect("it is a number of seconds"));
    Duration::from_secs(secs.unwrap_or(PAUSE_SECS))
}

fn signal(nodes: &Nodes, signal: Signal) {
    nodes.iter().for_each(|node| node.signal(signal));
}

/// Expects that writes continue until the pause that started at `begun` is over.
async fn expect_writes_through_pause(watched: &Watched, started: Instant) {
    watched.expect_writes().await;
    while started.elapsed() < pause() {
        watched.expect_writes().await;
    }
}

/// When it resumes it believes that it leads. It must confirm nothing, not even requests that arrived
/// while it was suspended.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stood_still_is_succeeded_and_confirms_nothing_old() {
    let watched = Watched::start().await;
    let (cluster, alice) = (&watched.cluster, Publisher::new("alice"));
    let old_leader = cluster.leader().await;
    let others = cluster.nodes().without(&old_leader);
    alice.put(&old_leader, "before").await.expect_acked();

    let started = Instant::now();
    old_leader.signal(Signal::STOP);
    let new_leader = others.wait_for_leader().await;
    let after = alice.packet("after");
    alice.put_packet(&new_leader, &after).await.expect_acked();
    expect_writes_through_pause(&watched, started).await;

    let read = async { old_leader.get_linearizable(&alice.key()).await };
    let (answer, ()) = tokio::join!(read, async { old_leader.signal(Signal::CONT) });
    let answer = answer.expect("it goes on");
    assert!(
        answer.status == 503 || answer.found() == Some(&*after.payload),
        "{} shows what was before",
        answer.status
    );
    cluster.nodes().expect_txt(&alice, "after").await;
    watched.expect_healed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_stood_still_catches_up() {
    let watched = Watched::start().await;
    let follower = watched.cluster.follower().await;
    let started = Instant::now();
    follower.signal(Signal::STOP);
    expect_writes_through_pause(&watched, started).await;
    follower.signal(Signal::CONT);
    watched.expect_healed().await;
}

/// Without a running majority nothing is confirmed; with it, everything continues.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_with_stalled_followers_confirms_nothing() {
    let watched = Watched::start().await;
    let (cluster, alice) = (&watched.cluster, Publisher::new("alice"));
    let leader = cluster.leader().await;
    let followers = cluster.nodes().without(&leader);
    alice.put(&leader, "before").await.expect_acked();

    signal(&followers, Signal::STOP);
    let answer = alice.put(&leader, "meanwhile").await;
    assert_ne!(answer, PutAnswer::Acked);
    let read = leader.get_linearizable(&alice.key()).await;
    assert_eq!(read.expect("it is awake").status, 503);
    signal(&followers, Signal::CONT);
    watched.expect_healed().await;
}
