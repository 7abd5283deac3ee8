use std::collections::BTreeSet;

use axum::http::StatusCode;
use data_encoding::BASE64;
use quorate_fake::{packet, received_now, unverified};
use quorate_packet::{PublicKey, SignedPacket};
use quorate_replica::Reader;
use serde_json::json;

use crate::fixture::Fixture;

fn holding(seeds: std::ops::RangeInclusive<u8>) -> Fixture {
    let admin = Fixture::new();
    for seed in seeds {
        let packet = packet(seed, u64::from(seed), "x", 30);
        admin.replica.store(received_now(packet));
    }
    admin
}

#[tokio::test]
async fn pages_show_each_packet_once_in_key_order() {
    let admin = holding(1..=7);
    for count in [1, 2, 3, 7, 8] {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/packets?count={count}{after}");
            let page = admin.get(&path).await.json();
            let packets = page["packets"].as_array().unwrap();
            assert!(packets.len() <= count);
            keys.extend(
                packets
                    .iter()
                    .map(|packet| packet["key"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(keys.len(), 7, "pages of {count}");
        let bytes = |key: &String| *key.parse::<PublicKey>().unwrap().as_bytes();
        assert!(keys.iter().map(bytes).is_sorted());
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 7);
    }
}

#[tokio::test]
async fn a_page_is_bounded() {
    let admin = holding(1..=2);
    for query in [
        "count=0",
        "count=1001",
        "count=-1",
        "count=x",
        "after=x",
        "limit=5",
    ] {
        let answer = admin.get(&format!("/v1/packets?{query}")).await;
        assert_eq!(answer.slug(), "bad-request", "{query}");
    }
    let page = admin.get("/v1/packets?count=1000").await.json();
    assert_eq!(page["packets"].as_array().unwrap().len(), 2);
    assert_eq!(page["next"], json!(null));
}

#[tokio::test]
async fn a_packet_is_returned_with_its_records() {
    let admin = Fixture::new();
    let stored = received_now(packet(1, 77, "a \"b\"", 30));
    let key = stored.packet.key().to_string();
    admin.replica.store(stored.clone());
    let answer = admin.get(&format!("/v1/packets/{key}")).await;
    assert_eq!(
        answer.json(),
        json!({
            "key": key,
            "timestamp_us": 77,
            "received_ms": stored.received.0,
            "payload": BASE64.encode(stored.packet.payload()),
            "records": [{
                "name": format!("_iroh.{key}."),
                "type": "TXT",
                "ttl": 30,
                "data": r#""a \"b\"""#,
            }],
        })
    );
    let page = admin.get("/v1/packets").await.json();
    assert_eq!(page["packets"][0]["size"], stored.packet.payload().len());
}

#[tokio::test]
async fn a_malformed_packet_is_returned_without_records() {
    let admin = Fixture::new();
    let key = PublicKey::from_bytes([7; 32]);
    for dns in [&[0xff; 40][..], b"", &[0; 12]] {
        admin.replica.store(unverified(key, dns));
        let answer = admin.get(&format!("/v1/packets/{key}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["records"], json!([]));
    }
}

#[tokio::test]
async fn an_unreadable_packet_is_reported_with_the_cause() {
    let admin = holding(1..=1);
    let key = PublicKey::from_bytes([7; 32]);
    let path = format!("/v1/packets/{key}");
    assert_eq!(admin.get(&path).await.slug(), "unknown-packet");
    assert_eq!(admin.get("/v1/packets/x").await.slug(), "bad-request");
    admin.replica.fail_reads(true);
    assert_eq!(admin.get(&path).await.slug(), "unavailable");
    assert_eq!(admin.get("/v1/packets").await.slug(), "unavailable");
}

#[tokio::test]
async fn only_valid_packets_are_imported() {
    let admin = Fixture::new();
    let valid = packet(1, 7, "x", 30);
    let invalid = unverified(PublicKey::from_bytes([2; 32]), b"").packet;
    let portable = |packet: &SignedPacket| {
        json!({
            "key": packet.key().to_string(),
            "received_ms": 5,
            "payload": BASE64.encode(packet.payload()),
        })
    };
    let no_key = json!({ "key": "a", "payload": "" });
    let no_base64 = json!({ "key": valid.key().to_string(), "payload": "." });
    let packets = [portable(&invalid), portable(&valid), no_key, no_base64];
    let body = json!({ "packets": packets }).to_string();
    let report = admin.ask("POST", "/v1/packets/import", &body).await.json();
    assert_eq!(report["stored"], 1);
    let rejected = report["rejected"].as_array().unwrap();
    let keys: Vec<_> = rejected
        .iter()
        .map(|packet| packet["key"].clone())
        .collect();
    let expected = [
        invalid.key().to_string(),
        "a".to_owned(),
        valid.key().to_string(),
    ];
    assert_eq!(keys, expected);
    let reason = rejected[2]["reason"].as_str().unwrap();
    assert!(reason.starts_with("its payload is not base64"), "{reason}");
    let stored = admin.replica.stored_packet(valid.key()).unwrap().unwrap();
    assert_eq!((stored.received.0, &stored.packet), (5, &valid));
    assert_eq!(admin.replica.stored_packet(invalid.key()).unwrap(), None);
}

#[tokio::test]
async fn an_import_has_a_bound() {
    let admin = Fixture::new();
    let packet = json!({ "key": "a", "payload": "" });
    for count in [0, 129] {
        let body = json!({ "packets": vec![packet.clone(); count] }).to_string();
        let answer = admin.ask("POST", "/v1/packets/import", &body).await;
        assert_eq!(answer.slug(), "bad-request", "{count}");
    }
}
