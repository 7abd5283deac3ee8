use axum::http::{Method, StatusCode};
use quorate_api::{Member, MemberRole, MemberState, Members, ProblemType};
use serde_json::{Value, json};

use super::*;
use crate::{
    admin::canned::{self, Answer, CannedNode, Outcome},
    console::captured::Captured,
};

fn parse(words: &[&str]) -> Result<crate::command::NodeCommand, String> {
    canned::parse(&[&["member"], words].concat())
}

async fn run(node: &CannedNode, words: &[&str]) -> (Captured, Outcome) {
    node.run(&[&["member"], words].concat()).await
}

fn report(state: ChangeState, lag: Option<u64>, warnings: &[&str]) -> Answer {
    let status = match state {
        ChangeState::Done => StatusCode::OK,
        ChangeState::CatchingUp => StatusCode::ACCEPTED,
    };
    let report = ChangeReport {
        state,
        node: "key-b".to_owned(),
        lag,
        warnings: warnings.iter().map(|&warning| warning.to_owned()).collect(),
    };
    Answer::json(status, &report)
}

/// The members `a` and `b`.
pub(crate) fn two_members() -> Answer {
    let member = |name: &str| Member {
        node: format!("key-{name}"),
        name: name.to_owned(),
        role: MemberRole::Voter,
        address: "ns1.example.org:7700".to_owned(),
        state: MemberState::Live,
        lag: None,
        last_heard_ms: None,
        not_electable: Vec::new(),
        level: Some(1),
        level_hold: false,
    };
    let members = Members {
        cluster: None,
        leader: Some("key-a".to_owned()),
        members: vec![member("a"), member("b")],
    };
    Answer::json(StatusCode::OK, &members)
}

fn done() -> Answer {
    report(ChangeState::Done, None, &[])
}

/// `TOKEN=$(quorate member add)` must contain only the token.
#[tokio::test]
async fn standard_output_has_only_the_token() {
    let invited = json!({ "token": "quorate-join-1.abc", "invite": "00ff", "expires_ms": 0 });
    let node = CannedNode::start([Answer::json(StatusCode::CREATED, &invited)]).await;
    let (captured, outcome) = run(
        &node,
        &["add", "--learner", "--valid", "30m", "--uses", "2"],
    )
    .await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(captured.data(), "quorate-join-1.abc\n");
    assert_eq!(
        captured.notes(),
        "quorate: this token is secret and valid until Thu, 01 Jan 1970 00:00:00 GMT, for at most 2 nodes\n\
         quorate: on the new machine: quorate serve --config FILE --join TOKEN\n"
    );
    let request = node.requests().remove(0);
    assert_eq!(
        (request.method, request.target.as_str()),
        (Method::POST, path::INVITES)
    );
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        body,
        json!({ "learner": true, "valid_secs": 1800, "uses": 2 })
    );
}

#[tokio::test]
async fn the_json_of_the_member_list_is_stable() {
    let members = Members {
        cluster: Some("00ff".to_owned()),
        leader: Some("key-a".to_owned()),
        members: vec![Member {
            node: "key-a".to_owned(),
            name: "fra-1".to_owned(),
            role: MemberRole::Voter,
            address: "ns1.example.org:7700".to_owned(),
            state: MemberState::Leader,
            lag: None,
            last_heard_ms: None,
            not_electable: Vec::new(),
            level: Some(1),
            level_hold: false,
        }],
    };
    let node = CannedNode::start([Answer::json(StatusCode::OK, &members)]).await;
    let (captured, _) = run(&node, &["list", "--json"]).await;
    let expected = json!({
        "cluster": "00ff",
        "leader": "key-a",
        "members": [{
            "node": "key-a",
            "name": "fra-1",
            "role": "voter",
            "address": "ns1.example.org:7700",
            "state": "leader",
            "lag": null,
            "last_heard_ms": null,
            "not_electable": [],
            "level": 1,
            "level_hold": false,
        }],
    });
    let printed: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(printed, expected);
    assert_eq!(captured.notes(), "");

    let (captured, _) = run(&node, &["list"]).await;
    let expected = "\
NODE   NAME   ROLE   STATE   LAG  HEARD  CANNOT LEAD  LEVEL  ADDRESS
key-a  fra-1  voter  leader  -    -      -            1      ns1.example.org:7700
";
    assert_eq!(captured.data(), expected);
}

#[tokio::test]
async fn each_change_is_requested_and_confirmed() {
    for (words, method, target, body, note) in [
        (
            &["promote", "b"][..],
            Method::POST,
            "/v1/members/key-b/promote",
            r#"{"force":false}"#,
            "quorate: b (key-b…) is a voter\n",
        ),
        (
            &["demote", "b", "--force"],
            Method::POST,
            "/v1/members/key-b/demote",
            r#"{"force":true}"#,
            "quorate: b (key-b…) is a learner\n",
        ),
        (
            &["remove", "key-b"],
            Method::DELETE,
            "/v1/members/key-b",
            "",
            "quorate: b (key-b…) is no longer a member\n",
        ),
        (
            &["remove", "b", "--force"],
            Method::DELETE,
            "/v1/members/key-b?force=true",
            "",
            "quorate: b (key-b…) is no longer a member\n",
        ),
        (
            &["replace", "a", "b", "--force"],
            Method::POST,
            "/v1/members/key-a/replace",
            r#"{"with":"key-b","force":true}"#,
            "quorate: b (key-b…) is a voter and has replaced a (key-a…), which is no longer a member\n",
        ),
        (
            &["move", "b", "ns2.example.org:7700"],
            Method::POST,
            "/v1/members/key-b/move",
            r#"{"address":"ns2.example.org:7700"}"#,
            "quorate: b (key-b…) is reached at ns2.example.org:7700\n",
        ),
    ] {
        let node = CannedNode::start([two_members(), done()]).await;
        let (captured, outcome) = run(&node, words).await;
        assert_eq!(outcome, Ok(()));
        let request = node.requests().remove(1);
        assert_eq!(
            (
                request.method,
                request.target.as_str(),
                request.body.as_str()
            ),
            (method, target, body)
        );
        assert_eq!(
            (captured.data().as_str(), captured.notes().as_str()),
            ("", note)
        );
    }
}

#[tokio::test]
async fn a_change_in_progress_is_polled_until_it_is_done() {
    let node = CannedNode::start([
        two_members(),
        report(ChangeState::CatchingUp, Some(900), &[]),
        report(ChangeState::CatchingUp, Some(900), &[]),
        Answer::problem(ProblemType::NoLeader, "none was elected"),
        report(ChangeState::CatchingUp, Some(1), &[]),
        report(ChangeState::CatchingUp, None, &[]),
        report(ChangeState::Done, None, &["the cluster has 2 voters"]),
    ])
    .await;
    let (captured, outcome) = run(&node, &["replace", "a", "b", "--json"]).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(node.requests().len(), 7);
    assert_eq!(
        captured.notes(),
        "quorate: b (key-b…) is catching up, 900 entries behind\n\
         quorate: none was elected; retrying for 30s\n\
         quorate: b (key-b…) is catching up, 1 entry behind\n\
         quorate: b (key-b…) is catching up\n\
         quorate: warning: the cluster has 2 voters\n\
         quorate: b (key-b…) is a voter and has replaced a (key-a…), which is no longer a member\n"
    );
    let printed: Value = serde_json::from_str(&captured.data()).unwrap();
    assert_eq!(printed["state"], "done");
}

#[tokio::test]
async fn a_change_that_timed_out_can_be_rerun() {
    let node =
        CannedNode::start([two_members(), report(ChangeState::CatchingUp, Some(7), &[])]).await;
    let (captured, outcome) = run(&node, &["promote", "b", "--timeout", "1s"]).await;
    let expected = "not done within 1s: b (key-b…) is still catching up, 7 entries behind; rerun the \
                    command to keep waiting";
    assert_eq!(outcome, Err((expected.to_owned(), 5)));
    assert_eq!(captured.data(), "");
}

/// Only the leader knows which members are live.
#[tokio::test]
async fn the_leader_rejects_an_unknown_name() {
    for (words, target) in [
        (&["promote", "typo"][..], "/v1/members/typo/promote"),
        (&["demote", "typo"], "/v1/members/typo/demote"),
        (&["remove", "typo"], "/v1/members/typo"),
        (&["replace", "typo", "b"], "/v1/members/typo/replace"),
        (&["replace", "a", "typo"], "/v1/members/key-a/replace"),
        (
            &["move", "typo", "ns2.example.org:7700"],
            "/v1/members/typo/move",
        ),
    ] {
        let unknown = Answer::problem(ProblemType::UnknownNode, "no node is called \"typo\"");
        let node = CannedNode::start([two_members(), unknown]).await;
        let (captured, outcome) = run(&node, words).await;
        let expected = "no node is called \"typo\"";
        assert_eq!(outcome, Err((expected.to_owned(), 1)));
        assert_eq!(captured.data(), "");
        assert_eq!(node.requests()[1].target, target);
    }
}

#[tokio::test]
async fn a_rejected_change_prints_no_report() {
    let problem = Answer::problem(ProblemType::NoLiveQuorum, "1 of 3 voters would be live");
    let node = CannedNode::start([two_members(), problem]).await;
    let (captured, outcome) = run(&node, &["remove", "b", "--json"]).await;
    let expected = "1 of 3 voters would be live";
    assert_eq!(outcome, Err((expected.to_owned(), 1)));
    assert_eq!((captured.data(), captured.notes()), Default::default());
}

#[tokio::test]
async fn a_request_without_a_majority_is_not_retried() {
    let text = "no majority of the voters is left";
    let problem = Answer::problem(ProblemType::MajorityLost, text);
    let node = CannedNode::start([two_members(), problem]).await;
    let (captured, outcome) = run(&node, &["remove", "b", "--force"]).await;
    assert_eq!(outcome, Err((text.to_owned(), 1)));
    assert_eq!((node.requests().len(), captured.notes().as_str()), (2, ""));
}

#[tokio::test]
async fn a_removed_node_and_a_missing_leader_have_different_notes() {
    let member = json!({
        "node": "key-a", "name": "a", "role": "voter", "address": "a:1", "state": "removed",
        "lag": null, "last_heard_ms": 0
    });
    let list = json!({ "cluster": null, "leader": null, "members": [member] });
    let node = CannedNode::start([Answer::json(StatusCode::OK, &list)]).await;
    let (captured, outcome) = run(&node, &["list"]).await;
    assert_eq!(outcome, Ok(()));
    assert!(
        captured.data().contains("  removed  "),
        "{}",
        captured.data()
    );
    let notes = captured.notes();
    assert!(notes.contains("ask another member"), "{notes}");
}

#[test]
fn flags_may_be_before_and_after_the_command() {
    let words = |words: &[&str]| format!("{:?}", parse(words).unwrap());
    let before = words(&["--json", "--admin", "http://ns1:9100", "list"]);
    assert_eq!(
        before,
        words(&["list", "--json", "--admin", "http://ns1:9100"])
    );
    assert!(before.contains("json: true"), "{before}");
}

#[test]
fn invalid_arguments_are_rejected_before_any_request() {
    for (words, expected) in [
        (&["add", "--valid", "8d"][..], "10s to 7d"),
        (&["add", "--valid", "9s"], "10s to 7d"),
        (&["add", "--uses", "17"], "1..=16"),
        (&["promote", ".."], "a node cannot have this name"),
        (&["promote", "b", "--timeout", "10"], "write it like 90s"),
        (&["replace", "a"], "<NEW>"),
        (
            &["list", "--admin", "ns1"],
            "write it like http://127.0.0.1:9100",
        ),
    ] {
        let error = parse(words).unwrap_err();
        assert!(error.contains(expected), "{words:?}: {error}");
    }
}
