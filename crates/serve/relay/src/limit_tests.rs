use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request, StatusCode, header},
};
use quorate_fake::{FakeReplica, packet, received_now};
use quorate_http::ClientRules;
use quorate_limit::{LimitConfig, LimitMetrics, Networks, RequestLimits};
use quorate_metrics::Registry;
use quorate_packet::{PublicKey, SignedPacket};
use tower::ServiceExt;

use crate::{RelayConfig, RelayMetrics, router};

const MICROS: u64 = 1_700_000_000_000_000;

const STORED: StatusCode = StatusCode::NO_CONTENT;
const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// A relay and its replica, without sockets. It trusts the proxy 10.0.0.1.
struct Fixture {
    replica: Arc<FakeReplica>,
    router: Router,
}

/// Rates so low that no token is added during a test.
fn slow() -> LimitConfig {
    LimitConfig {
        put_per_sec: 1,
        get_per_sec: 1,
        new_key_per_hour: 1,
        key_put_per_min: 1,
        total_put_per_sec: 1,
        total_new_key_per_sec: 1,
        total_get_per_sec: 1,
        client_count_max: 1_000,
        ..LimitConfig::default()
    }
}

impl Fixture {
    /// Stores a packet that was received `age` ago.
    fn store(&self, packet: &SignedPacket, age: Duration) {
        let mut stored = received_now(packet.clone());
        stored.received.0 -= age.as_millis() as u64;
        self.replica.store(stored);
    }

    fn new(config: &LimitConfig) -> Self {
        let replica = FakeReplica::new();
        let limits = LimitMetrics::register(&Registry::new()).unwrap();
        let limits = RequestLimits::new(config, &limits);
        let proxies = Networks::parse(["10.0.0.1"]).unwrap();
        let config = RelayConfig {
            rules: ClientRules::new(limits, proxies),
            ..RelayConfig::default()
        };
        let metrics = RelayMetrics::register(&Registry::new()).unwrap();
        let router = router(replica.clone(), config, metrics);
        Self { replica, router }
    }

    /// Returns the status, and checks that every rejection has `Retry-After`.
    async fn ask(&self, peer: &str, mut request: Request<Body>) -> StatusCode {
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        if [TOO_MANY, BUSY].contains(&response.status()) {
            let retry_after = &response.headers()[header::RETRY_AFTER];
            let secs: u64 = retry_after.to_str().unwrap().parse().unwrap();
            assert!(secs > 0);
        }
        response.status()
    }

    async fn put(&self, peer: &str, packet: &SignedPacket) -> StatusCode {
        self.put_bytes(peer, packet.key(), packet.payload().clone())
            .await
    }

    async fn put_bytes(&self, peer: &str, key: &PublicKey, body: impl Into<Body>) -> StatusCode {
        let request = Request::put(format!("/pkarr/{key}"));
        self.ask(peer, request.body(body.into()).unwrap()).await
    }

    /// A PUT with `If-None-Match: *`.
    async fn put_new(&self, peer: &str, packet: &SignedPacket) -> StatusCode {
        let request = Request::put(format!("/pkarr/{}", packet.key()));
        let request = request.header(header::IF_NONE_MATCH, "*");
        let body = packet.payload().clone().into();
        self.ask(peer, request.body(body).unwrap()).await
    }

    async fn read(&self, method: Method, peer: &str, path: &str) -> StatusCode {
        let request = Request::builder().method(method).uri(path);
        self.ask(peer, request.body(Body::empty()).unwrap()).await
    }
}

/// A packet of the key from `seed`, with a timestamp that grows with `version`.
fn sample(seed: u8, version: u64) -> SignedPacket {
    packet(seed, MICROS + version, "x", 30)
}

#[tokio::test]
async fn each_client_has_its_own_limit_of_gets_and_preflights_cost_nothing() {
    let relay = Fixture::new(&LimitConfig {
        get_burst: 2,
        ..slow()
    });
    let path = format!("/{}", sample(1, 0).key());
    let ask = async |method, peer| relay.read(method, peer, &path).await;
    for _ in 0..5 {
        assert_eq!(ask(Method::OPTIONS, "192.0.2.1").await, STORED);
    }
    let missing = StatusCode::NOT_FOUND;
    assert_eq!(ask(Method::GET, "192.0.2.1").await, missing);
    assert_eq!(ask(Method::HEAD, "192.0.2.1").await, missing);
    assert_eq!(ask(Method::GET, "192.0.2.1").await, TOO_MANY);
    assert_eq!(ask(Method::HEAD, "192.0.2.1").await, TOO_MANY);
    assert_eq!(ask(Method::OPTIONS, "192.0.2.1").await, STORED);
    assert_eq!(ask(Method::GET, "192.0.2.2").await, missing);
    assert_eq!(relay.put("192.0.2.1", &sample(1, 0)).await, STORED);
}

#[tokio::test]
async fn new_keys_are_limited_and_refreshes_of_known_keys_continue() {
    let relay = Fixture::new(&LimitConfig {
        new_key_burst: 2,
        ..slow()
    });
    for (seed, status) in [(1, STORED), (2, STORED), (3, TOO_MANY), (4, TOO_MANY)] {
        assert_eq!(relay.put("192.0.2.1", &sample(seed, 0)).await, status);
    }
    for version in 0..5 {
        let refresh = sample(1, version);
        assert_eq!(relay.put("192.0.2.1", &refresh).await, STORED, "{version}");
    }
    assert_eq!(relay.put("192.0.2.2", &sample(3, 0)).await, STORED);
}

#[tokio::test]
async fn a_key_is_limited_whichever_client_sends_its_packets() {
    let relay = Fixture::new(&LimitConfig {
        key_put_burst: 2,
        ..slow()
    });
    for (version, status) in [(0, STORED), (1, STORED), (2, STORED), (3, TOO_MANY)] {
        let client = format!("192.0.2.{version}");
        assert_eq!(relay.put(&client, &sample(1, version)).await, status);
    }
    let repeated = relay.put("192.0.2.9", &sample(1, 2)).await;
    assert_eq!(
        repeated, STORED,
        "bytes that are already stored cost nothing"
    );
    assert_eq!(relay.put("192.0.2.9", &sample(2, 0)).await, STORED);
}

/// Strangers cannot keep the owner of a key from publishing, whatever they send.
#[tokio::test]
async fn only_the_owner_of_a_key_can_use_up_its_limit() {
    let relay = Fixture::new(&LimitConfig {
        key_put_burst: 2,
        ..slow()
    });
    let (first, second) = (sample(1, 0), sample(1, 1));
    assert_eq!(relay.put("192.0.2.1", &first).await, STORED);
    assert_eq!(relay.put("192.0.2.1", &second).await, STORED);
    for _ in 0..10 {
        let forged = sample(2, 9).payload().clone();
        let forged = relay.put_bytes("198.51.100.1", first.key(), forged).await;
        assert_eq!(forged, StatusCode::BAD_REQUEST);
        let old = relay.put("198.51.100.1", &first).await;
        assert_eq!(old, StatusCode::CONFLICT);
        assert_eq!(relay.put("198.51.100.1", &second).await, STORED);
    }
    assert_eq!(relay.put("192.0.2.1", &sample(1, 2)).await, STORED);
    assert_eq!(relay.put("192.0.2.1", &sample(1, 3)).await, TOO_MANY);
}

/// Everybody can read packets and send them again.
#[tokio::test]
async fn replays_take_nothing_that_others_need() {
    let relay = Fixture::new(&LimitConfig {
        total_put_burst: 5,
        ..slow()
    });
    for version in 0..2 {
        relay.store(&sample(1, version), Duration::ZERO);
    }
    for _ in 0..5 {
        let old = relay.put("192.0.2.1", &sample(1, 0)).await;
        assert_eq!(old, StatusCode::CONFLICT);
        assert_eq!(relay.put("192.0.2.1", &sample(1, 1)).await, STORED);
        let old = relay.put_new("192.0.2.1", &sample(1, 0)).await;
        assert_eq!(old, StatusCode::PRECONDITION_FAILED);
        let forged = sample(2, 9).payload().clone();
        let key = *sample(1, 0).key();
        let forged = relay.put_bytes("192.0.2.1", &key, forged).await;
        assert_eq!(forged, StatusCode::BAD_REQUEST);
    }
    assert_eq!(relay.put("192.0.2.2", &sample(3, 0)).await, STORED);
}

/// These are recorded in the log, so they have a limit, but not that of others.
#[tokio::test]
async fn repeated_packets_that_the_cluster_must_see_have_a_limit_of_their_own() {
    let relay = Fixture::new(&LimitConfig {
        total_put_burst: 20,
        ..slow()
    });
    let day = Duration::from_hours(24);
    for seed in 1..=5 {
        relay.store(&sample(seed, 0), day);
    }
    for (seed, status) in [(1, STORED), (2, STORED), (3, BUSY), (1, STORED), (4, BUSY)] {
        assert_eq!(relay.put("192.0.2.1", &sample(seed, 0)).await, status);
    }
    assert_eq!(relay.put("192.0.2.1", &sample(5, 1)).await, STORED);
    assert_eq!(relay.put("192.0.2.2", &sample(9, 0)).await, STORED);
}

#[tokio::test]
async fn keys_that_publish_all_the_time_leave_room_for_those_that_seldom_do() {
    let relay = Fixture::new(&LimitConfig {
        total_put_burst: 10,
        ..slow()
    });
    relay.store(&sample(1, 0), Duration::from_secs(299));
    for (seed, status) in [2, 3, 4, 5, 6]
        .map(|seed| (seed, STORED))
        .into_iter()
        .chain([(7, BUSY)])
    {
        assert_eq!(relay.put("192.0.2.1", &sample(seed, 0)).await, status);
    }
    assert_eq!(relay.put("192.0.2.1", &sample(2, 1)).await, BUSY);
    // The stored packet of an idle key could stay, however many of these are sent.
    assert_eq!(relay.put_new("192.0.2.1", &sample(1, 1)).await, BUSY);
    let year = 365 * 24 * 3600 * 1_000_000;
    let ahead = sample(1, 100 * year);
    assert_eq!(relay.put("192.0.2.1", &ahead).await, BUSY);
    assert_eq!(relay.put("192.0.2.1", &sample(1, 1)).await, STORED, "idle");
    assert_eq!(
        relay.put("192.0.2.1", &sample(1, 2)).await,
        BUSY,
        "no longer"
    );
}

#[tokio::test]
async fn a_shared_limit_is_reported_as_a_busy_node() {
    let relay = Fixture::new(&LimitConfig {
        total_put_burst: 4,
        total_get_burst: 2,
        ..slow()
    });
    for (seed, status) in [(1, STORED), (2, STORED), (3, BUSY)] {
        assert_eq!(relay.put("192.0.2.1", &sample(seed, 0)).await, status);
    }
    let path = format!("/{}", sample(1, 0).key());
    for (client, status) in [("1", StatusCode::OK), ("2", StatusCode::OK), ("3", BUSY)] {
        let client = format!("192.0.2.{client}");
        assert_eq!(relay.read(Method::GET, &client, &path).await, status);
    }
    assert_eq!(
        relay.put("192.0.2.1", &sample(1, 0)).await,
        STORED,
        "bytes that are already stored take nothing from shared limits"
    );
}

#[tokio::test]
async fn only_a_limited_number_of_linearizable_reads_waits() {
    let relay = Fixture::new(&LimitConfig {
        linearizable_read_count_max: 1,
        ..slow()
    });
    let path = format!("/{}?policy=NetworkOnly", sample(1, 0).key());
    let ask = || relay.read(Method::GET, "192.0.2.1", &path);
    relay.replica.answers_linearize.send_replace(false);
    let mut waiting = Box::pin(ask());
    tokio::select! {
        biased;
        status = &mut waiting => panic!("{status} without confirmation from a leader"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(ask().await, BUSY);
    relay.replica.answers_linearize.send_replace(true);
    assert_eq!(waiting.await, StatusCode::NOT_FOUND);
    assert_eq!(ask().await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn either_field_of_a_proxy_identifies_the_client() {
    let relay = Fixture::new(&LimitConfig {
        get_burst: 1,
        ..slow()
    });
    let missing = StatusCode::NOT_FOUND;
    for (fields, status) in [
        (&[("forwarded", "for=192.0.2.1")][..], missing),
        (&[("forwarded", "for=1.1.1.1, for=192.0.2.1")], TOO_MANY),
        (&[("x-forwarded-for", "192.0.2.1")], TOO_MANY),
        (&[("x-forwarded-for", "192.0.2.2")], missing),
        (
            &[
                ("x-forwarded-for", "192.0.2.3"),
                ("forwarded", "for=192.0.2.4"),
            ],
            missing,
        ),
        (
            &[
                ("x-forwarded-for", "192.0.2.4"),
                ("forwarded", "for=192.0.2.3"),
            ],
            TOO_MANY,
        ),
        (&[("forwarded", "for=192.0.2.3")], missing),
    ] {
        let mut request = Request::get(format!("/{}", sample(1, 0).key()));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(relay.ask("10.0.0.1", request).await, status, "{fields:?}");
    }
}

/// Otherwise a client could hide what its proxy wrote, and its own value would be trusted.
#[tokio::test]
async fn a_field_that_is_not_text_is_malformed_and_the_other_is_ignored() {
    for (malformed, other, claims) in [
        ("forwarded", "x-forwarded-for", ["192.0.2.1", "192.0.2.2"]),
        (
            "x-forwarded-for",
            "forwarded",
            ["for=192.0.2.1", "for=192.0.2.2"],
        ),
    ] {
        let relay = Fixture::new(&LimitConfig {
            get_burst: 1,
            ..slow()
        });
        for (claim, status) in claims.into_iter().zip([StatusCode::NOT_FOUND, TOO_MANY]) {
            let request = Request::get(format!("/{}", sample(1, 0).key()))
                .header(malformed, &b"for=\"\xe9\", for=198.51.100.1"[..])
                .header(other, claim)
                .body(Body::empty())
                .unwrap();
            assert_eq!(relay.ask("10.0.0.1", request).await, status, "{claim}");
        }
    }
}

/// Such a node answers with its own error.
#[tokio::test]
async fn on_a_node_that_cannot_read_no_key_counts_as_new() {
    let relay = Fixture::new(&LimitConfig {
        new_key_burst: 1,
        ..slow()
    });
    relay.replica.fail_reads(true);
    for seed in 1..5 {
        let status = relay.put("192.0.2.1", &sample(seed, 0)).await;
        assert_ne!(status, TOO_MANY);
    }
}
