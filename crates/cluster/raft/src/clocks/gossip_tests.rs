use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::advance;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Node `number` of three, and the time of its wall clock.
fn node(number: u64, clock_ms: u64) -> (PeerGossip, Arc<AtomicU64>) {
    let voters: BTreeMap<_, _> = (1..=3)
        .map(|number| (NodeId::from(number), String::new()))
        .collect();
    let clock_ms = Arc::new(AtomicU64::new(clock_ms));
    let wall_clock_ms = clock_ms.clone();
    let config = RaftConfig {
        wall_clock: WallClock::new(move || UnixMillis(wall_clock_ms.load(Ordering::Relaxed))),
        ..RaftConfig::numbered(number, voters.clone(), PathBuf::new())
    };
    let gossip = PeerGossip::new(&config);
    gossip.set_voters(voters.into_keys());
    (gossip, clock_ms)
}

fn send(from: (&PeerGossip, u64), to: (&PeerGossip, u64)) {
    to.0.on_request(NodeId::from(from.1), from.0.metadata(NodeId::from(to.1)));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_echo_gives_no_clock() {
    let ((one, _), (two, _)) = (node(1, 1_000_000), node(2, 1_000_000));
    send((&one, 1), (&two, 2));
    assert_eq!(two.time().state, ClockState::Unknown);
    send((&two, 2), (&one, 1));
    assert_eq!(one.time().state, ClockState::Agreed, "this one echoes");
}

#[tokio::test(start_paused = true)]
async fn an_echo_of_a_stamp_from_before_a_restart_proves_nothing() {
    let ((one, _), (two, clock_ms)) = (node(1, 1_000_000), node(2, 1_000_000));
    advance(SECOND).await;
    send((&two, 2), (&one, 1));
    let late = one.metadata(NodeId::from(2));
    clock_ms.store(1_005_000, Ordering::Relaxed);
    drop(two);
    let (restarted, _) = node(2, 1_005_000);
    advance(10 * SECOND).await;
    restarted.on_request(NodeId::from(1), late);
    assert_eq!(restarted.time().state, ClockState::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_response_gives_the_clock_to_within_the_round_trip() {
    let ((one, _), (two, _)) = (node(1, 1_000_000), node(2, 1_000_000));
    let sent = Instant::now();
    advance(11 * SECOND).await;
    one.on_response(NodeId::from(2), sent, two.metadata(NodeId::from(1)));
    assert_eq!(one.time().state, ClockState::Unknown, "that took too long");
    let sent = Instant::now();
    advance(SECOND).await;
    one.on_response(NodeId::from(2), sent, two.metadata(NodeId::from(1)));
    assert_eq!(one.time().state, ClockState::Agreed);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_is_outvoted_is_not_electable_until_it_is_right() {
    let (one, clock_ms) = node(1, 5_000_000);
    let ((two, _), (three, _)) = (node(2, 1_000_000), node(3, 1_000_000));
    for (number, other) in [(2, &two), (3, &three)] {
        one.on_response(
            NodeId::from(number),
            Instant::now(),
            other.metadata(NodeId::from(1)),
        );
    }
    let not_electable = one.not_electable();
    assert_eq!(one.stamp(), None);
    assert!(not_electable.borrow().contains(NotElectable::CLOCK));
    assert_eq!(one.time().offset_ms, Some(4_000_000));
    assert!(one.clocks().contains("-4000000 ms"), "{}", one.clocks());

    clock_ms.store(1_000_000, Ordering::Relaxed);
    assert_eq!(one.stamp().unwrap().now, UnixMillis(1_000_000));
    assert!(not_electable.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_passes_on_the_time_that_a_majority_agrees_on() {
    let ((one, _), (two, _), (three, _)) = (node(1, 7_000), node(2, 7_000), node(3, 9_000_000));
    assert_eq!(one.metadata(NodeId::from(3)).agreed_ms, 0);
    send((&one, 1), (&two, 2));
    send((&two, 2), (&one, 1));
    send((&three, 3), (&one, 1));
    assert_eq!(one.metadata(NodeId::from(3)).agreed_ms, 7_000);
    send((&one, 1), (&three, 3));
    let reading = three.time();
    assert_eq!(reading.state, ClockState::Disagrees);
    assert_eq!(reading.time, UnixMillis(7_000));
    assert_eq!(three.metadata(NodeId::from(2)).agreed_ms, 0);
}

/// The stamps came from a wall clock that was set back since, or a leader lies.
#[tokio::test(start_paused = true)]
async fn a_repeated_future_stamp_makes_no_packet_fresh() {
    let ((one, _), (two, _)) = (node(1, 1_000_000), node(2, 1_000_000));
    two.set_leader(Some(NodeId::from(1)), None);
    one.set_leader(None, Some((Instant::now(), LogIndex(7))));
    advance(SECOND).await;
    let honest = FrameMetadata {
        echo_ms: 1_000_500,
        ..one.metadata(NodeId::from(2))
    };
    for echo_ms in [1_001_001, 5_000_000, u64::MAX] {
        two.on_request(NodeId::from(1), FrameMetadata { echo_ms, ..honest });
        assert!(!two.is_current(LogIndex(7)), "{echo_ms}");
    }
    let fresh = FrameMetadata {
        quorum_ack_age_ms: 1,
        ..honest
    };
    two.on_request(NodeId::from(3), fresh);
    assert!(!two.is_current(LogIndex(7)), "it does not lead");
    two.on_request(NodeId::from(1), fresh);
    assert!(two.is_current(LogIndex(7)));
    assert!(!two.is_current(LogIndex(6)));
    advance(SECOND).await;
    assert!(!two.is_current(LogIndex(7)));
}

#[tokio::test(start_paused = true)]
async fn a_follower_learns_from_the_leader_who_publishes_in_the_dht() {
    let ((one, _), (two, _)) = (node(1, 1_000_000), node(2, 1_000_000));
    let (first, second) = (NodeId::from(1), NodeId::from(2));
    one.set_leader(Some(first), Some((Instant::now(), LogIndex(1))));
    two.set_leader(Some(first), None);
    send((&two, 2), (&one, 1));
    assert!(!one.publishes(second, SECOND));
    two.set_publishes(true);
    send((&two, 2), (&one, 1));
    assert!(one.publishes(second, SECOND));
    advance(2 * SECOND).await;
    assert!(!one.publishes(second, SECOND), "it was not heard from");

    one.set_publishers(0b10);
    send((&one, 1), (&two, 2));
    assert_eq!((one.publishers(), two.publishers()), (0b10, 0b10));
    two.set_leader(None, None);
    assert_eq!(two.publishers(), 0, "no leader vouches for it");
}
