use std::pin::pin;

use axum::http::StatusCode;
use futures_util::poll;
use quorate_api::{AdminRequest, Problem, ProblemType};
use quorate_replica::Reader;
use serde_json::{Value, json};

use crate::fixture::Fixture;

const SET: &str = "/v1/zones/dns.example/set";
const UNSET: &str = "/v1/zones/dns.example./unset";
const IMPORT: &str = "/v1/zones/dns.example/import";

async fn post(fixture: &Fixture, path: &str, body: Value) -> Value {
    let answer = fixture.ask("POST", path, &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// The type and the detail of the problem.
async fn rejected(fixture: &Fixture, path: &str, body: Value) -> (String, String) {
    let answer = fixture.ask("POST", path, &body.to_string()).await;
    (answer.slug(), answer.problem().detail)
}

fn mx(data: &[&str]) -> Value {
    json!({"name": "@", "type": "mx", "ttl_secs": 300, "data": data})
}

#[tokio::test]
async fn records_are_set_listed_and_unset() {
    let fixture = Fixture::new();
    let zone = post(&fixture, SET, mx(&["10 mail", "20 mail.example.org."])).await;
    let expected = json!({"zone": "dns.example.", "serial": 8, "record_count": 2});
    assert_eq!(zone, expected);
    let txt =
        json!({"name": "a.dns.example.", "type": "TXT", "ttl_secs": 60, "data": ["\"x y\" z"]});
    post(&fixture, SET, txt).await;
    let records = fixture.get("/v1/zones/dns.example/records").await.json();
    let record = |name, ttl_secs, record_type, data| json!({"name": name, "ttl_secs": ttl_secs, "type": record_type, "data": data});
    assert_eq!(
        records,
        json!({"zone": "dns.example.", "serial": 9, "records": [
            record("a.dns.example.", 60, "TXT", "\"x y\" \"z\""),
            record("dns.example.", 300, "MX", "10 mail.dns.example."),
            record("dns.example.", 300, "MX", "20 mail.example.org."),
        ]})
    );
    let one = json!({"name": "@", "type": "MX"});
    assert_eq!(post(&fixture, UNSET, one).await["record_count"], 1);
    let absent = [
        json!({"name": "@", "type": "MX"}),
        json!({"name": "a", "type": "A"}),
        json!({"name": "b"}),
    ];
    for absent in absent {
        assert_eq!(rejected(&fixture, UNSET, absent).await.0, "unknown-record");
    }
    let all = json!({"name": "a"});
    assert_eq!(post(&fixture, UNSET, all).await["record_count"], 0);
    let zones = fixture.get("/v1/zones").await.json();
    assert_eq!(
        zones,
        json!({"zones": [
            {"zone": ".", "serial": 1, "record_count": 0},
            {"zone": "dns.example.", "serial": 11, "record_count": 0},
        ]})
    );
    let root = json!({"name": "tld", "type": "TXT", "ttl_secs": 60, "data": ["x"]});
    assert_eq!(post(&fixture, "/v1/zones/@/set", root).await["zone"], ".");
}

#[tokio::test]
async fn a_zone_file_replaces_all_records_of_the_zone() {
    let fixture = Fixture::new();
    post(&fixture, SET, mx(&["10 mail"])).await;
    fixture.replica.operators.take_requests();
    let text = "a 60 A 192.0.2.1\n  A 192.0.2.2\nb TXT x\n";
    let zone = post(&fixture, IMPORT, json!({ "text": text })).await;
    assert_eq!(zone["record_count"], 3);
    let requests = fixture.replica.operators.take_requests();
    assert!(
        matches!(&requests[..], [AdminRequest::ChangeZone(requests)] if requests.change.clear && requests.change.set.len() == 2)
    );
    let long = format!("; {}\na A 192.0.2.1\n", "x".repeat(500_000));
    assert_eq!(
        post(&fixture, IMPORT, json!({ "text": long })).await["record_count"],
        1
    );
    assert_eq!(
        post(&fixture, IMPORT, json!({ "text": "" })).await["record_count"],
        0
    );
}

#[tokio::test]
async fn errors_in_a_zone_file_have_their_line_and_nothing_changes() {
    let fixture = Fixture::new();
    let key = "y".repeat(52);
    for (text, expected) in [
        (
            "a A 192.0.2.1\nb A nonsense\n",
            "line 2: \"b A nonsense\": expected IPv4 address",
        ),
        (
            "a TXT x\n\nwww A 192.0.2.1\n",
            "line 3: www.dns.example. has records",
        ),
        (
            "a TXT x\n@ NS ns1\n",
            "line 2: dns.example. has its SOA and NS records",
        ),
        (
            "@ SOA a b 1 2 3 4 5\n",
            "line 1: dns.example. has its SOA and NS records",
        ),
        (
            "a TXT x\nb.other. TXT x\n",
            "line 2: b.other. is outside dns.example.",
        ),
        (&format!("a TXT x\nb.{key} TXT x\n"), "line 2: b."),
        ("a CNAME b\na TXT x\n", "a.dns.example. would have a CNAME"),
    ] {
        let (slug, detail) = rejected(&fixture, IMPORT, json!({ "text": text })).await;
        assert_eq!(slug, "refused-zone", "{detail}");
        assert!(detail.starts_with(expected), "{detail}");
    }
    let zones = fixture.get("/v1/zones").await.json();
    assert_eq!(zones["zones"][1]["serial"], 7);
}

#[tokio::test]
async fn records_that_cannot_be_set_are_rejected_with_the_reason() {
    let fixture = Fixture::new();
    let of_type = |record_type: &str, data: &str| json!({"name": "a", "type": record_type, "ttl_secs": 60, "data": [data]});
    for (body, expected) in [
        (of_type("SOA", "a b 1 2 3 4 5"), "is not a type of records"),
        (
            of_type("A", "192.0.2.1 192.0.2.2"),
            "\"192.0.2.1 192.0.2.2\" is not valid A data: trailing tokens",
        ),
        (mx(&[]), "an empty record set"),
        (
            json!({"name": "a..b", "type": "A", "ttl_secs": 1, "data": []}),
            "\"a..b\" is not a valid domain name: ",
        ),
        (
            json!({"name": "www", "type": "A", "ttl_secs": 1, "data": ["192.0.2.1"]}),
            "in the configuration",
        ),
        (
            json!({"name": "a", "type": "A", "ttl_secs": u32::MAX, "data": ["192.0.2.1"]}),
            "is too long",
        ),
    ] {
        let (slug, detail) = rejected(&fixture, SET, body).await;
        assert_eq!(slug, "refused-zone", "{detail}");
        assert!(detail.contains(expected), "{detail}");
    }
    let misspelt = rejected(&fixture, "/v1/zones/dsn.example/set", mx(&["10 mail"])).await;
    assert_eq!(misspelt.0, "unknown-zone");
    assert!(
        misspelt.1.contains("that it serves: ., dns.example."),
        "{}",
        misspelt.1
    );
    let (slug, _) = rejected(&fixture, "/v1/zones/a..b/set", mx(&["10 mail"])).await;
    assert_eq!(slug, "bad-request");
    let answer = fixture.get("/v1/zones/dsn.example/records").await;
    assert_eq!(answer.slug(), "unknown-zone");
    // Records can be removed even if no node serves the zone.
    // Records of a zone that is no longer served can be removed, if there are any.
    let unset = json!({"name": "a"});
    let (slug, _) = rejected(&fixture, "/v1/zones/dsn.example/unset", unset).await;
    assert_eq!(slug, "unknown-record");

    fixture
        .replica
        .operators
        .reject(Problem::new(ProblemType::UnsupportedLevel, "too old"));
    let (slug, _) = rejected(&fixture, SET, mx(&["10 mail"])).await;
    assert_eq!(slug, "unsupported-level");
}

#[tokio::test]
async fn a_change_is_answered_when_the_node_serves_it() {
    let fixture = Fixture::new();
    fixture.served.send_replace(0);
    let mut answer = pin!(post(&fixture, SET, mx(&["10 mail"])));
    let is_committed = fixture.replica.zones_changed_after(0);
    tokio::select! {
        zone = &mut answer => panic!("{zone} is not served"),
        () = is_committed => {}
    }
    assert!(poll!(&mut answer).is_pending());
    fixture.served.send_replace(1);
    assert_eq!(answer.await["record_count"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_served_in_time_is_reported_as_committed() {
    let fixture = Fixture::new();
    fixture.served.send_replace(0);
    let (slug, detail) = rejected(&fixture, SET, mx(&["10 mail"])).await;
    assert_eq!(slug, "not-served");
    assert!(
        detail.starts_with("the change of dns.example. is committed"),
        "{detail}"
    );
    assert_eq!(fixture.replica.zone_state().zones.len(), 1);
}
