use axum::http::StatusCode;
use quorate_fake::packet;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_state_of_the_bridge_and_its_packets_are_shown() {
    let fixture = Fixture::new();
    let status = fixture.get("/v1/dht").await;
    assert_eq!(status.status, StatusCode::OK);
    assert_eq!(status.json()["routing_nodes"], 7);

    let stored = packet(1, 7, "x", 30);
    let path = format!("/v1/dht/{}", stored.key());
    let missing = fixture.get(&path).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    fixture.dht.store(stored.clone());
    let found = fixture.get(&path).await.json();
    assert_eq!(found["packet"]["key"], stored.key().to_string());
    assert_eq!(found["packet"]["timestamp_us"], 7);
    assert_eq!(found["nodes_answered"], 18);

    let published = fixture.ask("POST", &path, "").await;
    assert_eq!(published.json(), json!({ "copies": 17 }));
    assert_eq!(fixture.dht.published(), [*stored.key()]);
}

#[tokio::test]
async fn without_a_bridge_operators_are_told_how_to_get_one() {
    let fixture = Fixture::without_dht();
    let answer = fixture.get("/v1/dht").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("set dht.mode"), "{detail}");
    assert_eq!(fixture.get("/readyz").await.text(), "ready\n");
}

#[tokio::test]
async fn a_ready_node_tells_whether_the_dht_is_reached() {
    let fixture = Fixture::new();
    let ready = fixture.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::OK);
    let expected = "ready\nthe DHT is reached, and 7 of its nodes are known\n";
    assert_eq!(ready.text(), expected);
    fixture.dht.answers.send_replace(false);
    let ready = fixture.get("/readyz").await;
    assert_eq!(
        ready.status,
        StatusCode::OK,
        "it is no reason to send no clients"
    );
    assert_eq!(ready.text(), "ready\nthe DHT cannot be reached\n");
}
