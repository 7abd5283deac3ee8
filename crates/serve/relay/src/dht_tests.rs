//! Packets that the cluster does not store.

use std::time::Duration;

use quorate_fake::FakeDht;

use super::*;
use crate::RelayDht;

fn with_dht(deadline: Duration) -> (Fixture, Arc<FakeDht>) {
    let dht = FakeDht::new();
    let config = RelayConfig {
        dht: Some(RelayDht {
            bridge: dht.clone(),
            deadline,
        }),
        ..RelayConfig::default()
    };
    (Fixture::new(config), dht)
}

fn packet_at(micros: u64) -> SignedPacket {
    packet(1, MICROS + micros, &format!("at {micros}"), 30)
}

fn path(policy: &str) -> String {
    let key = *packet_at(0).key();
    format!("/pkarr/{key}?policy={policy}")
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_packet_that_only_the_dht_has_is_shown_as_such() {
    let (relay, dht) = with_dht(LONG);
    let in_dht = packet_at(5);
    dht.store(in_dht.clone());
    let answer = relay.get(&path("CacheFirst"), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, in_dht.payload());
    assert_eq!(answer.field("quorate-source"), "dht");
    let answer = relay.get(&path("CacheOnly"), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "it never asks");

    let stored = packet_at(4);
    relay.replica.store(received_now(stored.clone()));
    let answer = relay.get(&path("CacheFirst"), &[]).await;
    assert_eq!(answer.body, stored.payload(), "no lookup is needed");
    assert!(!answer.headers.contains_key("quorate-source"));
    assert_eq!(*dht.lookup_count.borrow(), 1);
    let answer = relay.get(&path("NetworkOnly"), &[]).await;
    assert_eq!(answer.body, in_dht.payload(), "it asks in any case");
}

#[tokio::test]
async fn without_an_answer_of_the_dht_nobody_may_cache_that_there_is_no_packet() {
    let (relay, dht) = with_dht(Duration::from_millis(20));
    dht.answers.send_replace(false);
    let answer = relay.get(&path("CacheFirst"), &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.field("cache-control"), "no-store");
    let stored = packet_at(4);
    relay.replica.store(received_now(stored.clone()));
    let answer = relay.get(&path("NetworkOnly"), &[]).await;
    assert_eq!(answer.body, stored.payload());
}

#[tokio::test]
async fn only_new_records_are_published_at_once() {
    let (relay, dht) = with_dht(LONG);
    let first = packet_at(1);
    assert_eq!(relay.put(&first, &[]).await.status, StatusCode::NO_CONTENT);
    let signed_again = packet(1, MICROS + 2, "at 1", 30);
    relay.put(&signed_again, &[]).await;
    assert_eq!(dht.published(), [*first.key()]);
    relay.put(&packet_at(3), &[]).await;
    assert_eq!(dht.published().len(), 2);
}
