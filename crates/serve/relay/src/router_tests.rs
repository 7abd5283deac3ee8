use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use quorate_fake::{FakeReplica, READ_ERROR, packet, received_now};
use quorate_http::{ProblemType, Routes, with_cors};
use quorate_metrics::Registry;
use quorate_packet::{PAYLOAD_SIZE_MAX, SignedPacket};
use quorate_replica::{NotReady, PutError, PutOutcome};
use tower::ServiceExt;

use self::quotas::limited;
use super::*;

#[path = "condition_tests.rs"]
mod conditions;

#[path = "dht_tests.rs"]
mod dht;

#[path = "publish_tests.rs"]
mod publishing;

#[path = "quota_tests.rs"]
mod quotas;

const MICROS: u64 = 1_700_000_000_000_000;

/// A relay and its replica, without sockets.
struct Fixture {
    replica: Arc<FakeReplica>,
    router: Routes,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Fixture {
    fn new(config: RelayConfig) -> Self {
        let replica = FakeReplica::new();
        let metrics = RelayMetrics::register(&Registry::new()).unwrap();
        let router = with_cors(router(replica.clone(), config, metrics));
        Self { replica, router }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().answer(request).await;
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        answer.check();
        answer
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(request(Method::GET, path, fields, Body::empty()))
            .await
    }

    async fn put(&self, packet: &SignedPacket, fields: &[(&str, &str)]) -> Answer {
        let path = format!("/pkarr/{}", packet.key());
        let body = packet.payload().clone().into();
        self.ask(request(Method::PUT, &path, fields, body)).await
    }

    async fn put_bytes(&self, key: &str, body: impl Into<Body>) -> Answer {
        let path = format!("/pkarr/{key}");
        self.ask(request(Method::PUT, &path, &[], body.into()))
            .await
    }
}

impl Answer {
    /// Checks what is true for every answer.
    fn check(&self) {
        assert_eq!(self.field("access-control-allow-origin"), "*");
        for name in ["ETag", "Retry-After", "Quorate-Applied-Index"] {
            let exposed = self.field("access-control-expose-headers");
            assert!(exposed.contains(name), "{exposed}");
        }
        if self.status.is_client_error() || self.status.is_server_error() {
            assert_eq!(self.field("content-type"), "application/problem+json");
            // HEAD has the header only.
            if !self.body.is_empty() {
                assert_eq!(self.problem()["status"], self.status.as_u16());
            }
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error() {
            let retry_after: u64 = self.field("retry-after").parse().unwrap();
            assert!(retry_after > 0);
        }
    }

    fn field(&self, name: &str) -> &str {
        match self.headers.get(name) {
            Some(value) => value.to_str().unwrap(),
            None => "",
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn problem(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn max_age(&self) -> u64 {
        let cache_control = self.field("cache-control");
        let max_age = cache_control.strip_prefix("public, max-age=");
        max_age.expect(cache_control).parse().unwrap()
    }
}

fn request(method: Method, path: &str, fields: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

#[tokio::test]
async fn a_stored_packet_is_read_byte_for_byte_at_both_paths() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "relay=https://example.org", 30);
    let put = relay.put(&packet, &[]).await;
    assert_eq!((put.status, put.text()), (StatusCode::NO_CONTENT, ""));
    for path in [
        format!("/pkarr/{}", packet.key()),
        format!("/{}", packet.key()),
    ] {
        let got = relay.get(&path, &[]).await;
        assert_eq!(got.status, StatusCode::OK);
        assert_eq!(got.body, *packet.payload());
        assert_eq!(
            got.field("content-type"),
            "application/pkarr.org/relays#payload"
        );
        assert_eq!(
            got.field("content-length"),
            packet.payload().len().to_string()
        );
        assert_eq!(got.field("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(
            got.field("memento-datetime"),
            "",
            "clients ignore a packet with an old one"
        );

        let head = relay
            .ask(request(Method::HEAD, &path, &[], Body::empty()))
            .await;
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.field("content-length"), got.field("content-length"));
        assert_eq!(head.field("etag"), got.field("etag"));
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn a_put_at_the_short_path_is_stored_too() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/{}", packet.key());
    let put = request(Method::PUT, &path, &[], packet.payload().clone().into());
    assert_eq!(relay.ask(put).await.status, StatusCode::NO_CONTENT);
    assert_eq!(relay.get(&path, &[]).await.body, *packet.payload());
}

#[tokio::test]
async fn identical_bytes_are_accepted_again_and_older_ones_are_not() {
    let relay = Fixture::new(RelayConfig::default());
    let [older, a, b] =
        [(1, "x"), (2, "a"), (2, "b")].map(|(micros, txt)| packet(1, MICROS + micros, txt, 30));
    let (smaller, larger) = if a.recency(&b).is_lt() {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(relay.put(&larger, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(relay.put(&larger, &[]).await.status, StatusCode::NO_CONTENT);
    for rejected in [older, smaller] {
        let answer = relay.put(&rejected, &[]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(answer.text().contains("newer packet"), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_outcome_has_its_status() {
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    for (outcome, kind, expected) in [
        (
            Ok(PutOutcome::TooFarAhead),
            ProblemType::TooFarAhead,
            "timestamp",
        ),
        (Ok(PutOutcome::Superseded), ProblemType::Superseded, "newer"),
        (
            Ok(PutOutcome::ConditionFailed),
            ProblemType::ConditionFailed,
            "condition",
        ),
        (
            Ok(PutOutcome::Forbidden),
            ProblemType::ForbiddenKey,
            "operators",
        ),
        (
            Ok(PutOutcome::Blocked),
            ProblemType::BlockedKey,
            "some time",
        ),
        (Ok(PutOutcome::Full), ProblemType::Full, "capacity"),
        (Err(PutError::NoLeader), ProblemType::NoLeader, "no leader"),
        (
            Err(PutError::Overloaded),
            ProblemType::Overloaded,
            "too many PUTs",
        ),
        (
            Err(PutError::Starting(NotReady::Opening)),
            ProblemType::Unavailable,
            "starting",
        ),
        (
            Err(PutError::ShuttingDown),
            ProblemType::Unavailable,
            "shutting down",
        ),
        (
            Err(PutError::DiskFull),
            ProblemType::Unavailable,
            "nearly full",
        ),
        (
            Err(PutError::Unknown),
            ProblemType::UnknownOutcome,
            "unknown",
        ),
    ] {
        relay.replica.answer_puts_with(outcome);
        let answer = relay.put(&packet, &[]).await;
        assert_eq!(answer.status, kind.status(), "{outcome:?}");
        let problem = answer.problem();
        assert_eq!(problem["type"], kind.uri(), "{outcome:?}");
        assert_eq!(problem["title"], kind.title(), "{outcome:?}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{detail}");
        assert_eq!(answer.field("cache-control"), "no-store");
    }
    relay.replica.answer_puts_with(Ok(PutOutcome::Unchanged));
    let answer = relay.put(&packet, &[]).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_of_the_replica_the_outcome_is_unknown_at_the_deadline() {
    let relay = Fixture::new(RelayConfig::default());
    relay.replica.answers_puts.send_replace(false);
    let started = tokio::time::Instant::now();
    let answer = relay.put(&packet(1, MICROS, "x", 30), &[]).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    let waited = started.elapsed();
    let deadline = RelayConfig::default().deadline;
    assert!(
        waited >= deadline && waited < deadline * 2,
        "waited {waited:?}"
    );
}

#[tokio::test]
async fn an_invalid_packet_is_rejected_with_the_reason() {
    let relay = Fixture::new(RelayConfig::default());
    let good = packet(1, MICROS, "x", 30);
    let key = good.key().to_string();
    let other = packet(2, MICROS, "x", 30);
    let mut forged = good.payload().to_vec();
    forged[70] ^= 1;
    for (body, expected) in [
        (vec![], "0 bytes"),
        (vec![0; 71], "71 bytes"),
        (good.payload()[..72].to_vec(), "DNS packet"),
        (
            good.payload()[..good.payload().len() - 1].to_vec(),
            "DNS packet",
        ),
        (forged, "signature"),
        (other.payload().to_vec(), "signature"),
    ] {
        let answer = relay.put_bytes(&key, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
    let weak_key = "y".repeat(51) + "y";
    let answer = relay.put_bytes(&weak_key, good.payload().clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("weak key"), "{}", answer.text());
    assert_eq!(*relay.replica.put_count.borrow(), 0);
}

#[tokio::test]
async fn a_body_of_more_than_1072_bytes_is_too_long() {
    let relay = Fixture::new(RelayConfig::default());
    let key = packet(1, MICROS, "x", 30).key().to_string();
    let at_limit = relay.put_bytes(&key, vec![0; PAYLOAD_SIZE_MAX]).await;
    assert_eq!(at_limit.status, StatusCode::BAD_REQUEST);
    for size in [PAYLOAD_SIZE_MAX + 1, 60_000, 1_000_000] {
        let answer = relay.put_bytes(&key, vec![0; size]).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{size}");
        assert!(answer.text().contains("1072"), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_invalid_key_is_rejected_with_the_reason() {
    let relay = Fixture::new(RelayConfig::default());
    for (path, expected) in [
        ("/pkarr/abc", "52 characters"),
        (&format!("/{}l", "y".repeat(51)), "position 51"),
        (&format!("/pkarr/{}l", "y".repeat(51)), "position 51"),
        (&format!("/pkarr/{}%FF", "y".repeat(49)), "position 49"),
    ] {
        for method in [Method::GET, Method::PUT] {
            let answer = relay.ask(request(method, path, &[], Body::empty())).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.text().contains(expected), "{}", answer.text());
        }
    }
}

/// A scraper or a scanner looks for something that is not here, and names no key.
#[tokio::test]
async fn a_path_that_cannot_be_a_key_is_unknown() {
    let relay = Fixture::new(RelayConfig::default());
    for path in ["/metrics", "/favicon.ico", "/v1", "/metrics/events"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = relay.ask(request(method, path, &[], Body::empty())).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
        let answer = relay.get(path, &[]).await;
        assert!(answer.text().contains("unknown-path"), "{}", answer.text());
    }
}

#[tokio::test]
async fn all_sixteen_spellings_and_upper_case_reach_one_packet() {
    const ALPHABET: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";
    let relay = Fixture::new(RelayConfig::default());
    let packet = packet(1, MICROS, "x", 30);
    let canonical = packet.key().to_string();
    let (stem, last) = canonical.split_at(51);
    let first = ALPHABET.find(last).unwrap();
    for alias in ALPHABET[first..first + 16].chars() {
        let spelling = format!("{stem}{alias}");
        let put = relay.put_bytes(&spelling, packet.payload().clone()).await;
        assert_eq!(put.status, StatusCode::NO_CONTENT, "{spelling}");
        for spelling in [spelling.to_uppercase(), spelling] {
            let got = relay.get(&format!("/pkarr/{spelling}"), &[]).await;
            assert_eq!(got.body, *packet.payload(), "{spelling}");
        }
    }
}

/// Every answer has the CORS headers, including errors.
#[tokio::test]
async fn browsers_may_use_every_answer() {
    let relay = limited(1, &[]);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    // `Answer::check` checks the headers.
    for (method, path, status) in [
        (Method::OPTIONS, &*path, StatusCode::NO_CONTENT),
        (Method::PUT, &path, StatusCode::BAD_REQUEST),
        (Method::PUT, &path, StatusCode::TOO_MANY_REQUESTS),
        (Method::GET, &path, StatusCode::NOT_FOUND),
        (Method::GET, "/no/such/path", StatusCode::NOT_FOUND),
        (Method::DELETE, &path, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, &path, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = relay
            .ask(request(method.clone(), path, &[], Body::empty()))
            .await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let asks = [("access-control-request-method", "PUT")];
    let preflight = request(Method::OPTIONS, &path, &asks, Body::empty());
    let preflight = relay.ask(preflight).await;
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    let allowed = preflight.field("access-control-allow-headers");
    for name in ["Authorization", "Content-Type", "If-Match", "If-None-Match"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    let delete = request(Method::DELETE, &path, &[], Body::empty());
    let answer = relay.ask(delete).await;
    assert_eq!(answer.field("allow"), "GET, HEAD, PUT, OPTIONS");
}

#[tokio::test]
async fn every_request_is_counted_once_by_its_outcome() {
    let registry = Registry::new();
    let metrics = RelayMetrics::register(&registry).unwrap();
    let replica = FakeReplica::new();
    let router = router(replica, RelayConfig::default(), metrics);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    let bodies = [packet.payload().clone(), packet.payload().clone()];
    for body in bodies.into_iter().chain([vec![0; 5].into()]) {
        let put = request(Method::PUT, &path, &[], body.into());
        router.clone().oneshot(put).await.unwrap();
    }
    for path in [&path, "/pkarr/abc"] {
        let get = request(Method::GET, path, &[], Body::empty());
        router.clone().oneshot(get).await.unwrap();
    }
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let mut counted: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("bucket") && !line.ends_with(" 0"))
        .filter(|line| !line.contains("_sum"))
        .collect();
    counted.sort();
    assert_eq!(
        counted,
        [
            "quorate_relay_gets_total{outcome=\"found\"} 1",
            "quorate_relay_gets_total{outcome=\"invalid\"} 1",
            "quorate_relay_put_duration_seconds_count 2",
            "quorate_relay_puts_total{outcome=\"invalid\"} 1",
            "quorate_relay_puts_total{outcome=\"stored\"} 1",
            "quorate_relay_puts_total{outcome=\"unchanged\"} 1",
        ]
    );
}
