use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
};
use quorate_fake::FakeReplica;
use quorate_http::HttpListeners;
use quorate_http::listener::{ListenerMetrics, ListenerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    AdminConfig, Scope, TokenList,
    fixture::{ELSEWHERE, Fixture, LOOPBACK, request},
};

fn with_token(mut request: Request<Body>, authorization: &str) -> Request<Body> {
    let value = HeaderValue::from_str(authorization).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn get(path: &str) -> Request<Body> {
    request("GET", path, "")
}

#[tokio::test]
async fn from_another_machine_all_but_health_needs_a_token() {
    let admin = Fixture::new();
    for path in ["/livez", "/readyz", "/healthz", "/v1/openapi.json"] {
        let answer = admin.send(ELSEWHERE, get(path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    for path in ["/metrics", "/v1/status", "/v1/members", "/v1/log-filter"] {
        let answer = admin.send(ELSEWHERE, get(path)).await;
        assert_eq!(answer.slug(), "not-authorized", "{path}");
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    let reload = request("POST", "/v1/reload", "");
    assert_eq!(admin.send(ELSEWHERE, reload).await.slug(), "not-authorized");
}

#[tokio::test]
async fn a_token_permits_its_scope() {
    let admin = Fixture::new();
    for (scope, metrics, status, reload) in [
        (Scope::Metrics, 200, 403, 403),
        (Scope::Read, 200, 200, 403),
        (Scope::Operate, 200, 200, 200),
    ] {
        for (request, expected) in [
            (get("/metrics"), metrics),
            (get("/v1/status"), status),
            (request("POST", "/v1/reload", ""), reload),
        ] {
            for peer in [ELSEWHERE, LOOPBACK] {
                let request = with_token(copy_of(&request), &admin.bearer(scope));
                let answer = admin.send(peer, request).await;
                assert_eq!(answer.status, expected, "{scope} from {peer}");
                if expected == 403 {
                    assert_eq!(answer.slug(), "scope");
                    assert!(answer.problem().detail.contains("this needs"));
                }
            }
        }
    }
}

fn copy_of(original: &Request<Body>) -> Request<Body> {
    request(original.method().as_str(), original.uri().path(), "")
}

#[tokio::test]
async fn an_unknown_token_is_rejected_even_on_loopback() {
    let admin = Fixture::new();
    let good = admin.bearer(Scope::Operate);
    for bad in [
        "Bearer quorate-admin-AAAA",
        "Bearer",
        "",
        &good.replace("Bearer", "Basic"),
        &good[..good.len() - 1],
    ] {
        let answer = admin
            .send(LOOPBACK, with_token(get("/v1/status"), bad))
            .await;
        assert_eq!(answer.slug(), "not-authorized", "{bad}");
    }
    let good = good.replace("Bearer ", "bearer  ");
    let answer = admin
        .send(LOOPBACK, with_token(get("/v1/status"), &good))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "the scheme has no case");
}

#[tokio::test]
async fn replaced_tokens_are_rejected() {
    let admin = Fixture::new();
    let bearer = admin.bearer(Scope::Read);
    let request = || with_token(get("/v1/status"), &bearer);
    assert_eq!(
        admin.send(ELSEWHERE, request()).await.status,
        StatusCode::OK
    );
    admin.tokens.replace(TokenList::default());
    assert_eq!(
        admin.send(ELSEWHERE, request()).await.slug(),
        "not-authorized"
    );
}

#[tokio::test]
async fn loopback_needs_a_token_if_configured() {
    let config = AdminConfig {
        loopback_needs_token: true,
        ..AdminConfig::default()
    };
    let admin = Fixture::over(FakeReplica::new(), &config);
    assert_eq!(admin.get("/v1/status").await.slug(), "not-authorized");
    assert_eq!(admin.get("/livez").await.status, StatusCode::OK);
    let request = with_token(get("/v1/status"), &admin.bearer(Scope::Read));
    assert_eq!(admin.send(LOOPBACK, request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_spelling_of_loopback_is_loopback() {
    let admin = Fixture::new();
    for (peer, expected) in [
        ("[::1]:1", 200),
        ("127.8.9.10:1", 200),
        ("[::ffff:127.0.0.1]:1", 200),
        ("[::ffff:192.0.2.1]:1", 401),
        ("10.0.0.1:1", 401),
        ("[fe80::1]:1", 401),
    ] {
        let answer = admin.send(peer, get("/v1/status")).await;
        assert_eq!(answer.status, expected, "{peer}");
    }
}

/// A web page whose name resolves to this machine reaches the node through a browser, and a proxy
/// on this machine forwards requests of anybody.
#[tokio::test]
async fn requests_forwarded_by_this_machine_need_a_token() {
    let admin = Fixture::new();
    for (field, value, expected) in [
        (header::HOST, "rebound.example:9100", 401),
        (header::HOST, "localhost.example", 401),
        (header::HOST, "", 401),
        (header::HOST, "127.0.0.1:9100", 200),
        (header::HOST, "[::1]:9100", 200),
        (header::HOST, "LocalHost", 200),
        (header::FORWARDED, "for=192.0.2.1", 401),
        ("x-forwarded-for".parse().unwrap(), "192.0.2.1", 401),
        (header::VIA, "1.1 proxy", 401),
    ] {
        let mut request = get("/v1/status");
        let name = field.clone();
        request.headers_mut().insert(name, value.parse().unwrap());
        let bearer = admin.bearer(Scope::Read);
        let mut with_bearer = with_token(get("/v1/status"), &bearer);
        with_bearer
            .headers_mut()
            .insert(field, value.parse().unwrap());
        let answer = admin.send(LOOPBACK, request).await;
        assert_eq!(answer.status, expected, "{value}");
        let answer = admin.send(LOOPBACK, with_bearer).await;
        assert_eq!(answer.status, StatusCode::OK, "{value}, with a token");
    }
    let mut twice = get("/v1/status");
    let other = HeaderValue::from_static("rebound.example");
    twice.headers_mut().append(header::HOST, other);
    assert_eq!(admin.send(LOOPBACK, twice).await.slug(), "not-authorized");
}

#[tokio::test]
async fn a_request_without_a_peer_address_is_not_from_loopback() {
    use tower::ServiceExt;
    let admin = Fixture::new();
    let response = admin.router.clone().oneshot(get("/v1/status")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let admin = Fixture::new();
    for path in ["/", "/v1", "/v1/nothing", "/v2/status", "/v1/members/a/b"] {
        assert_eq!(admin.get(path).await.slug(), "unknown-path", "{path}");
    }
    for (method, path, allowed) in [
        ("POST", "/v1/status", "GET,HEAD"),
        ("GET", "/v1/reload", "POST"),
        ("PUT", "/livez", "GET,HEAD"),
    ] {
        let answer = admin.ask(method, path, "").await;
        assert_eq!(answer.slug(), "unknown-method", "{path}");
        assert_eq!(answer.headers[header::ALLOW], allowed);
    }
}

/// The server adds the address of the peer to each request.
#[tokio::test]
async fn a_program_on_this_machine_is_authorized_over_a_real_connection() {
    let admin = Fixture::new();
    let config = quorate_http::HttpConfig::new("127.0.0.1:0".parse().unwrap());
    let listener: HttpListeners = config.bind().await.unwrap();
    let metrics = ListenerMetrics::register(&prometheus::Registry::new()).unwrap();
    let server = listener.serve(
        admin.router.clone(),
        ListenerName::Admin,
        &Arc::new(metrics),
    );
    for (host, expected) in [("localhost", "200 OK"), ("x.example", "401 Unauthorized")] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let request =
            format!("GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}\r\n")),
            "{answer}"
        );
    }
    server.shutdown().await;
}
