use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    ChangeRequest, INVITE_VALID_SECS_DEFAULT, InviteRequest, Problem, ProblemType, ReplaceRequest,
    parse_publish_token_name, path,
};

#[test]
fn a_name_in_a_path_cannot_leave_its_segment() {
    assert_eq!(path::with(path::MOVE, "fra-1"), "/v1/members/fra-1/move");
    assert_eq!(
        path::with(path::MEMBER, "../a b?c%"),
        "/v1/members/..%2Fa%20b%3Fc%25"
    );
    assert_eq!(path::with(path::STATUS, "a"), path::STATUS);
}

#[test]
fn a_misspelt_force_is_rejected() {
    assert!(serde_json::from_value::<ChangeRequest>(json!({ "forced": true })).is_err());
    let request = json!({ "with": "a", "Force": true });
    assert!(serde_json::from_value::<ReplaceRequest>(request).is_err());
}

#[test]
fn a_field_left_out_of_a_request_has_its_default() {
    let request: InviteRequest = serde_json::from_value(json!({})).unwrap();
    assert_eq!(request.valid_secs, INVITE_VALID_SECS_DEFAULT);
    assert_eq!(request.uses, 1);
    assert!(!request.learner);
}

#[test]
fn a_problem_is_named_by_a_uri_and_read_by_it() {
    let problem = Problem::new(ProblemType::NoLiveQuorum, "1 of 3 voters would be live");
    let document = serde_json::to_value(&problem).unwrap();
    assert_eq!(
        document,
        json!({
            "type": "urn:quorate:problem:no-live-quorum",
            "title": "No live quorum would be left",
            "status": 409,
            "detail": "1 of 3 voters would be live",
            "retry": false,
        })
    );
    assert_eq!(
        serde_json::from_value::<Problem>(document).unwrap(),
        problem
    );
}

#[test]
fn no_two_problems_share_a_uri() {
    let uris: BTreeSet<_> = ProblemType::ALL.iter().map(|known| known.uri()).collect();
    assert_eq!(uris.len(), ProblemType::ALL.len());
    for known in ProblemType::ALL {
        assert!((400..600).contains(&known.status()), "{known}");
        // A retry brings no voters back.
        let is_lost = *known == ProblemType::MajorityLost;
        assert!(known.status() <= 500 || known.retry() || is_lost, "{known}");
    }
}

/// A client must not read the name as a path segment such as `..`, and it must not break a log
/// line.
#[test]
fn a_token_name_is_safe_in_a_path_and_in_a_log_line() {
    for name in ["ci", "4", "A-b_c.d", &"x".repeat(64)] {
        assert_eq!(parse_publish_token_name(name).as_deref(), Ok(name));
    }
    for name in [
        "",
        ".",
        "..",
        "-x",
        "a b",
        "a\n",
        "a/b",
        "é",
        &"x".repeat(65),
    ] {
        assert!(parse_publish_token_name(name).is_err(), "{name}");
    }
}
