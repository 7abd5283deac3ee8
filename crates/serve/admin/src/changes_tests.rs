use quorate_fake::{packet, received_now};
use serde_json::json;

use crate::fixture::Fixture;

/// Where a client begins that has read all packets.
async fn applied_index(admin: &Fixture) -> u64 {
    let status = admin.get("/v1/status").await.json();
    status["applied_index"].as_u64().unwrap()
}

#[tokio::test]
async fn what_is_stored_and_deleted_is_told_page_by_page() {
    let admin = Fixture::new();
    let begin = applied_index(&admin).await;
    let [one, two] = [1, 2].map(|seed| packet(seed, 7, "x", 30));
    let (first, second) = (*one.key(), *two.key());
    admin.replica.store(received_now(one.clone()));
    admin.replica.store(received_now(one));
    admin.replica.store(received_now(two));
    admin.replica.remove(first);
    let change = |index: u64, key, kind| json!({"index": begin + index, "key": key, "kind": kind});
    let expected = [
        change(1, first.to_string(), "stored"),
        change(2, second.to_string(), "stored"),
        change(3, first.to_string(), "deleted"),
    ];
    let mut told = Vec::new();
    let mut since = begin;
    loop {
        let path = format!("/v1/changes?since={since}&count=2");
        let page = admin.get(&path).await.json();
        let changes = page["changes"].as_array().unwrap();
        if changes.is_empty() {
            break;
        }
        assert!(changes.len() <= 2);
        told.extend(changes.iter().cloned());
        since = page["next"].as_u64().unwrap();
    }
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_forgotten_is_told_apart_from_nothing() {
    let admin = Fixture::new();
    let begin = applied_index(&admin).await;
    admin.replica.store(received_now(packet(1, 7, "x", 30)));
    admin.replica.forget_changes();
    let answer = admin.get(&format!("/v1/changes?since={begin}")).await;
    assert_eq!(answer.status, 410);
    assert_eq!(answer.slug(), "changes-lost");
    assert!(answer.problem().detail.contains("list all packets"));
}

#[tokio::test]
async fn changes_are_asked_for_behind_an_entry_and_by_the_page() {
    let admin = Fixture::new();
    for query in [
        "",
        "?since=x",
        "?since=1&count=0",
        "?since=1&count=1001",
        "?since=1&after=2",
    ] {
        let answer = admin.get(&format!("/v1/changes{query}")).await;
        assert_eq!(answer.slug(), "bad-request", "{query}");
    }
}
