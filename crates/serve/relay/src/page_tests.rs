use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request},
};
use hickory_proto::{
    op::OpCode,
    rr::{Name, rdata},
};
use http_body_util::BodyExt;
use quorate_fake::{FakeReplica, packet, received_now, unverified};
use quorate_metrics::Registry;
use quorate_replica::NotReady;
use tower::ServiceExt;

use super::*;
use crate::{RelayConfig, RelayMetrics, router};

fn node() -> (Arc<FakeReplica>, Router) {
    let replica = FakeReplica::new();
    let metrics = RelayMetrics::register(&Registry::new()).unwrap();
    (
        replica.clone(),
        router(replica, RelayConfig::default(), metrics),
    )
}

async fn show(router: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body).unwrap(),
    )
}

#[tokio::test]
async fn the_page_shows_the_state_of_the_node() {
    let (replica, router) = node();
    let (status, headers, page) = show(&router, "/").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(page.contains("it serves reads and writes"), "{page}");
    assert!(page.contains("a leader is known"), "{page}");
    replica.change_status(|status| {
        status.leader = None;
        status.not_ready = Some(NotReady::NoLeader);
    });
    let (status, _, page) = show(&router, "/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(&NotReady::NoLeader.to_string()), "{page}");
    assert!(page.contains("no leader is known"), "{page}");
}

/// With a form only, because the policy allows no scripts.
#[tokio::test]
async fn the_page_shows_the_records_of_a_key() {
    let (replica, router) = node();
    let packet = packet(1, 1_700_000_000_000_000, "relay=https://relay.test", 30);
    let key = *packet.key();
    replica.store(received_now(packet));
    for path in [
        format!("/?key={key}"),
        format!("/?a=b&key=+{key}%20&c"),
        format!("/?key={}", key.to_string().to_uppercase()),
    ] {
        let (status, _, page) = show(&router, &path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        for part in [
            &*format!("<td>_iroh.{key}.</td><td>30 s</td><td>TXT</td>"),
            "<td>&quot;relay=https://relay.test&quot;</td>",
            "Tue, 14 Nov 2023 22:13:20 GMT",
            &format!("href=\"pkarr/{key}\""),
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}

#[tokio::test]
async fn the_page_explains_why_there_are_no_records() {
    let (replica, router) = node();
    let key = *packet(1, 7, "x", 30).key();
    for (path, status, expected) in [
        (
            format!("/?key={key}"),
            StatusCode::NOT_FOUND,
            "No packet of",
        ),
        (
            "/?key=<b>".to_owned(),
            StatusCode::BAD_REQUEST,
            "52 characters",
        ),
        ("/?key=".to_owned(), StatusCode::OK, "Look up"),
        ("/?".to_owned(), StatusCode::OK, "Look up"),
    ] {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        let (found, _, page) = show(&router, &path).await;
        assert_eq!(found, status, "{path}");
        assert!(page.contains(expected), "{page}");
    }
    replica.fail_reads(true);
    let (status, _, page) = show(&router, &format!("/?key={key}")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!page.contains(quorate_fake::READ_ERROR), "{page}");
}

/// The owner of a key chooses this text.
#[tokio::test]
async fn published_texts_are_escaped() {
    const EVIL: &str = "</td><script>alert('x')</script><a href=\"//evil.test\">&";
    let (replica, router) = node();
    let key = PublicKey::from_bytes([7; 32]);
    let owner = Name::from_labels([&b"<i>"[..], key.to_string().as_bytes()]).unwrap();
    let mut message = Message::response(0, OpCode::Query);
    for data in [
        RData::TXT(rdata::TXT::new(vec![EVIL.to_owned(), "2".to_owned()])),
        RData::CNAME(rdata::CNAME(Name::from_labels([EVIL.as_bytes()]).unwrap())),
    ] {
        message.add_answer(Record::from_rdata(owner.clone(), 30, data));
    }
    replica.store(unverified(key, &message.to_vec().unwrap()));
    let (status, headers, page) = show(&router, &format!("/?key={key}")).await;
    assert_eq!(status, StatusCode::OK);
    let (_, _, without) = show(&router, "/").await;
    let table = page.split_once("<table>").expect(&page).1;
    for tag in ["<script", "<a ", "<i", "</td><s", "\"//"] {
        assert!(!table.contains(tag), "{tag} is in {table}");
    }
    assert!(table.contains("&lt;script&gt;"), "{table}");
    assert!(!without.contains("<script"), "{without}");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for rule in [
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let style = page.split_once("<style>").unwrap().1;
    let style = style.split_once("</style>").unwrap().0;
    let hash = BASE64.encode(&Sha256::digest(style));
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
}
