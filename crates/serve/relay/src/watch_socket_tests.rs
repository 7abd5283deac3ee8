//! Requests that wait, on a socket.

use std::{sync::Arc, time::Duration};

use quorate_fake::{FakeReplica, received_now};
use quorate_http::Server;
use quorate_http::listener::Name;
use quorate_metrics::Registry;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{RelayConfig, RelayMetrics, metrics::WatchLabel, router, watch_fixture::version};

/// Longer than anything here takes on a busy machine, and shorter than requests wait.
const LONG: Duration = Duration::from_secs(20);

/// The deadlines of ordinary requests, to be outlasted.
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
            server: bound.serve(router, Name::Public, &listeners),
        }
    }

    /// Asks at this path behind the key, and waits until the request does.
    async fn begin(&self, path: &str, kind: WatchLabel) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.local_addr()).await.unwrap();
        let key = *version(1).key();
        let request = format!("GET /pkarr/{key}{path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        self.until_waiting(kind, 1).await;
        stream
    }

    async fn until_waiting(&self, kind: WatchLabel, count: i64) {
        let begun = Instant::now();
        while self.metrics.watches_open.of(kind).get() != count {
            assert!(begun.elapsed() < LONG, "not {count} that wait");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Reads until `text` has come.
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
async fn a_client_that_is_gone_waits_no_more() {
    let relay = Fixture::new().await;
    for (path, kind) in [
        ("?wait=60s", WatchLabel::Wait),
        ("/events", WatchLabel::Events),
    ] {
        drop(relay.begin(path, kind).await);
        relay.until_waiting(kind, 0).await;
    }
}

/// What holds for requests that do not wait ends none that do.
#[tokio::test]
async fn a_wait_outlasts_the_deadlines_of_other_requests() {
    let relay = Fixture::new().await;
    let mut waiting = relay.begin("?wait=60s", WatchLabel::Wait).await;
    let mut events = relay.begin("/events", WatchLabel::Events).await;
    sleep(3 * SHORT).await;
    relay.replica.store(received_now(version(1)));
    read_until(&mut waiting, "HTTP/1.1 200 OK").await;
    read_until(&mut events, "event: stored").await;
    sleep(3 * SHORT).await;
    relay.replica.store(received_now(version(2)));
    let tag = crate::entity_tag::opaque_tag(&version(2));
    read_until(&mut events, &format!("id: {tag}")).await;
}

/// Or a shutdown would wait for each until the drain limit.
#[tokio::test]
async fn a_server_that_stops_waits_for_none() {
    let relay = Fixture::new().await;
    let _waiting = relay.begin("?wait=60s", WatchLabel::Wait).await;
    let _events = relay.begin("/events", WatchLabel::Events).await;
    let drain_limit = quorate_http::HttpConfig::default().drain_timeout;
    let begun = Instant::now();
    relay.replica.end_watches();
    relay.server.shutdown().await;
    assert!(begun.elapsed() < drain_limit, "it was cut off");
}
