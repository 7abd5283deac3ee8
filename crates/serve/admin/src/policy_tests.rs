use axum::http::StatusCode;
use data_encoding::HEXLOWER;
use quorate_api::{ChangePublishing, DeletePacket, Problem, ProblemType};
use quorate_fake::{packet, received_now};
use quorate_packet::{PublicKey, Timestamp};
use quorate_replica::{
    Deletion, PublishChange, PublishMode, PublishState, Replica, TokenHash, UnixMillis,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::fixture::{Answer, Fixture};

async fn post(fixture: &Fixture, path: &str, body: Value) -> Answer {
    let path = format!("/v1/policy/{path}");
    fixture.ask("POST", &path, &body.to_string()).await
}

fn keys(bytes: impl IntoIterator<Item = u8>) -> Vec<PublicKey> {
    let bytes = bytes.into_iter();
    bytes
        .map(|byte| PublicKey::from_bytes([byte; 32]))
        .collect()
}

fn texts(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn each_request_becomes_the_matching_change() {
    let admin = Fixture::new();
    let some = keys([1, 2]);
    let change = |how| json!({"change": how, "keys": texts(&some)});
    for (path, body, expected) in [
        (
            "mode",
            json!({"mode": "open"}),
            PublishChange::SetMode(PublishMode::Open),
        ),
        (
            "mode",
            json!({"mode": "tokens"}),
            PublishChange::SetMode(PublishMode::Tokens),
        ),
        (
            "mode",
            json!({"mode": "allow_list"}),
            PublishChange::SetMode(PublishMode::AllowList),
        ),
        ("keys", change("allow"), PublishChange::Allow(some.clone())),
        (
            "keys",
            change("disallow"),
            PublishChange::Disallow(some.clone()),
        ),
        (
            "keys",
            change("undeny"),
            PublishChange::Undeny(some.clone()),
        ),
        ("keys", change("deny"), PublishChange::Deny(some.clone())),
    ] {
        let answer = post(&admin, path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let requests = admin.replica.operators.take_requests();
        assert_eq!(requests, [ChangePublishing { change: expected }.into()]);
    }
    let expected = json!({
        "mode": "allow_list",
        "allowed_count": 0,
        "denied_count": 2,
        "token_count": 0,
        "deletion_count": 0,
    });
    assert_eq!(admin.get("/v1/policy").await.json(), expected);
}

#[tokio::test]
async fn invalid_requests_are_rejected_and_not_forwarded() {
    let admin = Fixture::new();
    let many = vec![texts(&keys([1]))[0].clone(); 4_097];
    for (path, body) in [
        ("mode", json!({})),
        ("mode", json!({"mode": "closed"})),
        ("keys", json!({"change": "deny", "keys": []})),
        ("keys", json!({"change": "deny", "keys": ["alice"]})),
        ("keys", json!({"change": "deny", "keys": many})),
        ("keys", json!({"change": "ban", "keys": [many[0]]})),
        ("tokens", json!({"name": ""})),
        ("tokens", json!({"name": "two words"})),
        ("tokens", json!({"name": "a\nb"})),
        ("tokens", json!({"name": ".."})),
        ("tokens", json!({"name": "x".repeat(65)})),
    ] {
        let answer = post(&admin, path, body.clone()).await;
        assert_eq!(answer.slug(), "bad-request", "{body}");
    }
    assert_eq!(admin.replica.operators.take_requests(), []);
    // The most keys that the cluster accepts in one request, which the fake enforces too.
    let most = json!({"change": "deny", "keys": many[1..]});
    assert_eq!(post(&admin, "keys", most).await.status, StatusCode::OK);
    for (problem_type, slug) in [
        (ProblemType::UnsupportedLevel, "unsupported-level"),
        (ProblemType::RefusedPolicy, "refused-policy"),
    ] {
        admin
            .replica
            .operators
            .reject(Problem::new(problem_type, "no room"));
        let answer = post(&admin, "mode", json!({"mode": "open"})).await;
        assert_eq!(answer.slug(), slug);
    }
}

#[tokio::test]
async fn lists_are_returned_page_by_page() {
    let admin = Fixture::new();
    let (allowed, denied) = (keys(1..=7), keys(5..=9));
    admin.replica.set_publish_state(PublishState {
        allowed: allowed.iter().copied().collect(),
        denied: denied.iter().copied().collect(),
        ..PublishState::default()
    });
    for (list, all) in [("allowed", allowed), ("denied", denied)] {
        let (mut received, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/policy/{list}?count=3{after}");
            let page = admin.get(&path).await.json();
            let page_keys = page["keys"].as_array().unwrap();
            assert!(page_keys.len() <= 3);
            received.extend(page_keys.iter().map(|key| key.as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(received, texts(&all));
        let answer = admin.get(&format!("/v1/policy/{list}?count=1001")).await;
        assert_eq!(answer.slug(), "bad-request");
    }
}

#[tokio::test]
async fn a_token_is_returned_once_and_stored_as_a_hash() {
    let admin = Fixture::new();
    let mut created = Vec::new();
    for name in ["ci", "home"] {
        let answer = post(&admin, "tokens", json!({ "name": name })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        // The prefix, and 32 bytes in base64.
        assert!(
            token.starts_with("quorate-publish-") && token.len() == 16 + 43,
            "{token}"
        );
        let hash = TokenHash(Sha256::digest(&token).into());
        assert!(admin.replica.publishing().has_token(&hash));
        created.push(token);
    }
    assert_ne!(created[0], created[1]);
    let listed = admin.get("/v1/policy/tokens").await;
    assert_eq!(listed.json(), json!({"names": ["ci", "home"]}));
    let policy = admin.get("/v1/policy").await;
    assert_eq!(policy.json()["token_count"], 2);
    for (token, answer) in created
        .iter()
        .flat_map(|token| [(token, &listed), (token, &policy)])
    {
        let hash = HEXLOWER.encode(&Sha256::digest(token));
        assert!(!answer.text().contains(token) && !answer.text().contains(&hash));
    }

    let before = admin.replica.publishing();
    let answer = post(&admin, "tokens", json!({"name": "ci"})).await;
    assert_eq!(answer.slug(), "token-exists");
    assert_eq!(admin.replica.publishing(), before);
    let removed = admin.ask("DELETE", "/v1/policy/tokens/ci", "").await;
    assert_eq!(removed.json()["token_count"], 1);
    assert!(!admin.replica.publishing().tokens.contains_key("ci"));
}

/// Otherwise an operator who misspells a leaked token would believe that it is revoked.
#[tokio::test]
async fn removing_an_unknown_token_reports_it() {
    let admin = Fixture::new();
    let answer = admin.ask("DELETE", "/v1/policy/tokens/ic", "").await;
    assert_eq!(answer.slug(), "unknown-token");
    // The request is sent anyway, because the cluster may know the token already.
    let removal = PublishChange::RemoveToken("ic".to_owned());
    let requests = admin.replica.operators.take_requests();
    assert_eq!(requests, [ChangePublishing { change: removal }.into()]);
    let answer = admin.ask("DELETE", "/v1/policy/tokens/a%20b", "").await;
    assert_eq!(answer.slug(), "bad-request");
    assert_eq!(admin.replica.operators.take_requests(), []);
}

#[tokio::test]
async fn a_deletion_reports_whether_a_packet_was_stored_and_can_be_repeated() {
    let admin = Fixture::new();
    let stored = received_now(packet(1, 7, "x", 30));
    let key = *stored.packet.key();
    admin.replica.store(stored);
    let path = format!("/v1/packets/{key}");
    for (query, block_secs, was_stored) in [
        ("", None, true),
        ("", None, false),
        ("?block_secs=0", Some(0), false),
        ("?block_secs=604800", Some(604_800), false),
    ] {
        let answer = admin.ask("DELETE", &format!("{path}{query}"), "").await;
        let expected = json!({"key": key.to_string(), "was_stored": was_stored});
        assert_eq!(answer.json(), expected);
        let requests = admin.replica.operators.take_requests();
        assert_eq!(requests, [DeletePacket { key, block_secs }.into()]);
        assert_eq!(admin.get(&path).await.slug(), "unknown-packet");
    }
    for query in ["?block_secs=31622401", "?block_secs=x", "?block=7d"] {
        let answer = admin.ask("DELETE", &format!("{path}{query}"), "").await;
        assert_eq!(answer.slug(), "bad-request", "{query}");
    }
    let answer = admin.ask("DELETE", "/v1/packets/alice", "").await;
    assert_eq!(answer.slug(), "bad-request");
    assert_eq!(admin.replica.operators.take_requests(), []);
}

#[tokio::test]
async fn deleted_packets_are_listed_with_their_blocks() {
    let admin = Fixture::new();
    let some = keys([1, 2]);
    let deletion = |micros, blocked_until| Deletion {
        timestamp: Timestamp::from_micros(micros),
        blocked_until,
    };
    admin.replica.set_publish_state(PublishState {
        deleted: [
            (some[0], deletion(7, None)),
            (some[1], deletion(8, Some(UnixMillis(9)))),
        ]
        .into(),
        ..PublishState::default()
    });
    let deletion = |key: &PublicKey, micros: u64, until: Value| json!({"key": key.to_string(), "timestamp_us": micros, "blocked_until_ms": until});
    assert_eq!(
        admin.get("/v1/deletions").await.json(),
        json!({
            "deletions": [deletion(&some[0], 7, Value::Null), deletion(&some[1], 8, json!(9))],
            "next": null,
        })
    );
    let page = admin.get("/v1/deletions?count=1").await.json();
    assert_eq!(page["next"], some[0].to_string());
}
