//! Rate limits of clients, and how clients are identified.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use quorate_http::ClientRules;
use quorate_limit::{LimitConfig, LimitMetrics, Networks, RequestLimits};

use super::*;

fn from_peer(mut request: Request<Body>, peer: &str) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

fn limit_config(put_burst: u32) -> LimitConfig {
    LimitConfig {
        put_burst,
        put_per_sec: 1,
        client_count_max: 10,
        ..LimitConfig::default()
    }
}

fn rules(config: &LimitConfig, proxies: &[&str]) -> ClientRules {
    let metrics = LimitMetrics::register(&Registry::new()).unwrap();
    let limits = RequestLimits::new(config, &metrics);
    ClientRules::new(limits, Networks::parse(proxies).unwrap())
}

pub(super) fn limited(burst: u32, proxies: &[&str]) -> Fixture {
    Fixture::new(RelayConfig {
        rules: rules(&limit_config(burst), proxies),
        ..RelayConfig::default()
    })
}

#[tokio::test]
async fn each_client_has_its_own_limit_of_puts() {
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
    let rejected = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(ask(Method::PUT, "192.0.2.1:5").await, stored);
    assert_eq!(ask(Method::PUT, "192.0.2.1:6").await, stored);
    assert_eq!(ask(Method::PUT, "192.0.2.1:7").await, rejected);
    assert_eq!(ask(Method::PUT, "192.0.2.2:5").await, stored);
    assert_eq!(ask(Method::GET, "192.0.2.1:5").await, StatusCode::OK);
}

#[tokio::test]
async fn a_client_cannot_choose_the_address_that_is_limited() {
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
    let rejected = StatusCode::TOO_MANY_REQUESTS;
    assert_eq!(put("192.0.2.1:1", "1.1.1.1").await, stored);
    assert_eq!(put("192.0.2.1:1", "2.2.2.2").await, rejected);
    assert_eq!(put("10.0.0.1:1", "3.3.3.3, 192.0.2.5").await, stored);
    assert_eq!(put("10.0.0.1:1", "4.4.4.4, 192.0.2.5").await, rejected);
    assert_eq!(put("10.0.0.1:1", "4.4.4.4, 192.0.2.6").await, stored);
}

#[tokio::test]
async fn changed_rules_apply_to_the_next_request() {
    let shared = rules(&limit_config(1), &[]);
    let relay = Fixture::new(RelayConfig {
        rules: shared.clone(),
        ..RelayConfig::default()
    });
    let packet = packet(1, MICROS, "x", 30);
    let path = format!("/pkarr/{}", packet.key());
    let put = async || {
        let fields = [("x-forwarded-for", "192.0.2.9")];
        let body = packet.payload().clone().into();
        let request = from_peer(request(Method::PUT, &path, &fields, body), "10.0.0.1:1");
        relay.ask(request).await.status
    };
    assert_eq!(put().await, StatusCode::NO_CONTENT);
    assert_eq!(put().await, StatusCode::TOO_MANY_REQUESTS);
    let proxies = Networks::parse(["10.0.0.0/8"]).unwrap();
    shared.trusted_proxies.store(Arc::new(proxies));
    assert_eq!(put().await, StatusCode::NO_CONTENT, "it is another client");
    assert_eq!(put().await, StatusCode::TOO_MANY_REQUESTS);
    let metrics = LimitMetrics::register(&Registry::new()).unwrap();
    let off = LimitConfig {
        enabled: false,
        ..limit_config(1)
    };
    shared.limits.replace(&off, &metrics);
    assert_eq!(put().await, StatusCode::NO_CONTENT);
}
