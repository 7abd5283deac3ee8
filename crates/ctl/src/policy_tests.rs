use axum::http::{Method, StatusCode};
use quorate_api::ProblemType;
use serde_json::{Value, json};

use super::*;
use crate::{
    admin::canned::{self, Answer, CannedNode, Outcome},
    console::captured::Captured,
};

/// Runs the command of these words at a node. Returns the output and the result.
async fn run_at(node: &CannedNode, words: &[&str]) -> (Captured, Outcome) {
    node.run(&[&["policy"], words].concat()).await
}

fn policy(mode: PublishMode) -> Policy {
    Policy {
        mode,
        allowed_count: 0,
        denied_count: 2,
        token_count: 0,
        deletion_count: 3,
    }
}

fn now(mode: PublishMode) -> Answer {
    Answer::json(StatusCode::OK, &policy(mode))
}

fn key(byte: u8) -> String {
    PublicKey::from_bytes([byte; 32]).to_string()
}

#[tokio::test]
async fn the_policy_is_shown_with_a_warning_if_nobody_may_publish() {
    let node = CannedNode::start([now(PublishMode::AllowList)]).await;
    let (captured, outcome) = run_at(&node, &["show"]).await;
    assert_eq!(outcome, Ok(()));
    let expected = "\
MODE        ALLOWED  DENIED  TOKENS  DELETED
allow-list  0        2       0       3
";
    assert_eq!(captured.data(), expected);
    let notes = captured.notes();
    assert!(notes.contains("nobody may publish"), "{notes}");

    let open = policy(PublishMode::Open);
    let node = CannedNode::start([Answer::json(StatusCode::OK, &open)]).await;
    let (captured, _) = run_at(&node, &["show", "--json"]).await;
    let expected: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(expected, serde_json::to_value(&open).unwrap());
    assert_eq!(captured.notes(), "");
}

#[tokio::test]
async fn a_mode_is_set_as_it_is_typed() {
    for (word, mode, body) in [
        ("open", PublishMode::Open, r#"{"mode":"open"}"#),
        (
            "allow-list",
            PublishMode::AllowList,
            r#"{"mode":"allow_list"}"#,
        ),
        ("tokens", PublishMode::Tokens, r#"{"mode":"tokens"}"#),
    ] {
        let node = CannedNode::start([now(mode)]).await;
        let (captured, outcome) = run_at(&node, &["mode", word]).await;
        assert_eq!(outcome, Ok(()));
        let request = node.requests().remove(0);
        let expected = ("/v1/policy/mode", body);
        assert_eq!((request.target.as_str(), request.body.as_str()), expected);
        let notes = captured.notes();
        let expected = format!("quorate: the mode is {word}\n");
        assert!(notes.starts_with(&expected), "{notes}");
        assert_eq!(notes.contains("nobody"), word != "open");
    }
}

#[tokio::test]
async fn keys_come_from_arguments_and_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("# more\n{}\n", key(2))).unwrap();
    let file = file.path().to_str().unwrap();
    for (word, note) in [
        ("allow", "0 keys are allowed now"),
        ("disallow", "0 keys are allowed now"),
        ("deny", "2 keys are denied now"),
        ("undeny", "2 keys are denied now"),
    ] {
        let node = CannedNode::start([now(PublishMode::Open)]).await;
        let words = [word, &key(1), "--file", file];
        let (captured, outcome) = run_at(&node, &words).await;
        assert_eq!(outcome, Ok(()));
        let request = node.requests().remove(0);
        assert_eq!(request.target, "/v1/policy/keys");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body, json!({"change": word, "keys": [key(1), key(2)]}));
        assert_eq!(captured.notes(), format!("quorate: {note}\n"));
    }
    assert!(canned::parse(&["policy", "deny"]).is_err());
    assert!(canned::parse(&["policy", "deny", "alice"]).is_err());
}

#[tokio::test]
async fn more_keys_than_fit_one_request_are_sent_in_several() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, (key(1) + "\n").repeat(4_097)).unwrap();
    let words = ["deny", "--file", file.path().to_str().unwrap()];
    let node = CannedNode::start([now(PublishMode::Open)]).await;
    let (_, outcome) = run_at(&node, &words).await;
    assert_eq!(outcome, Ok(()));
    let count = |requests: &str| {
        let body: PublishKeysRequest = serde_json::from_str(requests).unwrap();
        body.keys.len()
    };
    let counts: Vec<_> = node
        .requests()
        .iter()
        .map(|request| count(&request.body))
        .collect();
    assert_eq!(counts, [4_096, 1]);

    let full = Answer::problem(ProblemType::RefusedPolicy, "there is no room");
    let node = CannedNode::start([now(PublishMode::Open), full]).await;
    let (_, outcome) = run_at(&node, &words).await;
    let expected = "the first 4096 keys were changed, the others were not: there is no room";
    assert_eq!(outcome, Err((expected.to_owned(), 1)));
}

#[tokio::test]
async fn a_list_is_printed_completely() {
    let page = |key: &str, next: Option<&str>| {
        let page = KeyPage {
            keys: vec![key.to_owned()],
            next: next.map(str::to_owned),
        };
        Answer::json(StatusCode::OK, &page)
    };
    let node = CannedNode::start([page("a", Some("a")), page("b", None)]).await;
    let (captured, outcome) = run_at(&node, &["list", "denied"]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(captured.data(), "a\nb\n");
    let targets: Vec<_> = node
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    assert_eq!(
        targets,
        [
            "/v1/policy/denied?count=1000",
            "/v1/policy/denied?count=1000&after=a"
        ]
    );
    let node = CannedNode::start([page("a", None)]).await;
    run_at(&node, &["list", "allowed"]).await.1.unwrap();
    assert_eq!(node.requests()[0].target, "/v1/policy/allowed?count=1000");
}

#[tokio::test]
async fn a_new_token_is_alone_on_standard_output() {
    let created = NewPublishToken {
        name: "ci".to_owned(),
        token: "quorate-publish-x".to_owned(),
    };
    assert!(!format!("{created:?}").contains("publish-x"));
    let node = CannedNode::start([Answer::json(StatusCode::CREATED, &created)]).await;
    let (captured, outcome) = run_at(&node, &["token", "add", "ci"]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(captured.data(), "quorate-publish-x\n");
    assert!(!captured.notes().contains("publish-x"));
    assert_eq!(node.requests()[0].body, r#"{"name":"ci"}"#);

    let node = CannedNode::start([now(PublishMode::Tokens)]).await;
    let (captured, outcome) = run_at(&node, &["token", "remove", "ci"]).await;
    assert_eq!(outcome, Ok(()));
    let request = node.requests().remove(0);
    assert_eq!(request.method, Method::DELETE);
    assert_eq!(request.target, "/v1/policy/tokens/ci");
    assert!(captured.notes().contains("ci is revoked"));

    let names = ["a", "b"].map(str::to_owned).into();
    let tokens = Answer::json(StatusCode::OK, &PublishTokens { names });
    let node = CannedNode::start([tokens]).await;
    let (captured, _) = run_at(&node, &["token", "list"]).await;
    assert_eq!(captured.data(), "a\nb\n");
    for name in ["", "..", "a b", "a/b"] {
        assert!(
            canned::parse(&["policy", "token", "remove", name]).is_err(),
            "{name}"
        );
    }
}
