use axum::http::StatusCode;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_reload_returns_what_changed_and_what_needs_a_restart() {
    let admin = Fixture::new();
    let answer = admin.ask("POST", "/v1/reload", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({ "changed": ["limit.put_burst"], "needs_restart": ["http.listen"] })
    );
}

#[tokio::test]
async fn a_rejected_reload_has_a_reason() {
    let admin = Fixture::new();
    let reason = "limit.put_burst: 0 is not between 1 and 9";
    *admin.runtime.reloads.lock().unwrap() = Err(reason.into());
    let answer = admin.ask("POST", "/v1/reload", "").await;
    assert_eq!(answer.slug(), "refused-reload");
    assert_eq!(answer.problem().detail, reason);
}

#[tokio::test]
async fn the_log_filter_is_changed_if_it_is_valid() {
    let admin = Fixture::new();
    let path = "/v1/log-filter";
    assert_eq!(admin.get(path).await.json(), json!({ "filter": "info" }));
    let debug = json!({ "filter": "info,quorate_raft=debug" });
    let answer = admin.ask("PUT", path, &debug.to_string()).await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::OK, debug.clone())
    );

    let answer = admin.ask("PUT", path, r#"{"filter":"loud"}"#).await;
    assert_eq!(answer.slug(), "bad-request");
    assert!(answer.problem().detail.contains("no level"));
    assert_eq!(admin.get(path).await.json(), debug);
}
