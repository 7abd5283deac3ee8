//! A relay without sockets, for tests of requests that wait.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode},
    response::Response,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use quorate_fake::{FakeReplica, packet, received_now};
use quorate_metrics::Registry;
use quorate_packet::SignedPacket;
use tokio::{
    task::{JoinHandle, yield_now},
    time::Instant,
};
use tower::ServiceExt;

use crate::{RelayConfig, RelayMetrics, WatchSettings, metrics::WatchLabel, router};

const MICROS: u64 = 1_700_000_000_000_000;

/// More turns of the scheduler than any task needs that only waits for other tasks.
const TURN_COUNT_MAX: usize = 1000;

/// Header fields of a request.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A relay, its replica, and its metrics.
pub(crate) struct Fixture {
    pub(crate) replica: Arc<FakeReplica>,
    metrics: RelayMetrics,
    router: Router,
}

/// The answer to a request with `wait`, and after how long it came.
pub(crate) struct WaitResult {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) after: Duration,
    response: Response<()>,
}

impl Fixture {
    pub(crate) fn new(watch: WatchSettings) -> Self {
        let replica = FakeReplica::new();
        let metrics = RelayMetrics::register(&Registry::new()).unwrap();
        let config = RelayConfig {
            watch,
            ..RelayConfig::default()
        };
        let router = router(replica.clone(), config, metrics.clone());
        Self {
            replica,
            metrics,
            router,
        }
    }

    /// Sends a GET as a client with this address.
    pub(crate) async fn ask_as(&self, client: &str, path: &str, fields: Fields<'_>) -> Response {
        let peer: SocketAddr = client.parse().unwrap();
        let mut request = Request::builder().uri(path).extension(ConnectInfo(peer));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn ask(&self, path: &str, fields: Fields<'_>) -> Response {
        self.ask_as("192.0.2.1:1", path, fields).await
    }

    /// Sends a GET and reads the complete answer, with the time that it took.
    pub(crate) async fn wait(&self, path: &str, fields: Fields<'_>) -> WaitResult {
        let started = Instant::now();
        let response = self.ask(path, fields).await;
        let after = started.elapsed();
        let (parts, body) = response.into_parts();
        WaitResult {
            status: parts.status,
            body: body.collect().await.unwrap().to_bytes(),
            after,
            response: Response::from_parts(parts, ()),
        }
    }

    /// Sends a GET in another task, and returns once the request waits.
    pub(crate) async fn start_waiting(
        self: &Arc<Self>,
        path: String,
        fields: &[(&'static str, String)],
    ) -> JoinHandle<WaitResult> {
        let count = self.waiting(WatchLabel::Wait);
        let (fixture, fields) = (self.clone(), fields.to_vec());
        let task = tokio::spawn(async move {
            let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            fixture.wait(&path, &fields).await
        });
        self.until_waiting(WatchLabel::Wait, count + 1).await;
        task
    }

    pub(crate) fn waiting(&self, kind: WatchLabel) -> i64 {
        self.metrics.watches_open.of(kind).get()
    }

    /// Lets other tasks run until `count` requests wait.
    pub(crate) async fn until_waiting(&self, kind: WatchLabel, count: i64) {
        for _ in 0..TURN_COUNT_MAX {
            if self.waiting(kind) == count {
                return;
            }
            yield_now().await;
        }
        panic!("{} wait, not {count}", self.waiting(kind));
    }

    pub(crate) fn store(&self, packet: &SignedPacket) {
        self.replica.store(received_now(packet.clone()));
    }
}

impl WaitResult {
    pub(crate) fn field(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

/// Version `number` of the packet of one key.
pub(crate) fn version(number: u64) -> SignedPacket {
    packet(1, MICROS + number, &format!("version {number}"), 30)
}

/// A packet of another key.
pub(crate) fn of_another_key() -> SignedPacket {
    packet(2, MICROS, "x", 30)
}
