use axum::http::{StatusCode, header};
use quorate_api::{
    AdminRequest, ChangeRequest, InviteRequest, MemberChange, MoveRequest, NodeId, Problem,
    ProblemType, RemoveRequest, ReplaceRequest, TransferRequest,
};
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[tokio::test]
async fn members_are_listed_as_the_leader_sees_them() {
    let answer = Fixture::new().get("/v1/members").await;
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let answer = answer.json();
    let node = answer["leader"].as_str().unwrap();
    assert!(node.parse::<NodeId>().is_ok());
    assert_eq!(
        answer,
        json!({
            "cluster": "02".repeat(32),
            "leader": node,
            "members": [{
                "node": node,
                "name": "fra-1",
                "role": "voter",
                "address": "fra-1.example:9000",
                "state": "leader",
                "lag": 0,
                "last_heard_ms": null,
                "not_electable": [],
                "level": 1,
                "level_hold": false,
            }],
        })
    );
}

#[tokio::test]
async fn members_are_listed_without_a_leader_too() {
    let admin = Fixture::new();
    admin.replica.operators.lose_leader();
    let answer = admin.get("/v1/members").await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = answer.json();
    assert_eq!(answer["leader"], Value::Null);
    assert_eq!(answer["members"][0]["name"], "fra-1");
}

fn invite(learner: bool, valid_secs: u64, uses: u32) -> AdminRequest {
    let request = InviteRequest {
        learner,
        valid_secs,
        uses,
    };
    request.into()
}

#[tokio::test]
async fn an_invite_returns_its_token_once() {
    let admin = Fixture::new();
    let body = r#"{"learner":true,"valid_secs":60,"uses":3}"#;
    let answer = admin.ask("POST", "/v1/members/invites", body).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let answer = answer.json();
    let token = answer["token"].as_str().unwrap();
    assert!(token.parse::<quorate_peer::JoinToken>().is_ok());
    assert_eq!(answer["invite"], "03".repeat(16));
    assert_eq!(answer["expires_ms"], 1000);
    admin.ask("POST", "/v1/members/invites", "").await;
    assert_eq!(
        admin.replica.operators.take_requests(),
        [invite(true, 60, 3), invite(false, 3600, 1)]
    );
}

#[tokio::test]
async fn requests_reach_the_cluster_unchanged() {
    let admin = Fixture::new();
    let force = |force| ChangeRequest { force };
    let with = ReplaceRequest {
        with: "b".to_owned(),
        force: false,
    };
    let to = MoveRequest {
        address: "b:1".to_owned(),
    };
    let forced = r#"{"force":true}"#;
    let removal = |force, compromised| RemoveRequest { force, compromised };
    for (method, path, body, change) in [
        ("POST", "/promote", "", MemberChange::Promote(force(false))),
        (
            "POST",
            "/promote",
            forced,
            MemberChange::Promote(force(true)),
        ),
        ("POST", "/demote", forced, MemberChange::Demote(force(true))),
        (
            "DELETE",
            "",
            "",
            MemberChange::Remove(removal(false, false)),
        ),
        (
            "DELETE",
            "?compromised=true",
            "",
            MemberChange::Remove(removal(false, true)),
        ),
        (
            "DELETE",
            "?force=true",
            "",
            MemberChange::Remove(removal(true, false)),
        ),
        (
            "POST",
            "/replace",
            r#"{"with":"b"}"#,
            MemberChange::Replace(with),
        ),
        (
            "POST",
            "/move",
            r#"{"address":"b:1"}"#,
            MemberChange::Move(to),
        ),
    ] {
        let path = format!("/v1/members/fra%201{path}");
        let answer = admin.ask(method, &path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.json()["state"], "done");
        let requests = admin.replica.operators.take_requests();
        assert_eq!(requests, [change.of("fra 1").into()], "{path}");
    }
}

#[tokio::test]
async fn a_change_that_waits_reports_the_lag() {
    let admin = Fixture::new();
    admin.replica.operators.set_lag(Some(12));
    admin
        .replica
        .operators
        .warn("4 voters survive no more failures than 3 do");
    let answer = admin.ask("POST", "/v1/members/a/promote", "").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let answer = answer.json();
    assert_eq!(answer["state"], "catching_up");
    assert_eq!(answer["lag"], 12);
    assert_eq!(
        answer["warnings"],
        json!(["4 voters survive no more failures than 3 do"])
    );
}

#[tokio::test]
async fn leadership_is_transferred_to_the_named_node_or_the_best_one() {
    let admin = Fixture::new();
    for (body, to) in [
        ("", None),
        (r#"{"to":null}"#, None),
        (r#"{"to":"fra-2"}"#, Some("fra-2".to_owned())),
    ] {
        let answer = admin.ask("POST", "/v1/leader/transfer", body).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json()["leader"].is_string());
        let requests = admin.replica.operators.take_requests();
        assert_eq!(requests, [TransferRequest { to }.into()]);
    }
}

#[tokio::test]
async fn each_problem_is_returned_and_documented() {
    let admin = Fixture::new();
    for problem_type in [
        ProblemType::NoLeader,
        ProblemType::UnknownNode,
        ProblemType::AmbiguousNode,
        ProblemType::NoLiveQuorum,
        ProblemType::LastVoter,
        ProblemType::Busy,
        ProblemType::NotCaughtUp,
        ProblemType::UnsuitableNode,
        ProblemType::BadAddress,
        ProblemType::InviteCount,
        ProblemType::UnsupportedLevel,
        ProblemType::Unavailable,
    ] {
        let problem_of_cluster = Problem::new(problem_type, format!("{problem_type} this time"));
        admin.replica.operators.reject(problem_of_cluster.clone());
        let answer = admin.ask("POST", "/v1/members/a/promote", "").await;
        let problem = answer.problem();
        assert_eq!(problem, problem_of_cluster);
        let retry_after = answer.headers.contains_key(header::RETRY_AFTER);
        assert_eq!(retry_after, problem.retry, "{problem_of_cluster}");

        // Every problem that a change can have is documented with its type.
        let document = admin.get("/v1/openapi.json").await.json();
        let path = match problem_type {
            ProblemType::InviteCount => "/v1/members/invites",
            _ => "/v1/members/{node}/promote",
        };
        let responses = &document["paths"][path]["post"]["responses"];
        let described = &responses[problem.status.to_string()]["description"];
        let described = described.as_str().unwrap_or_default();
        assert!(described.contains(problem_type.uri()), "{problem_type}");
    }
    let unready = admin.get("/v1/members").await;
    assert_eq!(unready.slug(), "unavailable");
    assert_eq!(unready.json()["retry"], Value::Bool(true));
}
