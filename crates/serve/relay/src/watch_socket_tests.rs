//! Requests that wait, on a real socket.

use std::{sync::Arc, time::Duration};

use quorate_fake::{FakeReplica, received_now};
use quorate_http::Server;
use quorate_http::listener::ListenerName;
use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{RelayConfig, RelayMetrics, metrics::WatchLabel, router, watch_fixture::version};

/// Longer than anything here takes on a busy machine, and shorter than requests wait.
const LONG: Duration = Duration::from_secs(20);

/// The deadlines of ordinary requests, which waiting requests must outlast.
const SHORT: Duration = Duration::from_millis(200);

struct Fixture {
    replica: Arc<FakeReplica>,
    metrics: RelayMetrics,
    server: Server,
}

impl Fixture {
    async fn new() -> Self {
        let (registry, replica) = (Registry::new(), FakeReplica::new());
        let metrics = RelayMetrics::register(&registry).unwrap();
        let relay = RelayConfig {
            deadline: SHORT,
            ..RelayConfig::default()
        };
        let http = quorate_http::HttpConfig {
            header_read_timeout: SHORT,
            body_read_timeout: SHORT,
            write_timeout: SHORT,
            ..quorate_http::HttpConfig::new(([127, 0, 0, 1], 0).into())
        };
        let listeners = quorate_http::listener::ListenerMetrics::register(&registry).unwrap();
        let router = router(replica.clone(), relay, metrics.clone());
        let bound = http.bind().await.unwrap();
        Self {
            replica,
            metrics,
            server: bound.serve(router, ListenerName::Public, &listeners),
        }
    }

    /// Sends a GET with this path after the key, and returns once the request waits.
    async fn start_waiting(&self, path: &str, kind: WatchLabel) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.local_addr()).await.unwrap();
        let key = *version(1).key();
        let request = format!("GET /pkarr/{key}{path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        self.until_waiting(kind, 1).await;
        stream
    }

    async fn until_waiting(&self, kind: WatchLabel, count: i64) {
        let started = Instant::now();
        while self.metrics.watches_open.of(kind).get() != count {
            assert!(started.elapsed() < LONG, "{count} requests should wait");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Reads until `text` has arrived.
async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    let all = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            let size = stream.read_buf(&mut read).await.unwrap();
            assert!(size > 0, "{}", String::from_utf8_lossy(&read));
        }
    };
    timeout(LONG, all).await.expect(text);
}

#[tokio::test]
async fn the_wait_of_a_disconnected_client_ends() {
    let relay = Fixture::new().await;
    for (path, kind) in [
        ("?wait=60s", WatchLabel::Wait),
        ("/events", WatchLabel::Events),
    ] {
        drop(relay.start_waiting(path, kind).await);
        relay.until_waiting(kind, 0).await;
    }
}

/// Deadlines of ordinary requests do not end requests that wait.
#[tokio::test]
async fn a_wait_outlasts_the_deadlines_of_other_requests() {
    let relay = Fixture::new().await;
    let mut waiting = relay.start_waiting("?wait=60s", WatchLabel::Wait).await;
    let mut events = relay.start_waiting("/events", WatchLabel::Events).await;
    sleep(3 * SHORT).await;
    relay.replica.store(received_now(version(1)));
    read_until(&mut waiting, "HTTP/1.1 200 OK").await;
    read_until(&mut events, "event: stored").await;
    sleep(3 * SHORT).await;
    relay.replica.store(received_now(version(2)));
    let tag = crate::entity_tag::opaque_tag(&version(2));
    read_until(&mut events, &format!("id: {tag}")).await;
}

/// Otherwise a shutdown would wait for each of them until the drain limit.
#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_them() {
    let relay = Fixture::new().await;
    let _waiting = relay.start_waiting("?wait=60s", WatchLabel::Wait).await;
    let _events = relay.start_waiting("/events", WatchLabel::Events).await;
    let drain_limit = quorate_http::HttpConfig::default().drain_timeout;
    let started = Instant::now();
    relay.replica.end_watches();
    relay.server.shutdown().await;
    assert!(
        started.elapsed() < drain_limit,
        "the shutdown waited until the drain limit"
    );
}
