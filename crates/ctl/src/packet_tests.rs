use axum::http::StatusCode;
use pkarr::Keypair;
use quorate_api::ProblemType;
use serde_json::Value;

use super::*;
use crate::admin::canned::{Answer, CannedNode};

fn stored() -> (PublicKey, Packet) {
    let keypair = Keypair::random();
    let signed = pkarr::SignedPacket::builder()
        .txt("_iroh".try_into().unwrap(), "a=b".try_into().unwrap(), 30)
        .sign(&keypair)
        .unwrap();
    let key = PublicKey::from_bytes(keypair.public_key().to_bytes());
    let packet = Packet {
        key: key.to_string(),
        timestamp_us: signed.timestamp().into(),
        received_ms: 1000,
        payload: BASE64.encode(&signed.to_relay_payload()),
        records: Vec::new(),
    };
    (key, packet)
}

#[tokio::test]
async fn a_packet_is_verified_and_printed_record_by_record() {
    let (key, packet) = stored();
    let node = CannedNode::start([Answer::json(StatusCode::OK, &packet)]).await;
    let (captured, outcome) = node.run(&["packet", "get", &key.to_string()]).await;
    assert_eq!(outcome, Ok(()));
    let text = captured.data();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("signature verified"), "{text}");
    assert_eq!(lines[1], format!("_iroh.{key}. 30 IN TXT \"a=b\""));
    assert_eq!(lines[2], "; received Thu, 01 Jan 1970 00:00:01 GMT");
    assert_eq!(node.requests()[0].target, format!("/v1/packets/{key}"));
}

#[tokio::test]
async fn a_packet_of_another_key_is_not_printed() {
    let (_, packet) = stored();
    let (another, _) = stored();
    let node = CannedNode::start([Answer::json(StatusCode::OK, &packet)]).await;
    let another = another.to_string();
    let words = ["packet", "get", &another, "--json"];
    for words in [&words[..3], &words] {
        let (captured, outcome) = node.run(words).await;
        let (error, _) = outcome.unwrap_err();
        assert!(
            error.contains("the packet from the node is invalid: the signature"),
            "{error}"
        );
        assert_eq!(captured.data(), "");
    }
}

#[tokio::test]
async fn a_key_without_a_packet_fails() {
    let node = CannedNode::start([Answer::problem(ProblemType::UnknownPacket, "none here")]).await;
    let key = stored().0.to_string();
    let (captured, outcome) = node.run(&["packet", "get", &key]).await;
    assert_eq!(outcome, Err(("none here".to_owned(), 1)));
    assert_eq!(captured.data(), "");
}

#[tokio::test]
async fn packets_are_listed_by_the_page() {
    let key = stored().0;
    let page = PacketPage {
        packets: vec![PacketSummary {
            key: "k".to_owned(),
            timestamp_us: 2_000_000,
            received_ms: 3000,
            size: 120,
        }],
        next: Some("k".to_owned()),
    };
    let node = CannedNode::start([Answer::json(StatusCode::OK, &page)]).await;
    let key = key.to_string();
    let words = ["packet", "list", "--count", "1", "--after", &key];
    let (captured, outcome) = node.run(&words).await;
    assert_eq!(outcome, Ok(()));
    let expected = "\
KEY  SIZE  MADE                           RECEIVED
k    120   Thu, 01 Jan 1970 00:00:02 GMT  Thu, 01 Jan 1970 00:00:03 GMT
";
    assert_eq!(captured.data(), expected);
    assert_eq!(captured.notes(), "quorate: there are more: --after k\n");
    let target = format!("/v1/packets?count=1&after={key}");
    assert_eq!(node.requests()[0].target, target);

    let (captured, outcome) = node.run(&["packet", "list", "--json"]).await;
    assert_eq!(outcome, Ok(()));
    let json: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(json, serde_json::to_value(&page).unwrap());
}

#[tokio::test]
async fn a_deletion_reports_whether_there_was_a_packet() {
    let (key, _) = stored();
    for (was_stored, flags, target, notes) in [
        (
            true,
            &[][..],
            format!("/v1/packets/{key}"),
            format!("quorate: the packet of {key} is deleted\n"),
        ),
        (
            false,
            &["--unblock"],
            format!("/v1/packets/{key}?block_secs=0"),
            format!(
                "quorate: there is no packet of {key}\nquorate: its key is no longer blocked\n"
            ),
        ),
        (
            false,
            &["--block", "7d"],
            format!("/v1/packets/{key}?block_secs=604800"),
            format!(
                "quorate: there is no packet of {key}\nquorate: its key may not publish for 7d\n"
            ),
        ),
    ] {
        let deleted = Deleted {
            key: key.to_string(),
            was_stored,
        };
        let node = CannedNode::start([Answer::json(StatusCode::OK, &deleted)]).await;
        let key = key.to_string();
        let words = [&["packet", "delete", &key], flags].concat();
        let (captured, outcome) = node.run(&words).await;
        assert_eq!(outcome, Ok(()));
        let request = node.requests().remove(0);
        assert_eq!(
            (request.method.as_str(), request.target),
            ("DELETE", target)
        );
        assert_eq!((captured.data(), captured.notes()), (String::new(), notes));
    }
    assert!(parse_block("367d").unwrap_err().contains("policy deny"));
}

#[tokio::test]
async fn deletions_are_listed_page_by_page() {
    let page = DeletionPage {
        deletions: vec![
            DeletedPacket {
                key: "k".to_owned(),
                timestamp_us: 2_000_000,
                blocked_until_ms: None,
            },
            DeletedPacket {
                key: "l".to_owned(),
                timestamp_us: 2_000_000,
                blocked_until_ms: Some(3000),
            },
        ],
        next: None,
    };
    let node = CannedNode::start([Answer::json(StatusCode::OK, &page)]).await;
    let (captured, outcome) = node.run(&["packet", "deleted", "--count", "2"]).await;
    assert_eq!(outcome, Ok(()));
    let expected = "\
KEY  NONE UP TO                     BLOCKED UNTIL
k    Thu, 01 Jan 1970 00:00:02 GMT  -
l    Thu, 01 Jan 1970 00:00:02 GMT  Thu, 01 Jan 1970 00:00:03 GMT
";
    assert_eq!(captured.data(), expected);
    assert_eq!(node.requests()[0].target, "/v1/deletions?count=2");
}
