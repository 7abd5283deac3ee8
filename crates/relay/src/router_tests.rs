use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use quorate_fake::{FakeReplica, READ_ERROR, packet, received_now};
use quorate_http::with_cors;
use quorate_limit::{ClientLimit, Config as LimitConfig, TrustedProxies};
use quorate_metrics::Registry;
use quorate_packet::{PAYLOAD_SIZE_MAX, SignedPacket};
use quorate_replica::{PutError, PutOutcome};
use tower::ServiceExt;

use super::*;

const MICROS: u64 = 1_700_000_000_000_000;

/// A relay with its replica, asked without sockets.
struct Fixture {
    replica: Arc<FakeReplica>,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Fixture {
    fn new(config: Config) -> Self {
        let replica = FakeReplica::new();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let router = with_cors(router(replica.clone(), config, metrics));
        Self { replica, router }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
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
    /// What holds for every answer.
    fn check(&self) {
        assert_eq!(self.field("access-control-allow-origin"), "*");
        let methods = self.field("access-control-allow-methods");
        for method in ["GET", "PUT", "OPTIONS"] {
            assert!(methods.contains(method), "{methods}");
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

fn from_peer(mut request: Request<Body>, peer: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

#[tokio::test]
async fn what_is_put_is_read_byte_for_byte_at_both_paths() {
    let relay = Fixture::new(Config::default());
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
            "an old one makes clients drop the packet"
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
    let relay = Fixture::new(Config::default());
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/{}", packet.key());
    let put = request(Method::PUT, &path, &[], packet.payload().clone().into());
    assert_eq!(relay.ask(put).await.status, StatusCode::NO_CONTENT);
    assert_eq!(relay.get(&path, &[]).await.body, *packet.payload());
}

#[tokio::test]
async fn the_same_bytes_are_taken_again_and_older_ones_are_not() {
    let relay = Fixture::new(Config::default());
    let [older, a, b] =
        [(1, "x"), (2, "a"), (2, "b")].map(|(micros, txt)| packet(1, MICROS + micros, txt, 30));
    let (smaller, larger) = if a.recency(&b).is_lt() {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(relay.put(&larger, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(relay.put(&larger, &[]).await.status, StatusCode::NO_CONTENT);
    for refused in [older, smaller] {
        let answer = relay.put(&refused, &[]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        assert!(answer.text().contains("newer packet"), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_outcome_has_its_status() {
    let relay = Fixture::new(Config::default());
    let packet = packet(1, MICROS, "x", 30);
    for (outcome, status, said) in [
        (
            Ok(PutOutcome::TooFarAhead),
            StatusCode::BAD_REQUEST,
            "timestamp",
        ),
        (Ok(PutOutcome::Superseded), StatusCode::CONFLICT, "newer"),
        (Ok(PutOutcome::Unchanged), StatusCode::NO_CONTENT, ""),
        (
            Err(PutError::NoLeader),
            StatusCode::SERVICE_UNAVAILABLE,
            "no leader",
        ),
        (
            Err(PutError::Overloaded),
            StatusCode::SERVICE_UNAVAILABLE,
            "too many PUTs",
        ),
        (
            Err(PutError::ShuttingDown),
            StatusCode::SERVICE_UNAVAILABLE,
            "shutting down",
        ),
        (
            Err(PutError::Unknown),
            StatusCode::GATEWAY_TIMEOUT,
            "unknown",
        ),
    ] {
        relay.replica.answer_puts_with(outcome);
        let answer = relay.put(&packet, &[]).await;
        assert_eq!(answer.status, status, "{outcome:?}");
        assert!(answer.text().contains(said), "{}", answer.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_never_answers_is_unknown_at_the_deadline() {
    let relay = Fixture::new(Config::default());
    relay.replica.answers_puts.send_replace(false);
    let begun = tokio::time::Instant::now();
    let answer = relay.put(&packet(1, MICROS, "x", 30), &[]).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    let waited = begun.elapsed();
    let deadline = Config::default().deadline;
    assert!(
        waited >= deadline && waited < deadline * 2,
        "waited {waited:?}"
    );
}

/// Nothing was proposed, so nothing is unknown.
#[tokio::test(start_paused = true)]
async fn a_condition_that_cannot_be_checked_in_time_stores_nothing_for_sure() {
    let relay = Fixture::new(Config::default());
    relay.replica.answers_linearize.send_replace(false);
    let fields = [
        ("if-match", "17"),
        ("if-unmodified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ];
    for field in fields {
        let begun = tokio::time::Instant::now();
        let answer = relay.put(&packet(1, MICROS, "x", 30), &[field]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.text().contains("not stored"), "{}", answer.text());
        let waited = begun.elapsed();
        let deadline = Config::default().deadline;
        assert!(
            waited >= deadline && waited < deadline * 2,
            "waited {waited:?}"
        );
    }
    assert_eq!(*relay.replica.put_count.borrow(), 0);
}

/// The replica knows what was proposed, so it has to answer before the relay gives up.
#[tokio::test(start_paused = true)]
async fn what_the_check_of_a_condition_took_the_replica_has_no_more() {
    let relay = Fixture::new(Config::default());
    let (deadline, check) = (
        Config::default().deadline,
        std::time::Duration::from_secs(4),
    );
    relay.replica.answers_linearize.send_replace(false);
    let check_ends = async {
        tokio::time::sleep(check).await;
        relay.replica.answers_linearize.send_replace(true);
    };
    let packet = packet(1, MICROS, "x", 30);
    let condition = [("if-unmodified-since", "Tue, 14 Nov 2023 22:13:20 GMT")];
    let (answer, ()) = tokio::join!(relay.put(&packet, &condition), check_ends);
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let time_left = *relay.replica.put_time_left.borrow();
    assert!(check + time_left < deadline, "{time_left:?} were left");
}

#[tokio::test]
async fn what_is_no_packet_is_refused_with_its_reason() {
    let relay = Fixture::new(Config::default());
    let good = packet(1, MICROS, "x", 30);
    let key = good.key().to_string();
    let other = packet(2, MICROS, "x", 30);
    let mut forged = good.payload().to_vec();
    forged[70] ^= 1;
    for (body, said) in [
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
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let weak_key = "y".repeat(51) + "y";
    let answer = relay.put_bytes(&weak_key, good.payload().clone()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("weak key"), "{}", answer.text());
    assert_eq!(*relay.replica.put_count.borrow(), 0);
}

#[tokio::test]
async fn a_body_of_more_than_1072_bytes_is_too_long() {
    let relay = Fixture::new(Config::default());
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
async fn a_key_that_is_none_is_refused_with_its_reason() {
    let relay = Fixture::new(Config::default());
    for (path, said) in [
        ("/pkarr/abc", "52 characters"),
        ("/favicon.ico", "52 characters"),
        (&format!("/pkarr/{}l", "y".repeat(51)), "position 51"),
        (&format!("/pkarr/{}%FF", "y".repeat(49)), "position 49"),
    ] {
        for method in [Method::GET, Method::PUT] {
            let answer = relay.ask(request(method, path, &[], Body::empty())).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(answer.text().contains(said), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn all_sixteen_spellings_and_upper_case_reach_one_packet() {
    const ALPHABET: &str = "ybndrfg8ejkmcpqxot1uwisza345h769";
    let relay = Fixture::new(Config::default());
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

#[tokio::test]
async fn a_condition_that_names_another_version_fails_the_put() {
    let relay = Fixture::new(Config::default());
    let stored = packet(1, MICROS + 999_999, "x", 30);
    let newer = packet(1, MICROS + 5_000_000, "y", 30);
    let path = format!("/{}", stored.key());
    relay.put(&stored, &[]).await;
    let etag = relay.get(&path, &[]).await.field("etag").to_owned();
    let bare = stored.timestamp().to_string();
    let other = (stored.timestamp().as_micros() - 1).to_string();
    let on_time = "Tue, 14 Nov 2023 22:13:20 GMT";
    let before = "Tue, 14 Nov 2023 22:13:19 GMT";

    for fields in [
        [("if-match", &*other)],
        [("if-match", "\"x\"")],
        [("if-unmodified-since", before)],
    ] {
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{fields:?}");
        let repeated = relay.put(&stored, &fields).await;
        assert_eq!(
            repeated.status,
            StatusCode::NO_CONTENT,
            "a repetition is no conflict"
        );
    }
    let quoted = format!("\"1\", \"{bare}\"");
    for (seconds, fields) in [
        (6, [("if-match", &*bare)]),
        (7, [("if-unmodified-since", on_time)]),
        (8, [("if-match", &*quoted)]),
        (9, [("if-match", &*etag)]),
        (10, [("if-match", "*")]),
    ] {
        relay.replica.store(received_now(stored.clone()));
        let newer = packet(1, MICROS + seconds * 1_000_000, "y", 30);
        let answer = relay.put(&newer, &fields).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{fields:?}");
    }
}

#[tokio::test]
async fn a_condition_on_a_key_without_a_packet_names_no_other_version() {
    let relay = Fixture::new(Config::default());
    let first = packet(1, MICROS, "x", 30);
    let any = relay.put(&first, &[("if-match", "*")]).await;
    assert_eq!(any.status, StatusCode::PRECONDITION_FAILED);
    let named = relay.put(&first, &[("if-match", "17")]).await;
    assert_eq!(named.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_condition_is_compared_with_what_is_committed_not_with_what_is_applied() {
    let relay = Fixture::new(Config::default());
    let [old, committed, new] = [1, 2, 3].map(|micros| packet(1, MICROS + micros, "x", 30));
    relay.put(&old, &[]).await;
    relay.replica.commit(received_now(committed));
    let seen = old.timestamp().to_string();
    let answer = relay.put(&new, &[("if-match", &seen)]).await;
    assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
    relay.replica.fail_linearize();
    let answer = relay.put(&new, &[("if-match", &seen)]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = relay.put(&new, &[]).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "without a condition");
}

#[tokio::test]
async fn a_reader_who_has_the_packet_is_told_so() {
    let relay = Fixture::new(Config::default());
    let stored = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", stored.key());
    relay.put(&stored, &[]).await;
    let etag = relay.get(&path, &[]).await.field("etag").to_owned();
    let weak = format!("\"0-0\", W/{etag}");
    for fields in [
        [("if-none-match", &*etag)],
        [("if-none-match", &*weak)],
        [("if-none-match", "*")],
        [("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT")],
    ] {
        let answer = relay.get(&path, &fields).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{fields:?}");
        assert_eq!(answer.field("etag"), etag);
        assert!(answer.max_age() <= 30);
        assert!(answer.body.is_empty());
    }
    let ignored = [
        ("if-none-match", "\"1\""),
        ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ];
    assert_eq!(relay.get(&path, &ignored).await.status, StatusCode::OK);
    for date in ["Tue, 14 Nov 2023 22:13:19 GMT", "yesterday", ""] {
        let answer = relay.get(&path, &[("if-modified-since", date)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{date}");
    }
}

#[tokio::test]
async fn two_packets_of_one_second_are_never_taken_for_each_other() {
    let relay = Fixture::new(Config::default());
    let [first, second] = [1, 2].map(|micros| packet(1, MICROS + micros, "x", 30));
    let path = format!("/pkarr/{}", first.key());
    relay.put(&first, &[]).await;
    let seen = relay.get(&path, &[]).await;
    relay.put(&second, &[]).await;
    for fields in [
        ("if-modified-since", seen.field("last-modified")),
        ("if-none-match", seen.field("etag")),
    ] {
        let answer = relay.get(&path, &[fields]).await;
        assert_eq!(answer.body, *second.payload(), "{fields:?}");
    }
}

#[tokio::test]
async fn packets_of_one_timestamp_have_different_tags() {
    let relay = Fixture::new(Config::default());
    let path = format!("/{}", packet(1, MICROS, "a", 30).key());
    let mut tags = Vec::new();
    for txt in ["a", "b"] {
        relay
            .replica
            .store(received_now(packet(1, MICROS, txt, 30)));
        tags.push(relay.get(&path, &[]).await.field("etag").to_owned());
    }
    assert_ne!(tags[0], tags[1]);
}

#[tokio::test]
async fn a_cache_may_keep_a_packet_as_long_as_it_stays_fresh() {
    let relay = Fixture::new(Config::default());
    let path = format!("/{}", packet(1, MICROS, "x", 0).key());
    for (ttl, age_secs, max_age) in [
        (300, 0, 300),
        (300, 100, 200),
        (300, 1000, 0),
        (0, 0, 10),
        (86_400, 0, 3600),
    ] {
        let mut stored = received_now(packet(1, MICROS, "x", ttl));
        stored.received.0 -= age_secs * 1000;
        relay.replica.store(stored);
        let got = relay.get(&path, &[]).await.max_age();
        // A second may pass between the two.
        assert!(
            got <= max_age && got + 2 > max_age,
            "{got} is not {max_age}"
        );
    }
}

#[tokio::test]
async fn a_missing_packet_is_looked_for_again_soon() {
    let relay = Fixture::new(Config::default());
    let path = format!("/pkarr/{}", packet(1, MICROS, "x", 30).key());
    let answer = relay.get(&path, &[]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!((1..=10).contains(&answer.max_age()));
    assert!(answer.text().contains("no packet"));
}

#[tokio::test]
async fn a_store_that_fails_is_never_a_missing_packet() {
    let relay = Fixture::new(Config::default());
    let packet = packet(1, MICROS, "x", 30);
    relay.put(&packet, &[]).await;
    relay.replica.fail_reads(true);
    let path = format!("/pkarr/{}", packet.key());
    let answer = relay.get(&path, &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.field("cache-control"), "no-store");
    assert!(
        !answer.text().contains(READ_ERROR),
        "what it is, is not the client's concern"
    );
}

#[tokio::test]
async fn network_only_sees_what_is_committed_and_the_other_policies_do_not_wait() {
    let relay = Fixture::new(Config::default());
    let packet = packet(1, MICROS, "x", 30);
    let path = |policy| format!("/pkarr/{}?a=b&policy={policy}", packet.key());
    relay.replica.commit(received_now(packet.clone()));
    for policy in ["CacheOnly", "CacheFirst"] {
        let answer = relay.get(&path(policy), &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{policy}");
        assert_eq!(answer.field("quorate-consistency"), "stale");
    }
    let answer = relay.get(&path("NetworkOnly"), &[]).await;
    assert_eq!(answer.body, *packet.payload());
    assert_eq!(answer.field("quorate-consistency"), "linearizable");
    assert_eq!(answer.field("quorate-known-leader"), "true");
    assert_eq!(answer.field("quorate-applied-index"), "41");
    assert_eq!(answer.field("cache-control"), "no-cache");
    let answer = relay.get(&path("Whatever"), &[]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_leader_only_linearizable_reads_fail() {
    let relay = Fixture::new(Config::default());
    let packet = packet(1, MICROS, "x", 30);
    relay.replica.store(received_now(packet.clone()));
    relay.replica.fail_linearize();
    let path = format!("/pkarr/{}?policy=", packet.key());
    let answer = relay.get(&(path.clone() + "NetworkOnly"), &[]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = relay.get(&(path + "CacheFirst"), &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.field("quorate-known-leader"), "false");
}

fn limited(burst: u32, proxies: &[&str]) -> Fixture {
    Fixture::new(Config {
        limit: Some(ClientLimit::new(&LimitConfig {
            put_burst: burst,
            put_per_sec: 1,
            client_count_max: 10,
            ..LimitConfig::default()
        })),
        trusted_proxies: TrustedProxies::parse(proxies).unwrap(),
        ..Config::default()
    })
}

#[tokio::test]
async fn only_puts_take_quota_and_each_client_has_its_own() {
    let relay = limited(2, &[]);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    let ask = async |method, peer| {
        let body = packet.payload().clone().into();
        let request = from_peer(request(method, &path, &[], body), peer);
        relay.ask(request).await.status
    };
    for _ in 0..10 {
        assert_eq!(
            ask(Method::OPTIONS, "192.0.2.1:5").await,
            StatusCode::NO_CONTENT
        );
        let got = ask(Method::GET, "192.0.2.1:5").await;
        assert_eq!(got, StatusCode::NOT_FOUND);
    }
    let stored = StatusCode::NO_CONTENT;
    let refused = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(ask(Method::PUT, "192.0.2.1:5").await, stored);
    assert_eq!(ask(Method::PUT, "192.0.2.1:6").await, stored);
    assert_eq!(ask(Method::PUT, "192.0.2.1:7").await, refused);
    assert_eq!(ask(Method::PUT, "192.0.2.2:5").await, stored);
    assert_eq!(ask(Method::GET, "192.0.2.1:5").await, StatusCode::OK);
}

#[tokio::test]
async fn a_client_cannot_choose_the_address_it_is_limited_by() {
    let relay = limited(1, &["10.0.0.0/8"]);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    let put = async |peer, forwarded_for: &str| {
        let fields = [("x-forwarded-for", forwarded_for)];
        let body = packet.payload().clone().into();
        let request = from_peer(request(Method::PUT, &path, &fields, body), peer);
        relay.ask(request).await.status
    };
    let stored = StatusCode::NO_CONTENT;
    let refused = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(put("192.0.2.1:1", "1.1.1.1").await, stored);
    assert_eq!(put("192.0.2.1:1", "2.2.2.2").await, refused);
    assert_eq!(put("10.0.0.1:1", "3.3.3.3, 192.0.2.5").await, stored);
    assert_eq!(put("10.0.0.1:1", "4.4.4.4, 192.0.2.5").await, refused);
    assert_eq!(put("10.0.0.1:1", "4.4.4.4, 192.0.2.6").await, stored);
}

#[tokio::test]
async fn browsers_may_use_every_answer() {
    let relay = limited(1, &[]);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    // What all answers have, `Answer::check` sees.
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
    let preflight = request(Method::OPTIONS, &path, &[], Body::empty());
    let preflight = relay.ask(preflight).await;
    let allowed = preflight.field("access-control-allow-headers");
    for name in ["Content-Type", "If-Match", "If-Modified-Since"] {
        assert!(allowed.contains(name), "{allowed}");
    }
    let exposed = preflight.field("access-control-expose-headers");
    for name in ["ETag", "Retry-After", "Quorate-Applied-Index"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let delete = request(Method::DELETE, &path, &[], Body::empty());
    let answer = relay.ask(delete).await;
    assert_eq!(answer.field("allow"), "GET, HEAD, PUT, OPTIONS");
}

#[tokio::test]
async fn every_request_is_counted_once_by_its_outcome() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let replica = FakeReplica::new();
    let router = router(replica, Config::default(), metrics);
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    let bodies = [packet.payload().clone(), packet.payload().clone()];
    for body in bodies.into_iter().chain([vec![0; 5].into()]) {
        let put = request(Method::PUT, &path, &[], body.into());
        router.clone().oneshot(put).await.unwrap();
    }
    for path in [&path, "/abc"] {
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
