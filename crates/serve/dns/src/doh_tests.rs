use axum::{
    BoxError,
    body::{Body, to_bytes},
    http::{Method, StatusCode, request},
};
use bytes::Bytes;
use hickory_proto::{op::ResponseCode, rr::RecordType};
use quorate_http::{Routes, with_cors};
use quorate_limit::{LimitConfig, LimitMetrics, Networks, RequestLimits};
use quorate_metrics::Registry;

use super::*;
use crate::fixture::*;

async fn send(
    request: request::Builder,
    body: impl Into<Body>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let router = with_cors(doh_router(Fixture::new().responder, ClientRules::default()));
    let request = request.body(body.into()).unwrap();
    let (parts, body) = router.answer(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    assert_eq!(parts.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    (parts.status, parts.headers, body)
}

fn path(message: &[u8]) -> String {
    format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(message))
}

fn get_request(message: &[u8]) -> request::Builder {
    Request::get(path(message))
}

fn post_request(content_type: &str) -> request::Builder {
    Request::post("/dns-query").header(header::CONTENT_TYPE, content_type)
}

#[track_caller]
fn check_alice(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], DNS_MESSAGE);
    assert_eq!(headers[header::CACHE_CONTROL], "max-age=30");
    assert_eq!(parse(body).answers.len(), 1);
}

#[tokio::test]
async fn get_and_post_have_equal_responses() {
    let (status, headers, by_get) = send(get_request(&alice_query()), Body::empty()).await;
    check_alice(status, &headers, &by_get);
    let (status, headers, by_post) = send(post_request(DNS_MESSAGE), alice_query()).await;
    check_alice(status, &headers, &by_post);
    assert_eq!(by_get, by_post);
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let (_, of_get, body) = send(get_request(&alice_query()), Body::empty()).await;
    let head = get_request(&alice_query()).method(Method::HEAD);
    let (status, of_head, nothing) = send(head, Body::empty()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(nothing.is_empty());
    for field in [
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::CONTENT_LENGTH,
    ] {
        assert_eq!(of_get.get(&field), of_head.get(&field), "{field}");
    }
    assert_eq!(of_head[header::CONTENT_LENGTH], body.len().to_string());
}

/// RFC 8484, section 4.2.1; section 5.1 defines how long it may be cached.
#[tokio::test]
async fn every_rcode_is_a_200() {
    let nobody = query(&iroh(NOBODY, "dns.test."), RecordType::TXT);
    let damaged = query(&iroh(DAMAGED, "dns.test."), RecordType::TXT);
    let referred = query(&format!("sub.{CUT}.dns.test."), RecordType::A);
    let elsewhere = query("google.com.", RecordType::A);
    let cut = alice_query()[..30].to_vec();
    for (message, rcode, cache_control) in [
        (nobody, ResponseCode::NXDomain, "max-age=50"),
        (referred, ResponseCode::NoError, "max-age=60"),
        (damaged, ResponseCode::ServFail, "no-store"),
        (elsewhere, ResponseCode::Refused, "no-store"),
        (cut, ResponseCode::FormErr, "no-store"),
    ] {
        let (status, headers, body) = send(get_request(&message), Body::empty()).await;
        assert_eq!(status, StatusCode::OK, "{rcode}");
        assert_eq!(parse(&body).response_code, rcode);
        assert_eq!(headers[header::CACHE_CONTROL], cache_control, "{rcode}");
    }
}

/// curl sends `*/*` by default.
#[tokio::test]
async fn clients_that_accept_anything_are_served() {
    for accept in [
        "*/*",
        "application/*",
        "application/dns-message",
        "Application/DNS-Message; q=0.5",
        "text/html, application/xhtml+xml, */*;q=0.8",
    ] {
        let request = get_request(&alice_query()).header(header::ACCEPT, accept);
        let (status, headers, body) = send(request, Body::empty()).await;
        check_alice(status, &headers, &body);
    }
    for accept in ["text/html", "application/xml, image/png", ""] {
        let request = get_request(&alice_query()).header(header::ACCEPT, accept);
        let (status, ..) = send(request, Body::empty()).await;
        assert_eq!(status, StatusCode::NOT_ACCEPTABLE, "{accept}");
    }
}

#[tokio::test]
async fn a_media_type_may_have_parameters_but_must_be_right() {
    let (status, headers, body) = send(
        post_request("application/DNS-message; charset=x"),
        alice_query(),
    )
    .await;
    check_alice(status, &headers, &body);
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/dns-json",
        "",
    ] {
        let (status, ..) = send(post_request(content_type), alice_query()).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let (status, ..) = send(Request::post("/dns-query"), alice_query()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_query_that_is_too_long_is_not_read() {
    let message = vec![0; QUERY_SIZE_MAX + 1];
    let (status, ..) = send(post_request(DNS_MESSAGE), message.clone()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, ..) = send(get_request(&message), Body::empty()).await;
    assert_eq!(status, StatusCode::URI_TOO_LONG);
    let longest = &message[1..];
    let (status, ..) = send(post_request(DNS_MESSAGE), longest.to_vec()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, ..) = send(get_request(longest), Body::empty()).await;
    assert_eq!(status, StatusCode::OK);
}

/// The errors with which the HTTP server ends the body of a slow client, and of one that is gone.
#[tokio::test]
async fn a_body_that_does_not_arrive_is_a_timeout() {
    let slow = BodyError::Slow(std::time::Duration::from_secs(10));
    for error in [slow.into(), BoxError::from("connection reset")] {
        let begin = Bytes::from(alice_query()[..10].to_vec());
        let chunks = [Ok(begin), Err(error)];
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        let (status, _, body) = send(post_request(DNS_MESSAGE), body).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], ProblemType::BodyLost.uri());
    }
}

#[tokio::test]
async fn a_get_without_a_query_is_a_bad_request() {
    let encoded = BASE64URL_NOPAD.encode(&alice_query());
    for path in [
        "/dns-query".to_owned(),
        "/dns-query?".to_owned(),
        "/dns-query?dns".to_owned(),
        "/dns-query?dns=".to_owned(),
        format!("/dns-query?DNS={encoded}"),
        format!("/dns-query?dns={encoded}="),
        "/dns-query?dns=a+/b".to_owned(),
        "/dns-query?dns=%41".to_owned(),
        path(&[0; 11]),
        path(&parse(&alice_query()).into_response().to_vec().unwrap()),
    ] {
        let (status, _, body) = send(Request::get(&path), Body::empty()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], ProblemType::BadRequest.uri(), "{path}");
        assert_ne!(problem["detail"], "", "the detail has the reason");
    }
    let (status, ..) = send(post_request(DNS_MESSAGE), Body::empty()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let other = format!("/dns-query?name=x&dns={encoded}&ct=");
    let (status, headers, body) = send(Request::get(other), Body::empty()).await;
    check_alice(status, &headers, &body);
}

#[tokio::test]
async fn other_methods_get_the_allowed_ones() {
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = Request::builder().method(method).uri("/dns-query");
        let (status, headers, _) = send(request, Body::empty()).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers[header::ALLOW], DOH_METHODS);
    }
}

#[tokio::test]
async fn a_preflight_is_granted() {
    let request =
        Request::options("/dns-query").header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let (status, headers, _) = send(request, Body::empty()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers[header::ALLOW], DOH_METHODS);
    let granted = |name| headers[&name].to_str().unwrap().split(", ");
    for method in DOH_METHODS.split(", ") {
        let mut methods = granted(header::ACCESS_CONTROL_ALLOW_METHODS);
        assert!(methods.any(|granted| granted == method), "{method}");
    }
    for field in ["Accept", "Content-Type"] {
        let mut fields = granted(header::ACCESS_CONTROL_ALLOW_HEADERS);
        assert!(fields.any(|granted| granted == field), "{field}");
    }
}

/// JSON in the format of public resolvers.
mod json {
    use serde_json::{Value, json};

    use super::*;

    async fn ask(path: &str, accept: Option<&str>) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::get(path);
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        let (status, headers, body) = send(request, Body::empty()).await;
        (
            status,
            headers,
            serde_json::from_slice(&body).unwrap_or_default(),
        )
    }

    fn iroh_path(parameters: &str) -> String {
        format!("/dns-query?name={}{parameters}", iroh(ALICE, "dns.test"))
    }

    #[tokio::test]
    async fn a_name_is_answered_in_json() {
        let owner = iroh(ALICE, "dns.test.");
        let expected = json!({
            "Status": 0, "TC": false, "RD": true, "RA": false, "AD": false, "CD": false,
            "Question": [{"name": owner, "type": 16}],
            "Answer": [{
                "name": owner, "type": 16, "TTL": 30, "data": "\"relay=https://relay.test\"",
            }],
        });
        for parameters in [
            "&type=TXT",
            "&type=txt",
            "&type=16",
            "&type=TYPE16&do=0&cd=false",
        ] {
            for accept in [
                None,
                Some("*/*"),
                Some("application/dns-json"),
                Some("application/json"),
            ] {
                let (status, headers, body) = ask(&iroh_path(parameters), accept).await;
                assert_eq!(status, StatusCode::OK);
                assert_eq!(headers[header::CONTENT_TYPE], "application/dns-json");
                assert_eq!(headers[header::CACHE_CONTROL], "max-age=30");
                assert_eq!(body, expected, "{parameters} {accept:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_negative_answer_has_its_soa_and_flags_are_copied() {
        let path = format!("/dns-query?name={NOBODY}.dns.test&cd=1&do=1");
        let (status, headers, body) = ask(&path, None).await;
        assert_eq!((status, &body["Status"]), (StatusCode::OK, &json!(3)));
        assert_eq!(headers[header::CACHE_CONTROL], "max-age=50");
        assert_eq!((&body["CD"], &body["Answer"]), (&json!(true), &Value::Null));
        assert_eq!(body["Authority"][0]["type"], 6);
        assert_eq!(body["Question"][0]["type"], 1, "A is the default");
        let (_, _, refused) = ask("/dns-query?name=google.com", None).await;
        assert_eq!(refused["Status"], 5);
    }

    /// A question in one format may be answered in the other.
    #[tokio::test]
    async fn accept_decides_the_format() {
        let (_, headers, body) = ask(&path(&alice_query()), Some("application/dns-json")).await;
        assert_eq!(headers[header::CONTENT_TYPE], "application/dns-json");
        assert_eq!(headers[header::VARY], "accept");
        assert_eq!(body["Answer"].as_array().unwrap().len(), 1);
        let request = Request::get(iroh_path("&type=TXT")).header(header::ACCEPT, DNS_MESSAGE);
        let (status, headers, body) = send(request, Body::empty()).await;
        check_alice(status, &headers, &body);
        let (status, ..) = ask(&iroh_path(""), Some("text/html")).await;
        assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    }

    #[tokio::test]
    async fn invalid_parameters_are_bad_requests() {
        for parameters in [
            "&type=nonsense",
            "&type=65536",
            "&do=2",
            "&cd=yes",
            "&name=two.test",
        ] {
            let (status, ..) = ask(&iroh_path(parameters), None).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{parameters}");
        }
        let long = "x".repeat(64);
        for name in [format!("{long}.test"), format!("{}test", "abc.".repeat(70))] {
            let (status, ..) = ask(&format!("/dns-query?name={name}"), None).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name}");
        }
    }
}

/// The statuses of queries that this peer sends one after the other.
async fn statuses(
    router: &Routes,
    peer: [u8; 4],
    forwarded_for: &str,
    count: usize,
) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let request = get_request(&alice_query())
            .header("x-forwarded-for", forwarded_for)
            .extension(ConnectInfo(SocketAddr::from((peer, 1))));
        let request = request.body(Body::empty()).unwrap();
        let response = router.clone().answer(request).await;
        let has_retry_after = response.headers().contains_key(header::RETRY_AFTER);
        let status = response.status();
        assert_eq!(has_retry_after, status == StatusCode::TOO_MANY_REQUESTS);
        statuses.push(status);
    }
    statuses
}

#[tokio::test]
async fn a_client_that_sends_too_many_queries_is_asked_to_wait() {
    let config = LimitConfig {
        query_burst: 2,
        query_per_sec: 1,
        ..LimitConfig::default()
    };
    let metrics = LimitMetrics::register(&Registry::new()).unwrap();
    let limits = RequestLimits::new(&config, &metrics);
    let proxies = Networks::parse(["10.0.0.1"]).unwrap();
    let rules = ClientRules::new(limits, proxies);
    let router = with_cors(doh_router(Fixture::new().responder, rules));
    let limited = [
        [StatusCode::OK; 3].as_slice(),
        &[StatusCode::TOO_MANY_REQUESTS; 2],
    ]
    .concat();
    // The header of a peer that is not a proxy is ignored.
    let of_one = statuses(&router, [192, 0, 2, 1], "192.0.2.9", 5).await;
    assert_eq!(of_one, limited);
    let proxied = statuses(&router, [10, 0, 0, 1], "198.51.100.1", 5).await;
    assert_eq!(proxied, limited);
    let other = statuses(&router, [10, 0, 0, 1], "198.51.100.2", 3).await;
    assert_eq!(other, [StatusCode::OK; 3]);
}
