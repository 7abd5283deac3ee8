use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::*;
use crate::{
    WatchSettings,
    watch_fixture::{Fields, Fixture, of_another_key, version},
};

/// The events that a client reads.
struct Reader(Body);

impl Reader {
    async fn open(relay: &Fixture, fields: Fields<'_>) -> Self {
        let path = format!("/pkarr/{}/events", version(1).key());
        let response = relay.ask(&path, fields).await;
        assert_eq!(response.status(), StatusCode::OK);
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        Self(response.into_body())
    }

    /// The next lines, `None` at the end.
    async fn next(&mut self) -> Option<String> {
        let frame = self.0.frame().await?.unwrap();
        let bytes = frame.into_data().unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Expects no event before the next keep-alive comment.
    async fn expect_nothing(&mut self) {
        let started = Instant::now();
        assert_eq!(self.next().await.unwrap(), ":\n\n");
        assert_eq!(started.elapsed().as_secs(), KEEP_ALIVE_INTERVAL.as_secs());
    }
}

fn fixture() -> Fixture {
    Fixture::new(WatchSettings::default())
}

/// The event for version `number` of the packet.
fn stored_event(number: u64) -> Option<String> {
    let packet = version(number);
    let (key, timestamp) = (packet.key(), packet.timestamp().as_micros());
    let payload = BASE64.encode(packet.payload());
    Some(format!(
        "event: stored\nid: {}\ndata: {{\"key\":\"{key}\",\"timestamp_us\":{timestamp},\
         \"payload\":\"{payload}\"}}\n\n",
        opaque_tag(&packet)
    ))
}

fn deleted_event() -> Option<String> {
    let key = *version(1).key();
    Some(format!(
        "event: deleted\nid: \ndata: {{\"key\":\"{key}\"}}\n\n"
    ))
}

#[tokio::test(start_paused = true)]
async fn a_reader_receives_the_stored_packet_and_then_each_change() {
    let relay = fixture();
    relay.store(&version(1));
    let mut reader = Reader::open(&relay, &[]).await;
    assert_eq!(reader.next().await, stored_event(1));
    relay.store(&of_another_key());
    relay.store(&version(1));
    reader.expect_nothing().await;
    relay.store(&version(2));
    assert_eq!(reader.next().await, stored_event(2));
    relay.replica.remove(*version(1).key());
    assert_eq!(reader.next().await, deleted_event());
    relay.store(&version(3));
    assert_eq!(reader.next().await, stored_event(3));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_only_receives_the_last_change() {
    let relay = fixture();
    let mut reader = Reader::open(&relay, &[]).await;
    for number in 1..=1000 {
        relay.store(&version(number));
    }
    assert_eq!(reader.next().await, stored_event(1000));
    reader.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_reconnects_receives_what_it_missed() {
    let relay = fixture();
    relay.store(&version(1));
    let known = opaque_tag(&version(1));
    let resumed = [("last-event-id", known.as_str())];
    Reader::open(&relay, &resumed).await.expect_nothing().await;
    relay.store(&version(2));
    let mut reader = Reader::open(&relay, &resumed).await;
    assert_eq!(reader.next().await, stored_event(2));
    relay.replica.remove(*version(1).key());
    let mut reader = Reader::open(&relay, &resumed).await;
    assert_eq!(reader.next().await, deleted_event());
    let forgot = [("last-event-id", "")];
    Reader::open(&relay, &forgot).await.expect_nothing().await;
    relay.store(&version(3));
    let mut reader = Reader::open(&relay, &forgot).await;
    assert_eq!(reader.next().await, stored_event(3));
}

#[tokio::test(start_paused = true)]
async fn a_reader_learns_of_which_cluster_the_packets_are() {
    let relay = fixture();
    relay
        .replica
        .change_status(|status| status.cluster = Some("c1".to_owned()));
    relay.store(&version(1));
    let mut reader = Reader::open(&relay, &[]).await;
    let cluster = "event: cluster\ndata: {\"cluster\":\"c1\"}\n\n";
    assert_eq!(reader.next().await.as_deref(), Some(cluster));
    assert_eq!(reader.next().await, stored_event(1));
    reader.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_after_the_first_read_is_sent() {
    let relay = fixture();
    relay.store(&version(1));
    // The first read only finds errors before the response starts, the second finds the packet.
    for read_count in 1..=2 {
        let next = version(1 + read_count);
        let next = quorate_fake::received_now(next);
        relay.replica.store_after_reads(read_count as usize, next);
        let known = opaque_tag(&version(read_count));
        let mut reader = Reader::open(&relay, &[("last-event-id", &known)]).await;
        assert_eq!(reader.next().await, stored_event(1 + read_count));
    }
}

#[tokio::test(start_paused = true)]
async fn events_end_when_the_node_stops_or_cannot_read() {
    let relay = fixture();
    relay.store(&version(1));
    let mut first = Reader::open(&relay, &[]).await;
    let mut second = Reader::open(&relay, &[]).await;
    for reader in [&mut first, &mut second] {
        assert_eq!(reader.next().await, stored_event(1));
    }
    relay.replica.fail_reads(true);
    relay.store(&version(2));
    assert_eq!(first.next().await, None);
    relay.replica.fail_reads(false);
    assert_eq!(second.next().await, stored_event(2));
    relay.replica.end_watches();
    assert_eq!(second.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_disconnects_releases_its_slot() {
    let relay = Fixture::new(WatchSettings {
        count_max: 1,
        ..WatchSettings::default()
    });
    let reader = Reader::open(&relay, &[]).await;
    let path = format!("/{}/events", version(1).key());
    let rejected = relay.ask(&path, &[]).await;
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejected.headers()["retry-after"], "10");
    drop(reader);
    assert_eq!(relay.waiting(WatchLabel::Events), 0);
    assert_eq!(relay.ask(&path, &[]).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_if_another_client_needs_its_place() {
    let relay = Fixture::new(WatchSettings {
        count_max: 2,
        count_per_client_max: 2,
        ..WatchSettings::default()
    });
    let mut first = Reader::open(&relay, &[]).await;
    let _second = Reader::open(&relay, &[]).await;
    let path = format!("/{}/events", version(1).key());
    let other = relay.ask_as("198.51.100.1:1", &path, &[]).await;
    assert_eq!(other.status(), StatusCode::OK);
    assert_eq!(first.next().await, None);
    let rejected = relay.ask(&path, &[]).await;
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn errors_before_the_stream_are_reported_by_the_status() {
    let relay = fixture();
    let answer = relay.ask("/pkarr/nobody/events", &[]).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    relay.replica.fail_reads(true);
    let path = format!("/pkarr/{}/events", version(1).key());
    let answer = relay.ask(&path, &[]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
