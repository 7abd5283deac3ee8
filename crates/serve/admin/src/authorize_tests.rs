use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, StatusCode, header},
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
async fn over_tcp_all_but_health_and_metrics_needs_a_token_even_from_this_machine() {
    let admin = Fixture::new();
    for peer in [LOOPBACK, ELSEWHERE] {
        for path in ["/livez", "/readyz", "/healthz"] {
            let mut sent = get(path);
            let host = HeaderValue::from_static("balancer.example");
            sent.headers_mut().insert(header::HOST, host);
            let answer = admin.send(peer, sent).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
        }
        for path in [
            "/v1/openapi.json",
            "/v1/status",
            "/v1/members",
            "/v1/log-filter",
        ] {
            let answer = admin.send(peer, get(path)).await;
            assert_eq!(answer.slug(), "not-authorized", "{path}");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
        let reload = request("POST", "/v1/reload", "");
        assert_eq!(admin.send(peer, reload).await.slug(), "not-authorized");
    }
    assert_eq!(
        admin.send(ELSEWHERE, get("/metrics")).await.slug(),
        "not-authorized"
    );
}

/// nginx's `proxy_pass http://127.0.0.1:9100` sends its own address as `Host` and no field about
/// its client. HAProxy passes on the client's `Host`.
#[tokio::test]
async fn a_plain_proxy_pass_of_nginx_or_haproxy_operates_nothing() {
    let admin = Fixture::new();
    for host in ["127.0.0.1:9100", "203.0.113.5"] {
        for (method, path) in [
            ("GET", "/v1/status"),
            ("GET", "/v1/members"),
            ("POST", "/v1/members/invites"),
            ("POST", "/v1/reload"),
        ] {
            let mut sent = request(method, path, "");
            sent.headers_mut()
                .insert(header::HOST, host.parse().unwrap());
            let answer = admin.send(LOOPBACK, sent).await;
            assert_eq!(
                answer.slug(),
                "not-authorized",
                "{method} {path} for {host}"
            );
        }
    }
    assert_eq!(admin.replica.operators.take_requests(), []);
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
    let mut copy = request(original.method().as_str(), original.uri().path(), "");
    copy.headers_mut().clone_from(original.headers());
    copy
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
async fn metrics_need_a_token_on_loopback_if_configured() {
    let config = AdminConfig {
        loopback_needs_token: true,
        ..AdminConfig::default()
    };
    let admin = Fixture::over(FakeReplica::new(), &config);
    let answer = admin.send(LOOPBACK, get("/metrics")).await;
    assert_eq!(answer.slug(), "not-authorized");
    let answer = admin.send(LOOPBACK, get("/livez")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let request = with_token(get("/metrics"), &admin.bearer(Scope::Metrics));
    assert_eq!(admin.send(LOOPBACK, request).await.status, StatusCode::OK);
    assert_eq!(admin.get("/metrics").await.status, StatusCode::OK);
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
        let answer = admin.send(peer, get("/metrics")).await;
        assert_eq!(answer.status, expected, "{peer}");
    }
}

/// A web page whose name resolves to this machine reaches the node through a browser, and a proxy
/// on this machine forwards requests of anybody.
#[tokio::test]
async fn metrics_without_a_token_are_for_programs_on_this_machine() {
    let admin = Fixture::new();
    let field = |name: &'static str| HeaderName::from_static(name);
    for (field, value, expected) in [
        (header::HOST, "rebound.example:9100", 401),
        (header::HOST, "localhost.example", 401),
        (header::HOST, "localhost@rebound.example", 401),
        (header::HOST, "", 401),
        (header::HOST, "203.0.113.5", 401),
        (header::HOST, "10.0.0.1:9100", 401),
        (header::HOST, "127.0.0.1:9100", 200),
        (header::HOST, "127.0.0.2", 200),
        (header::HOST, "[::1]:9100", 200),
        (header::HOST, "LocalHost", 200),
        (header::FORWARDED, "for=192.0.2.1", 401),
        (field("x-forwarded-for"), "192.0.2.1", 401),
        (field("x-forwarded-proto"), "https", 401),
        (field("x-real-ip"), "192.0.2.1", 401),
        (header::VIA, "1.1 proxy", 401),
    ] {
        let mut sent = get("/metrics");
        sent.headers_mut()
            .insert(field.clone(), value.parse().unwrap());
        let with_bearer = with_token(copy_of(&sent), &admin.bearer(Scope::Read));
        let answer = admin.send(LOOPBACK, sent).await;
        assert_eq!(answer.status, expected, "{field}: {value}");
        let answer = admin.send(ELSEWHERE, with_bearer).await;
        assert_eq!(answer.status, StatusCode::OK, "{value}, with a token");
    }
    let mut twice = get("/metrics");
    let other = HeaderValue::from_static("rebound.example");
    twice.headers_mut().append(header::HOST, other);
    assert_eq!(admin.send(LOOPBACK, twice).await.slug(), "not-authorized");
    let mut absent = get("/metrics");
    absent.headers_mut().remove(header::HOST);
    assert_eq!(admin.send(LOOPBACK, absent).await.slug(), "not-authorized");
    let mut absolute = get("/metrics");
    *absolute.uri_mut() = "http://rebound.example/metrics".parse().unwrap();
    assert_eq!(
        admin.send(LOOPBACK, absolute).await.slug(),
        "not-authorized"
    );
}

#[tokio::test]
async fn a_request_without_a_peer_address_is_not_from_loopback() {
    use tower::ServiceExt;
    let admin = Fixture::new();
    let response = admin.router.clone().oneshot(get("/metrics")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_socket_needs_no_token() {
    let admin = Fixture::new();
    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/metrics"),
        ("GET", "/v1/openapi.json"),
        ("POST", "/v1/reload"),
    ] {
        for host in [None, Some(""), Some("localhost"), Some("[::1]:1")] {
            let mut sent = request(method, path, "");
            sent.headers_mut().remove(header::HOST);
            if let Some(host) = host {
                sent.headers_mut()
                    .insert(header::HOST, host.parse().unwrap());
            }
            let answer = admin.send_on_socket(sent).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} for {host:?}");
        }
    }
    // A token is checked there too, so that a wrong one is noticed.
    let read = with_token(
        request("POST", "/v1/reload", ""),
        &admin.bearer(Scope::Read),
    );
    assert_eq!(admin.send_on_socket(read).await.slug(), "scope");
    let unknown = with_token(get("/v1/status"), "Bearer quorate-admin-AAAA");
    assert_eq!(admin.send_on_socket(unknown).await.slug(), "not-authorized");
}

/// A proxy that forwards to the socket passes on what a browser sent.
#[tokio::test]
async fn the_socket_answers_no_web_page() {
    let admin = Fixture::new();
    for (field, value) in [
        (header::HOST, "quorate.example"),
        (header::HOST, "203.0.113.5"),
        (header::ORIGIN, "http://localhost"),
        (header::ORIGIN, "null"),
    ] {
        for (method, path) in [("GET", "/v1/status"), ("POST", "/v1/reload")] {
            let mut sent = request(method, path, "");
            sent.headers_mut()
                .insert(field.clone(), value.parse().unwrap());
            let answer = admin.send_on_socket(sent).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{field}: {value}");
            assert_eq!(answer.slug(), "foreign");
            assert!(answer.problem().detail.contains(value), "{value}");
        }
    }
    // A load balancer may check the health there too.
    let mut health = get("/readyz");
    let host = HeaderValue::from_static("quorate.example");
    health.headers_mut().insert(header::HOST, host);
    let answer = admin.send_on_socket(health).await;
    assert_eq!(answer.status, StatusCode::OK);
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
async fn a_program_on_this_machine_may_read_metrics_over_a_real_connection() {
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
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
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
