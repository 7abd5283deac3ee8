use axum::http::StatusCode;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_reload_says_what_changed_and_what_waits_for_a_restart() {
    let admin = Fixture::new();
    let answer = admin.ask("POST", "/v1/reload", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({ "changed": ["limit.put_burst"], "needs_restart": ["http.listen"] })
    );
}

#[tokio::test]
async fn a_reload_that_is_refused_says_why() {
    let admin = Fixture::new();
    let said = "limit.put_burst: 0 is not from 1 to 9";
    *admin.runtime.reloads.lock().unwrap() = Err(said.into());
    let answer = admin.ask("POST", "/v1/reload", "").await;
    assert_eq!(answer.slug(), "refused-reload");
    assert_eq!(answer.problem().detail, said);
}

#[tokio::test]
async fn the_log_filter_is_changed_or_stays() {
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
