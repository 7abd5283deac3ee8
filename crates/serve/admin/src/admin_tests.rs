use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt;
use quorate_fake::{FakeReplica, READ_ERROR, packet, received_now};
use quorate_replica::{
    BackupStatus, ClockState, LogIndex, NodeClock, NodeStatus, NotReady, Observer, Role, Term,
    VoterCount,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    AdminConfig,
    fixture::{BUILD, Fixture},
    health_router,
};

/// A follower of three nodes that holds five packets.
fn follower() -> Arc<FakeReplica> {
    let replica = FakeReplica::new();
    replica.change_status(|status| {
        *status = NodeStatus {
            role: Role::Follower,
            leader: Some("b".into()),
            last_log_index: LogIndex(101),
            committed_index: LogIndex(100),
            applied_index: LogIndex(90),
            checkpoint_index: LogIndex(80),
            purged_index: LogIndex(70),
            voters: vec!["a".into(), "b".into(), "c".into()],
            replication_lag: Some(12),
            feature_level: 2,
            packet_count_max: Some(1000),
            packets_size: 1500,
            backup: Some(BackupStatus {
                saved_ms: Some(9_000),
                size: 700,
                ..BackupStatus::default()
            }),
            clock: NodeClock {
                state: ClockState::Agreed,
                offset_ms: Some(1500),
                log_ahead_ms: 0,
            },
            ..status.clone()
        };
    });
    for seed in 1..=5 {
        replica.store(received_now(packet(seed, 7, "x", 30)));
    }
    replica
}

async fn ask(router: &Router, path: &str) -> (StatusCode, Response) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), response)
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

fn admin(replica: &Arc<FakeReplica>) -> Fixture {
    Fixture::over(replica.clone(), &AdminConfig::default())
}

/// The value of a metric in Prometheus' text format.
fn metric(metrics: &str, name: &str) -> f64 {
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect(name).parse().unwrap()
}

#[tokio::test]
async fn a_node_that_is_not_ready_reports_why() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
    for (reason, expected) in [
        (NotReady::Asking, "asking the cluster to accept this node"),
        (NotReady::Opening, "reading the log"),
        (NotReady::Healing, "damaged"),
        (NotReady::Replaying, "applying the log"),
        (NotReady::Checkpointing, "checkpoint"),
        (
            NotReady::Forming(VoterCount {
                voters: 1,
                wanted: 3,
            }),
            "1 of 3 voters",
        ),
        (NotReady::Recovering, "catching up"),
        (NotReady::NoLeader, "no leader"),
        (NotReady::ShuttingDown, "shutting down"),
        (NotReady::Failed, "fatal error"),
    ] {
        replica.change_status(|status| status.not_ready = Some(reason));
        let (status, response) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let text = text(response).await;
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_node_with_a_full_disk_is_ready_and_reports_it() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    replica.change_status(|status| status.disk_full = true);
    let (status, response) = ask(&router, "/readyz").await;
    let expected = text(response).await;
    assert!(status == StatusCode::OK && expected.contains("nearly full"));
    let (status, response) = ask(&router, "/healthz").await;
    let expected = text(response).await;
    assert!(
        status == StatusCode::OK && expected.contains("degraded"),
        "{expected}"
    );
}

#[tokio::test]
async fn livez_fails_only_after_a_fatal_error() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    for (not_ready, alive) in [
        (None, StatusCode::OK),
        (Some(NotReady::Recovering), StatusCode::OK),
        (Some(NotReady::NoLeader), StatusCode::OK),
        (Some(NotReady::ShuttingDown), StatusCode::OK),
        (Some(NotReady::Failed), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        replica.change_status(|status| status.not_ready = not_ready);
        assert_eq!(ask(&router, "/livez").await.0, alive, "{not_ready:?}");
    }
}

#[tokio::test]
async fn health_has_the_keys_of_iroh_dns_server() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    let (status, response) = ask(&router, "/healthz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        json(response).await,
        json!({
            "status": "ok",
            "version": "1.2.3",
            "git_hash": "abc",
            "node": "a",
            "role": "follower",
            "leader": "b",
            "applied_index": 90,
            "clock": { "state": "agreed", "offset_ms": 1500, "log_ahead_ms": 0 },
            "not_ready": null,
            "disk_full": false,
        })
    );
}

#[tokio::test]
async fn a_node_without_a_leader_stays_in_its_load_balancer() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    for (reason, status, word) in [
        (NotReady::NoLeader, StatusCode::OK, "degraded"),
        (
            NotReady::ShuttingDown,
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
        ),
    ] {
        replica.change_status(|status| status.not_ready = Some(reason));
        let (got, response) = ask(&router, "/healthz").await;
        assert_eq!(got, status);
        assert_eq!(json(response).await["status"], word);
    }
}

#[tokio::test]
async fn a_clock_that_disagrees_does_not_make_a_node_unready() {
    let replica = follower();
    let router = health_router(replica.clone(), None, BUILD);
    for state in [ClockState::Disagrees, ClockState::Held, ClockState::Unknown] {
        replica.change_status(|status| status.clock.state = state);
        let (got, response) = ask(&router, "/healthz").await;
        assert_eq!(got, StatusCode::OK);
        let health = json(response).await;
        assert_eq!(health["status"], "degraded", "{state}");
        assert_eq!(health["clock"]["state"], state.to_string());
        assert_eq!(ask(&router, "/readyz").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_admin_api_is_not_served_in_public() {
    let public = health_router(follower(), None, BUILD);
    for path in ["/metrics", "/v1/status", "/v1/digest"] {
        assert_eq!(ask(&public, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let admin = admin(&follower());
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(admin.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_scrape_shows_the_current_state_of_the_replica() {
    let replica = follower();
    let admin = admin(&replica);
    let answer = admin.get("/metrics").await;
    let content_type = &answer.headers[header::CONTENT_TYPE];
    assert!(content_type.to_str().unwrap().contains("version=0.0.4"));
    let metrics = answer.text();
    for (name, value) in [
        ("quorate_build_info{commit=\"abc\",version=\"1.2.3\"}", 1),
        ("quorate_raft_role{role=\"leader\"}", 0),
        ("quorate_raft_role{role=\"follower\"}", 1),
        ("quorate_raft_role{role=\"candidate\"}", 0),
        ("quorate_raft_role{role=\"learner\"}", 0),
        ("quorate_raft_role{role=\"stopped\"}", 0),
        ("quorate_raft_term", 3),
        ("quorate_raft_known_leader", 1),
        ("quorate_raft_ready", 1),
        ("quorate_raft_voters", 3),
        ("quorate_raft_last_log_index", 101),
        ("quorate_raft_committed_index", 100),
        ("quorate_raft_applied_index", 90),
        ("quorate_raft_checkpoint_index", 80),
        ("quorate_raft_purged_index", 70),
        ("quorate_raft_lag_entries", 10),
        ("quorate_raft_replication_lag_entries", 12),
        ("quorate_raft_feature_level", 2),
        ("quorate_clock_state{state=\"agreed\"}", 1),
        ("quorate_clock_state{state=\"disagrees\"}", 0),
        ("quorate_clock_state{state=\"held\"}", 0),
        ("quorate_clock_state{state=\"unknown\"}", 0),
        ("quorate_clock_offset_seconds", 1),
        ("quorate_backup_saved_timestamp_seconds", 9),
        ("quorate_backup_size_bytes", 700),
        ("quorate_backup_failed_timestamp_seconds", 0),
        ("quorate_backup_failures", 0),
        ("quorate_store_packets", 5),
        ("quorate_store_packets_max", 1000),
        ("quorate_store_packets_bytes", 1500),
        ("quorate_store_packets_bytes_max", 0),
        ("quorate_store_size_bytes", 4096),
    ] {
        assert_eq!(metric(metrics, name), value as f64, "{name}");
    }
    assert_eq!(
        metrics
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count(),
        32,
        "the list above is complete"
    );

    replica.change_status(|status| {
        status.role = Role::Candidate;
        status.leader = None;
        status.not_ready = Some(NotReady::NoLeader);
        status.term = Term(u64::MAX);
    });
    let answer = admin.get("/metrics").await;
    let metrics = answer.text();
    for (name, value) in [
        ("quorate_raft_role{role=\"follower\"}", 0),
        ("quorate_raft_role{role=\"candidate\"}", 1),
        ("quorate_raft_known_leader", 0),
        ("quorate_raft_ready", 0),
        ("quorate_raft_term", i64::MAX),
    ] {
        assert_eq!(metric(metrics, name), value as f64, "{name}");
    }
}

#[tokio::test]
async fn status_and_digest_match_the_api() {
    let replica = follower();
    let admin = admin(&replica);
    let answer = admin.get("/v1/status").await.json();
    assert_eq!(answer["role"], "follower");
    assert_eq!(answer["voters"], json!(["a", "b", "c"]));
    assert_eq!(answer["not_ready"], Value::Null);
    let status: quorate_api::NodeStatus = serde_json::from_value(answer.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(status).unwrap(),
        answer,
        "it has no other fields"
    );

    let answer = admin.get("/v1/digest").await.json();
    let sha256 = replica.digest().await.unwrap().sha256;
    assert_eq!(sha256.len(), 64);
    assert_eq!(
        answer,
        json!({ "applied_index": 90, "packet_count": 5, "sha256": sha256 })
    );
}

#[tokio::test]
async fn a_failed_digest_says_why() {
    let replica = follower();
    replica.fail_reads(true);
    let answer = admin(&replica).get("/v1/digest").await;
    assert_eq!(answer.slug(), "unavailable");
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert!(answer.problem().detail.contains(READ_ERROR));
}

#[tokio::test]
async fn digests_are_computed_one_at_a_time() {
    let replica = follower();
    let admin = admin(&replica);
    let requests = (0..8).map(|_| admin.get("/v1/digest"));
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(replica.digest_count_max(), 1);
}
