use axum::http::StatusCode;
use quorate_api::{ListedRecord, ProblemType};
use serde_json::{Value, json};

use super::*;
use crate::{
    admin::canned::{self, Answer, CannedNode, Outcome},
    console::captured::Captured,
};

/// Runs the command of these words at a node. Returns the output and the result.
async fn run_at(node: &CannedNode, words: &[&str]) -> (Captured, Outcome) {
    node.run(&[&["zone"], words].concat()).await
}

fn zone() -> Answer {
    let zone = Zone {
        zone: "a.".to_owned(),
        serial: Some(8),
        record_count: 2,
    };
    Answer::json(StatusCode::OK, &zone)
}

fn body(node: &CannedNode) -> Value {
    serde_json::from_str(&node.requests()[0].body).unwrap()
}

#[tokio::test]
async fn records_are_set_as_they_are_typed() {
    let long = "x".repeat(256);
    for (words, expected) in [
        (
            &["www", "300", "A", "192.0.2.1", "192.0.2.2"][..],
            json!({"name": "www", "ttl_secs": 300, "type": "A", "data": ["192.0.2.1", "192.0.2.2"]}),
        ),
        (
            &["@", "1h", "mx", "10 mail"],
            json!({"name": "@", "ttl_secs": 3600, "type": "mx", "data": ["10 mail"]}),
        ),
        (
            &["t", "1", "txt", "a b;\\c", "\"d\" e", &long],
            json!({"name": "t", "ttl_secs": 1, "type": "txt", "data": [
                "\"a b;\\\\c\"", "\"d\" e", format!("\"{}\" \"x\"", &long[1..])
            ]}),
        ),
    ] {
        let node = CannedNode::start([zone()]).await;
        let words = [&["set", "a."], words].concat();
        let (captured, outcome) = run_at(&node, &words).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(node.requests()[0].target, "/v1/zones/a./set");
        assert_eq!(body(&node), expected);
        assert_eq!(captured.data(), "");
        let note = "quorate: a. has 2 replicated records, serial 8\n";
        assert_eq!(captured.notes(), note);
    }
}

#[tokio::test]
async fn the_root_zone_has_its_own_path() {
    let node = CannedNode::start([zone()]).await;
    let (captured, outcome) = run_at(&node, &["unset", ".", "x", "TXT", "--json"]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(node.requests()[0].target, "/v1/zones/%40/unset");
    assert_eq!(body(&node), json!({"name": "x", "type": "TXT"}));
    let json: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(json, json!({"zone": "a.", "serial": 8, "record_count": 2}));
    assert!(canned::parse(&["zone", "list", ".."]).is_err());
}

#[tokio::test]
async fn a_zone_is_listed_as_a_zone_file() {
    let records = ZoneListing {
        zone: "a.".to_owned(),
        serial: Some(8),
        records: vec![ListedRecord {
            name: "t.a.".to_owned(),
            ttl_secs: 60,
            record_type: "TXT".to_owned(),
            data: "\"x y\"".to_owned(),
        }],
    };
    let node = CannedNode::start([Answer::json(StatusCode::OK, &records)]).await;
    let (captured, _) = run_at(&node, &["list", "a"]).await;
    assert_eq!(node.requests()[0].target, "/v1/zones/a/records");
    assert_eq!(captured.data(), "t.a. 60 IN TXT \"x y\"\n");
}

#[tokio::test]
async fn zones_are_listed_with_a_note_for_those_that_are_not_served() {
    let zone = |zone: &str, serial| Zone {
        zone: zone.to_owned(),
        serial,
        record_count: 3,
    };
    let zones = Zones {
        zones: vec![zone("a.", Some(7)), zone("old.", None)],
    };
    let node = CannedNode::start([Answer::json(StatusCode::OK, &zones)]).await;
    let (captured, _) = run_at(&node, &["list"]).await;
    let expected = "\
ZONE  SERIAL  RECORDS
a.    7       3
old.  -       3
";
    assert_eq!(captured.data(), expected);
    assert_eq!(captured.notes(), "quorate: the node serves no zone old.\n");
}

#[tokio::test]
async fn a_rejected_zone_file_is_reported_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
    std::fs::write(&file, "a A x\n").unwrap();
    let file = file.to_str().unwrap();
    let rejection = Answer::problem(ProblemType::RefusedZone, "line 1: it is no A");
    let node = CannedNode::start([rejection]).await;
    let (_, outcome) = run_at(&node, &["import", "a", file]).await;
    let message = format!("{file} was not imported: line 1: it is no A");
    assert_eq!(outcome, Err((message, 1)));
    assert_eq!(body(&node), json!({"text": "a A x\n"}));

    let node = CannedNode::start([zone()]).await;
    let missing = format!("{file}.not");
    let (_, outcome) = run_at(&node, &["import", "a", &missing]).await;
    let message = outcome.unwrap_err().0;
    assert!(
        message.starts_with(&format!("{missing} cannot be read: ")),
        "{message}"
    );
}
