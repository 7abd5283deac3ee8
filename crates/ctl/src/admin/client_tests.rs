use quorate_api::{LogFilter, ProblemType, path};
use tokio::net::TcpListener;

use reqwest::StatusCode;

use super::*;
use crate::admin::{
    Session,
    canned::{Answer, CannedNode, outcome, session},
};

fn filter() -> LogFilter {
    LogFilter {
        filter: "info".to_owned(),
    }
}

fn call() -> ApiCall {
    ApiCall::get(path::LOG_FILTER)
}

/// The message and the exit code of a client without retries, at a node with this answer.
async fn rejected(answer: Answer) -> (String, u8) {
    let node = CannedNode::start([answer]).await;
    let (mut session, _) = session(&node.url, None, false);
    session.retry_policy.retry_timeout = Duration::ZERO;
    failed(session).await
}

async fn failed(mut session: Session) -> (String, u8) {
    let result = session.call::<LogFilter>(&call()).await;
    outcome(result.map(drop).map_err(Into::into)).unwrap_err()
}

#[tokio::test]
async fn a_problem_is_printed_with_the_message_of_the_node() {
    let answer = Answer::problem(
        ProblemType::NoLiveQuorum,
        "1 of 3 voters\nwould\x1b be live",
    );
    let expected = "1 of 3 voters\nwould\u{fffd} be live";
    assert_eq!(rejected(answer).await, (expected.to_owned(), 1));
}

#[tokio::test]
async fn a_problem_of_a_newer_node_is_printed_too() {
    let mut answer = Answer::problem(ProblemType::Busy, "later");
    answer.body = r#"{"type":"urn:quorate:problem:new","title":"New","status":409}"#.into();
    assert_eq!(rejected(answer).await, ("New".to_owned(), 1));
}

#[tokio::test]
async fn scripts_can_distinguish_problems() {
    for kind in ProblemType::ALL {
        let expected = match kind {
            ProblemType::NotAuthorized
            | ProblemType::WrongToken
            | ProblemType::Scope
            | ProblemType::Foreign
            | ProblemType::ForbiddenKey
            | ProblemType::BlockedKey => 4,
            ProblemType::BodyLost
            | ProblemType::Busy
            | ProblemType::NotCaughtUp
            | ProblemType::RateLimited
            | ProblemType::Full
            | ProblemType::NoLeader
            | ProblemType::NotServed
            | ProblemType::Overloaded
            | ProblemType::Unavailable
            | ProblemType::UnknownOutcome => 5,
            _ => 1,
        };
        let (text, code) = rejected(Answer::problem(*kind, "detail")).await;
        assert_eq!(code, expected, "{text}");
        assert!(text.starts_with("detail"));
    }
}

#[tokio::test]
async fn a_missing_token_is_reported_with_the_flags_to_set_it() {
    let (text, _) = rejected(Answer::problem(ProblemType::NotAuthorized, "no token came")).await;
    assert!(text.contains("--token-file FILE"), "{text}");
}

#[tokio::test]
async fn a_token_is_sent_as_a_bearer_token() {
    let node = CannedNode::start([Answer::json(StatusCode::OK, &filter())]).await;
    let token = Token::find(None, ("VARIABLE", Some("quorate-admin-a".into()))).unwrap();
    let (mut session, _) = session(&node.url, token, false);
    let answer: LogFilter = session.call(&call()).await.unwrap();
    assert_eq!(answer, filter());
    let request = node.requests().remove(0);
    assert_eq!(
        request.authorization.as_deref(),
        Some("Bearer quorate-admin-a")
    );
}

/// The token would go there too.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = CannedNode::start([Answer::json(StatusCode::OK, &filter())]).await;
    let mut answer = Answer::json(StatusCode::TEMPORARY_REDIRECT, &());
    answer.location = elsewhere.url.at(path::LOG_FILTER).to_string();
    let (text, code) = rejected(answer).await;
    assert!(text.contains("307 Temporary Redirect"), "{text}");
    assert_eq!((code, elsewhere.requests().len()), (1, 0));
}

#[tokio::test]
async fn temporary_rejections_are_retried() {
    let no_leader = Answer::problem(ProblemType::NoLeader, "none was elected");
    let busy = Answer::problem(ProblemType::Busy, "a node is\nbeing removed");
    let done = Answer::json(StatusCode::OK, &filter());
    let answers = [no_leader.clone(), no_leader, busy, done];
    let node = CannedNode::start(answers).await;
    let (mut session, captured) = session(&node.url, None, false);
    let put = ApiCall::put(path::LOG_FILTER, &filter());
    let answer: LogFilter = session.call(&put).await.unwrap();
    assert_eq!(answer, filter());
    let requests = node.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| *request == requests[0]));
    assert_eq!(requests[0].body, r#"{"filter":"info"}"#);
    assert_eq!(
        requests[0].content_type.as_deref(),
        Some("application/json")
    );
    // Each reason is printed once, and not to standard output.
    assert_eq!(captured.data(), "");
    assert_eq!(
        captured.notes(),
        "quorate: none was elected; retrying for 30s\n\
         quorate: a node is being removed; retrying for 30s\n"
    );
}

#[tokio::test]
async fn permanent_rejections_are_not_retried() {
    let node = CannedNode::start([Answer::problem(ProblemType::NoLeader, "none")]).await;
    let (mut session, _) = session(&node.url, None, false);
    session.retry_policy.retry_timeout = Duration::from_millis(500);
    let (text, code) = failed(session).await;
    assert_eq!((text.as_str(), code), ("none", 5));
    assert!(node.requests().len() > 1);
}

#[tokio::test]
async fn an_unreachable_admin_url_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (text, code) = failed(session(&url.parse().unwrap(), None, false).0).await;
    let expected = format!("no node can be reached at {url}: set --admin URL or QUORATE_ADMIN");
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn an_incomplete_answer_is_an_unknown_result() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let (text, code) = failed(session(&url.parse().unwrap(), None, false).0).await;
    assert!(text.contains("may have been done or not"), "{text}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn an_answer_that_is_not_from_a_node_is_reported_as_such() {
    let mut page = Answer::json(StatusCode::OK, &());
    page.body = "<html>\n\x1b[2J".into();
    let (text, code) = rejected(page.clone()).await;
    assert!(
        text.contains("does not have the admin API of this version: 200 OK"),
        "{text}"
    );
    assert_eq!(code, 1);

    page.status = StatusCode::NOT_FOUND;
    let (text, code) = rejected(page).await;
    assert!(
        text.ends_with("404 Not Found, <html> \u{fffd}[2J"),
        "{text}"
    );
    assert_eq!(code, 1);
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let mut answer = Answer::json(StatusCode::OK, &());
    answer.body = b" ".repeat(ANSWER_SIZE_MAX + 1);
    let (text, _) = rejected(answer).await;
    assert!(text.contains("EOF while parsing"), "{text}");
}
