use quorate_fake::{packet, received_now};
use serde_json::json;

use crate::fixture::Fixture;

/// The index from which a client continues after reading all packets.
async fn applied_index(admin: &Fixture) -> u64 {
    let status = admin.get("/v1/status").await.json();
    status["applied_index"].as_u64().unwrap()
}

#[tokio::test]
async fn changes_are_returned_page_by_page() {
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
    let mut received = Vec::new();
    let mut since = begin;
    loop {
        let path = format!("/v1/changes?since={since}&count=2");
        let page = admin.get(&path).await.json();
        let changes = page["changes"].as_array().unwrap();
        if changes.is_empty() {
            break;
        }
        assert!(changes.len() <= 2);
        received.extend(changes.iter().cloned());
        since = page["next"].as_u64().unwrap();
    }
    assert_eq!(received, expected);
}

#[tokio::test]
async fn forgotten_changes_are_reported_as_lost() {
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
async fn an_entry_of_another_cluster_is_reported_as_lost() {
    let admin = Fixture::new();
    admin
        .replica
        .change_status(|status| status.cluster = Some("c2".to_owned()));
    let begin = applied_index(&admin).await;
    let status = admin.get("/v1/status").await.json();
    assert_eq!(status["cluster"], "c2");
    let same = format!("/v1/changes?since={begin}&cluster=c2");
    assert_eq!(admin.get(&same).await.json()["cluster"], "c2");
    let path = format!("/v1/changes?since={begin}&cluster=c1");
    let other = admin.get(&path).await;
    assert_eq!(
        (other.status.as_u16(), other.slug()),
        (410, "changes-lost".into())
    );
    assert!(other.problem().detail.contains("another cluster"));
}

#[tokio::test]
async fn an_invalid_query_for_changes_is_rejected() {
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
