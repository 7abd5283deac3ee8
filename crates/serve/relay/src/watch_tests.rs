use std::sync::Arc;

use axum::http::StatusCode;
use quorate_fake::received_now;

use super::*;
use crate::{
    WatchSettings,
    watch_fixture::{Fixture, of_another_key, version},
};

fn fixture() -> Arc<Fixture> {
    Arc::new(Fixture::new(WatchSettings::default()))
}

/// The path of a request that waits for changes of the packet of [`version`].
fn path(wait: &str) -> String {
    format!("/pkarr/{}?wait={wait}", version(1).key())
}

fn tag(number: u64) -> String {
    let tag = crate::entity_tag::entity_tag(&version(number));
    tag.to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_another_packet_is_applied() {
    let relay = fixture();
    relay.store(&version(1));
    let waiting = relay
        .start_waiting(path("30s"), &[("if-none-match", tag(1))])
        .await;
    relay.store(&of_another_key());
    // Receiving the same packet again is no change.
    relay.store(&version(1));
    tokio::time::sleep(Duration::from_secs(7)).await;
    relay.store(&version(2));
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, *version(2).payload());
    assert_eq!(answer.field("etag"), tag(2));
    assert_eq!(answer.field("cache-control"), "no-store");
    assert_eq!(answer.after, Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_packet_that_the_client_does_not_have_is_returned_immediately() {
    let relay = fixture();
    relay.store(&version(1));
    let stale = tag(7);
    for fields in [&[][..], &[("if-none-match", stale.as_str())]] {
        let answer = relay.wait(&path("30"), fields).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.after, Duration::ZERO);
    }
    // A client that has a packet also learns immediately that it was removed.
    relay.replica.remove(*version(1).key());
    let answer = relay.wait(&path("30"), &[("if-none-match", &tag(1))]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.after, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_its_time_is_up() {
    let relay = fixture();
    let missing = relay.wait(&path("3"), &[]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    relay.store(&version(1));
    let same = relay.wait(&path("3s"), &[("if-none-match", &tag(1))]).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    for answer in [missing, same] {
        assert_eq!(answer.field("cache-control"), "no-store");
        assert!(answer.after.as_secs() == 3, "{:?}", answer.after);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_first_packet_is_stored() {
    let relay = fixture();
    let waiting = relay.start_waiting(path("30s"), &[]).await;
    relay.store(&version(1));
    let answer = waiting.await.unwrap();
    assert_eq!(answer.body, *version(1).payload());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_a_change() {
    let relay = fixture();
    relay.store(&version(1));
    let waiting = relay
        .start_waiting(path("30s"), &[("if-none-match", tag(1))])
        .await;
    relay.replica.remove(*version(1).key());
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.after, Duration::ZERO);
}

/// After the first read or the second: the watch starts before the second read.
#[tokio::test(start_paused = true)]
async fn a_change_between_a_read_and_the_wait_is_not_missed() {
    for read_count in 1..=2 {
        let relay = fixture();
        relay.store(&version(1));
        let next = received_now(version(2));
        relay.replica.store_after_reads(read_count, next);
        let answer = relay.wait(&path("30"), &[("if-none-match", &tag(1))]).await;
        assert_eq!(answer.status, StatusCode::OK, "after {read_count} reads");
        assert_eq!(answer.after, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_longer_than_the_limit() {
    let relay = fixture();
    for waiting in ["86400s", "18446744073709551615"] {
        let answer = relay.wait(&path(waiting), &[]).await;
        let bound = WatchSettings::default().wait_secs_max;
        assert_eq!(answer.after.as_secs(), bound);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_wait_is_rejected() {
    let relay = fixture();
    for wait in [
        "",
        "s",
        "1m",
        "-1",
        "+1",
        "1.5",
        "1%73",
        "18446744073709551616",
    ] {
        let answer = relay.wait(&path(wait), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wait}");
        assert_eq!(answer.after, Duration::ZERO);
    }
    let none = relay.wait(&path("0"), &[]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_wait_has_retry_after() {
    let watch = WatchSettings {
        count_max: 2,
        count_per_client_max: 1,
        ..WatchSettings::default()
    };
    let relay = Arc::new(Fixture::new(watch));
    let waits = relay.start_waiting(path("30s"), &[]).await;
    let rejected = relay.wait(&path("30s"), &[]).await;
    assert_eq!(rejected.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rejected.field("retry-after"), "10");
    // The client disconnects, and its slot is free immediately.
    waits.abort();
    relay.until_waiting(WatchLabel::Wait, 0).await;
    let waits = relay.start_waiting(path("30s"), &[]).await;
    relay.store(&version(1));
    waits.await.unwrap();
    // A request that need not wait needs no slot.
    let full = Fixture::new(WatchSettings {
        count_max: 0,
        ..WatchSettings::default()
    });
    let rejected = full.wait(&path("30s"), &[]).await;
    assert_eq!(rejected.status, StatusCode::SERVICE_UNAVAILABLE);
    full.store(&version(1));
    let answer = full.wait(&path("30s"), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_for_another_client_is_answered_as_if_its_time_were_over() {
    let watch = WatchSettings {
        count_max: 2,
        count_per_client_max: 2,
        ..WatchSettings::default()
    };
    let relay = Arc::new(Fixture::new(watch));
    relay.store(&version(1));
    let tag = [("if-none-match", tag(1))];
    let first = relay.start_waiting(path("30s"), &tag).await;
    let second = relay.start_waiting(path("30s"), &tag).await;
    let events = format!("/{}/events", version(1).key());
    let other = relay.ask_as("198.51.100.1:1", &events, &[]).await;
    assert_eq!(other.status(), StatusCode::OK);
    let answer = first.await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert_eq!(answer.after, Duration::ZERO);
    assert!(!second.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_ends_all_waits() {
    let relay = fixture();
    relay.store(&version(1));
    let waiting = relay
        .start_waiting(path("30s"), &[("if-none-match", tag(1))])
        .await;
    relay.replica.end_watches();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert_eq!(answer.after, Duration::ZERO);
}
