use quorate_fake::{FakeReplica, received_now};
use quorate_metrics::Registry;
use quorate_replica::Replica;

use super::*;
use crate::{DhtMetrics, DhtSettings, client::Client};

const INTERVAL: Duration = Duration::from_secs(3600);
const INTERVAL_MS: u64 = 3_600_000;

fn node(byte: u8) -> NodeId {
    NodeId(PublicKey::from_bytes([byte; 32]))
}

fn key(number: u16) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    PublicKey::from_bytes(bytes)
}

#[test]
fn each_key_has_one_publisher_and_keeps_it_when_another_goes() {
    let live = [1, 2, 3, 4, 5].map(node);
    let mut counts = [0; 5];
    for number in 0..5_000 {
        let key = key(number);
        let own = turn(&live, &key).unwrap();
        counts[live.iter().position(|node| *node == own).unwrap()] += 1;
        if own != live[0] {
            assert_eq!(turn(&live[1..], &key), Some(own));
        }
    }
    assert!(
        counts.iter().all(|count| (800..1_200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn steps_of_a_round_cover_all_places_once() {
    let place = |ms| place(ms, 1000);
    assert_eq!(places(5, 7, 1000), [place(5) + 1..=place(7)]);
    assert!(places(5, 5, 1000).iter().all(RangeInclusive::is_empty));
    let next_round = [place(999) + 1..=u64::MAX, 0..=place(3)];
    assert_eq!(places(999, 1003, 1000), next_round);
    assert_eq!(places(5, 1005, 1000), [0..=u64::MAX]);
    assert_eq!(before(0), None);
    assert!(before(6).unwrap() < key(0x0100));
    assert_eq!(place_of(&before(6).unwrap()), 5);
}

/// A round of a node whose replica has 40 packets.
struct Started {
    round: Round,
    replica: Arc<FakeReplica>,
    metrics: DhtMetrics,
}

fn start() -> Started {
    let replica = FakeReplica::new();
    for seed in 1..=40 {
        replica.store(received_now(quorate_fake::packet(seed, 5, "here", 30)));
    }
    let settings = DhtSettings::default();
    let metrics = DhtMetrics::register(&Registry::new()).unwrap();
    let client = Client::new(settings.clone(), metrics.clone());
    let publisher = Publisher::new(settings, client, replica.clone(), metrics.clone());
    let mut round = Round::new(replica.clone(), publisher, INTERVAL);
    round.until_ms = 10 * INTERVAL_MS;
    Started {
        round,
        replica,
        metrics,
    }
}

impl Started {
    /// How many keys this node has queued so far.
    fn queued(&self) -> i64 {
        self.metrics.publications_waiting.get()
    }
}

#[test]
fn every_packet_is_queued_once_in_a_round() {
    let mut started = start();
    let start_ms = started.round.until_ms;
    let own = started.replica.publishers().own;
    started.round.publishers = vec![own];
    let mut half = 0;
    for minute in 1..=60 {
        started.round.step(start_ms + minute * 60_000);
        if minute == 30 {
            half = started.queued();
        }
    }
    assert!((10..30).contains(&half), "{half} in the first half");
    assert_eq!(started.queued(), 40);
}

#[test]
fn a_clock_that_is_set_back_or_no_leader_queues_nothing() {
    let mut started = start();
    let start_ms = started.round.until_ms;
    started.round.publishers = vec![started.replica.publishers().own];
    started.round.step(start_ms - 1000);
    assert_eq!(started.queued(), 0);
    started.replica.set_publishers(Vec::new());
    started.round.step(start_ms + INTERVAL_MS - 1000);
    assert_eq!(started.queued(), 0);
    // When there is a leader again, the round catches up.
    started
        .replica
        .set_publishers(vec![started.replica.publishers().own]);
    started.round.step(start_ms + INTERVAL_MS - 1000);
    assert_eq!(started.queued(), 40);
}

#[test]
fn who_takes_over_publishes_the_keys_of_the_last_minutes() {
    let mut started = start();
    let own = started.replica.publishers().own;
    let both = vec![own, node(9)];
    started.replica.set_publishers(both.clone());
    started.round.publishers = both;
    // The last minutes are the whole round.
    started.round.interval_ms = TAKE_OVER_MS;
    let end_ms = started.round.until_ms + TAKE_OVER_MS;
    started.round.step(end_ms);
    let first = started.queued();
    assert!((5..35).contains(&first), "{first} are its own");
    started.replica.set_publishers(vec![own]);
    started.round.step(end_ms);
    assert_eq!(started.queued(), 40);
}
