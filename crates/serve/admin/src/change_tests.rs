use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
    time::Duration,
};

use axum::http::{StatusCode, header};
use quorate_api::{ChangeRequest, MemberChange, Problem, ProblemType};
use serde_json::Value;

use crate::{
    Scope,
    fixture::{ELSEWHERE, Fixture, request},
};

/// How long a test waits for what must happen, before it fails.
const LONG: Duration = Duration::from_secs(30);

thread_local! {
    /// The log of this thread. Each test has its own thread.
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of this test.
struct Log;

impl Log {
    /// All tests share one subscriber. If each had its own, one that filters a line could hide it
    /// from the others too.
    fn start() -> Self {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            tracing_subscriber::fmt()
                .json()
                .with_writer(|| LogWriter)
                .init();
            tracing::callsite::rebuild_interest_cache();
        });
        Self
    }

    /// Returns the lines of the audit log, and clears the log.
    fn take(&self) -> Vec<Value> {
        let bytes = LOGGED.take();
        let lines = str::from_utf8(&bytes).unwrap().lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let audit = lines.filter(|line| line["target"] == "quorate::audit");
        audit.map(|line| line["fields"].clone()).collect()
    }
}

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_change_is_a_line_of_the_audit_log() {
    let admin = Fixture::new();
    let log = Log::start();
    let body = r#"{"with":"fra-2","force":true}"#;
    let mut sent = request("POST", "/v1/members/fra-1/replace", body);
    let bearer = admin.bearer(Scope::Operate).parse().unwrap();
    sent.headers_mut().insert(header::AUTHORIZATION, bearer);
    let answer = admin.send(ELSEWHERE, sent).await;
    assert_eq!(answer.status, StatusCode::OK);
    let lines = log.take();
    let [line] = &lines[..] else {
        panic!("one line: {lines:?}")
    };
    for (field, value) in [
        ("by", "operate"),
        ("peer", ELSEWHERE),
        ("method", "POST"),
        ("path", "/v1/members/fra-1/replace"),
        ("request", body),
        ("outcome", "done"),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    assert_eq!(line["subject"], answer.json()["node"]);

    admin.replica.operators.set_lag(Some(7));
    admin.ask("POST", "/v1/members/fra-1/promote", "").await;
    let line = &log.take()[0];
    assert_eq!(line["outcome"], "in progress");
    assert_eq!(line["by"], "socket");

    admin
        .ask("DELETE", "/v1/members/fra-1?force=true", "")
        .await;
    assert_eq!(log.take()[0]["path"], "/v1/members/fra-1?force=true");
}

#[tokio::test]
async fn rejected_changes_are_in_the_audit_log_with_the_caller() {
    let admin = Fixture::new();
    let log = Log::start();
    let sent = request("POST", "/v1/reload", "secret");
    admin.send(ELSEWHERE, sent).await;
    let line = &log.take()[0];
    assert_eq!(line["by"], "nobody");
    assert_eq!(line["outcome"], "urn:quorate:problem:not-authorized");
    assert_eq!(line["request"], "", "a stranger's body is not read");

    let mut sent = request("POST", "/v1/reload", "");
    let bearer = admin.bearer(Scope::Read).parse().unwrap();
    sent.headers_mut().insert(header::AUTHORIZATION, bearer);
    admin.send(ELSEWHERE, sent).await;
    let line = &log.take()[0];
    assert_eq!(line["by"], "read");
    assert_eq!(line["outcome"], "urn:quorate:problem:scope");

    admin
        .replica
        .operators
        .reject(Problem::new(ProblemType::LastVoter, "the last"));
    admin.ask("DELETE", "/v1/members/fra-1", "").await;
    let line = &log.take()[0];
    assert_eq!(line["outcome"], "urn:quorate:problem:last-voter");
}

#[tokio::test]
async fn neither_reads_nor_secrets_are_in_the_audit_log() {
    let admin = Fixture::new();
    let log = Log::start();
    for path in ["/v1/status", "/v1/members", "/metrics", "/v1/log-filter"] {
        admin.get(path).await;
    }
    assert_eq!(log.take(), [] as [Value; 0]);

    let answer = admin.ask("POST", "/v1/members/invites", "").await.json();
    let line = &log.take()[0];
    assert_eq!(line["subject"], answer["invite"]);
    assert!(!line.to_string().contains("quorate-join"), "{line}");
}

/// A client cannot avoid the audit log or interrupt its change by disconnecting.
#[tokio::test]
async fn a_change_continues_without_its_client() {
    let admin = Fixture::new();
    let log = Log::start();
    let operators = &admin.replica.operators;
    operators.answers_changes.send_replace(false);
    let mut sent = operators.request_count.subscribe();
    tokio::select! {
        _ = admin.ask("POST", "/v1/members/fra-1/demote", "") => panic!("it waits"),
        _ = sent.wait_for(|count| *count == 1) => {}
    }
    assert_eq!(log.take(), [] as [Value; 0]);
    operators.answers_changes.send_replace(true);
    let written = async {
        loop {
            tokio::task::yield_now().await;
            if let [line, ..] = &log.take()[..] {
                break line.clone();
            }
        }
    };
    let line = tokio::time::timeout(LONG, written).await;
    assert_eq!(line.expect("the line is written")["outcome"], "done");
}

/// Without a preflight, a browser can only send forms and plain text to another site.
#[tokio::test]
async fn no_web_page_can_make_a_browser_change_the_cluster() {
    let admin = Fixture::new();
    for media_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=application/json"),
        Some("application/jsonp"),
    ] {
        let mut sent = request("POST", "/v1/members/fra-1/promote", "{}");
        sent.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(media_type) = media_type {
            let media_type = media_type.parse().unwrap();
            sent.headers_mut().insert(header::CONTENT_TYPE, media_type);
        }
        let answer = admin.send_on_socket(sent).await;
        assert_eq!(answer.slug(), "media-type", "{media_type:?}");
    }
    assert_eq!(admin.replica.operators.take_requests(), []);

    let mut sent = request("POST", "/v1/members/fra-1/promote", "{}");
    let media_type = "Application/JSON; charset=utf-8".parse().unwrap();
    sent.headers_mut().insert(header::CONTENT_TYPE, media_type);
    assert_eq!(admin.send_on_socket(sent).await.status, StatusCode::OK);
    let mut sent = request("DELETE", "/v1/members/fra-1", "");
    sent.headers_mut().remove(header::CONTENT_TYPE);
    assert_eq!(admin.send_on_socket(sent).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_invalid_body_changes_nothing() {
    let admin = Fixture::new();
    for (method, path, body) in [
        ("POST", "/v1/members/a/promote", r#"{"forced":true}"#),
        ("POST", "/v1/members/a/promote", r#"{"force":"yes"}"#),
        ("POST", "/v1/members/a/promote", "{"),
        ("POST", "/v1/members/a/promote", "{}{}"),
        ("POST", "/v1/members/a/replace", ""),
        ("POST", "/v1/members/a/move", "{}"),
        ("POST", "/v1/members/invites", r#"{"valid_secs":-1}"#),
        ("POST", "/v1/members/invites", r#"{"valid_secs":9}"#),
        ("POST", "/v1/members/invites", r#"{"valid_secs":604801}"#),
        ("POST", "/v1/reload", r#"{"now":true}"#),
        ("DELETE", "/v1/members/a", r#"{"force":true}"#),
        ("DELETE", "/v1/members/a?forced=true", ""),
        ("DELETE", "/v1/members/a?force=yes", ""),
        ("DELETE", "/v1/members/%ff", ""),
    ] {
        let answer = admin.ask(method, path, body).await;
        assert_eq!(answer.slug(), "bad-request", "{path} {body}");
        assert!(!answer.problem().detail.is_empty());
    }
    let long = format!(r#"{{"with":"{}"}}"#, "x".repeat(4096));
    let answer = admin.ask("POST", "/v1/members/a/replace", &long).await;
    assert_eq!(answer.slug(), "too-long");
    assert_eq!(admin.replica.operators.take_requests(), []);
}

#[tokio::test]
async fn reads_that_a_token_does_not_permit_are_in_the_audit_log() {
    let admin = Fixture::new();
    let log = Log::start();
    for (scope, count) in [(Scope::Metrics, 1), (Scope::Read, 0)] {
        let mut sent = request("GET", "/v1/members", "");
        let bearer = admin.bearer(scope).parse().unwrap();
        sent.headers_mut().insert(header::AUTHORIZATION, bearer);
        admin.send(ELSEWHERE, sent).await;
        let lines = log.take();
        assert_eq!(lines.len(), count, "{lines:?}");
        for line in lines {
            assert_eq!(line["by"], "metrics");
            assert_eq!(line["path"], "/v1/members");
            assert_eq!(line["outcome"], "urn:quorate:problem:scope");
        }
    }
}

/// 10,000 requests with paths of 15 KiB, by strangers and with a guessed token.
#[tokio::test]
async fn a_flood_of_rejected_requests_writes_few_short_lines_and_hides_nothing() {
    let admin = Fixture::new();
    let log = Log::start();
    let path = format!("/v1/members/{}/promote", "a".repeat(15_000));
    for at in 0..10_000 {
        let mut sent = request("POST", &path, "");
        if at % 2 == 0 {
            let guessed = "Bearer quorate-admin-AAAA".parse().unwrap();
            sent.headers_mut().insert(header::AUTHORIZATION, guessed);
        }
        assert_eq!(admin.send(ELSEWHERE, sent).await.slug(), "not-authorized");
    }
    let lines = log.take();
    assert_eq!(lines.len(), 30);
    let size: usize = lines.iter().map(|line| line.to_string().len()).sum();
    assert!(size < 30 * 1024, "{size}");
    let shown = lines[0]["path"].as_str().unwrap();
    assert!(shown.starts_with("/v1/members/aaa"), "{shown}");
    assert!(shown.ends_with("… (15020 bytes)"), "{shown}");

    // What somebody with a token tries is written nevertheless, and so is every accepted change.
    let mut sent = request("POST", "/v1/reload", "");
    let bearer = admin.bearer(Scope::Read).parse().unwrap();
    sent.headers_mut().insert(header::AUTHORIZATION, bearer);
    admin.send(ELSEWHERE, sent).await;
    assert_eq!(log.take()[0]["by"], "read");
    for _ in 0..100 {
        admin.ask("POST", "/v1/reload", "").await;
    }
    assert_eq!(log.take().len(), 100);
}

#[test]
fn the_lines_that_were_left_out_are_counted() {
    use crate::audit::AuditLog;
    let log = AuditLog::new();
    let now = std::time::Instant::now();
    let written = (0..10_000).filter(|_| log.take("nobody", now).is_some());
    assert_eq!(written.count(), 30);
    let later = log.take("nobody", now + 2 * LONG);
    assert_eq!(later.unwrap().unwrap().get(), 9_970);
}

#[tokio::test]
async fn an_empty_body_counts_as_an_empty_object() {
    let admin = Fixture::new();
    for body in ["", "{}"] {
        admin.ask("POST", "/v1/members/a/promote", body).await;
        let sent = admin.replica.operators.take_requests();
        let promoted = MemberChange::Promote(ChangeRequest::default()).of("a");
        assert_eq!(sent, [promoted.into()]);
    }
}

/// More people can read the log than may publish.
#[tokio::test]
async fn a_token_for_publishing_is_in_no_line_of_the_log() {
    let admin = Fixture::new();
    let log = Log::start();
    let answer = admin
        .ask("POST", "/v1/policy/tokens", r#"{"name":"ci"}"#)
        .await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let lines = log.take();
    let [line] = &lines[..] else {
        panic!("one line: {lines:?}")
    };
    assert_eq!(line["request"], r#"{"name":"ci"}"#);
    assert_eq!(line["outcome"], "done");
    let hash = data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(&token));
    let text = line.to_string();
    assert!(!text.contains(&token) && !text.contains(&hash), "{text}");
}
