use std::collections::BTreeSet;

use axum::body::to_bytes;
use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_problem_is_a_document_that_no_cache_keeps() {
    let problem = ProblemResponse::new(ProblemType::RateLimited, "wait \"7\" s").retry_after(7);
    let (parts, body) = problem.into_response().into_parts();
    assert_eq!(parts.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(parts.headers[header::CONTENT_TYPE], PROBLEM_CONTENT_TYPE);
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(parts.headers[header::RETRY_AFTER], "7");
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let document: Value = serde_json::from_slice(&body).unwrap();
    let expected = json!({
        "type": "urn:quorate:problem:rate-limited",
        "title": "Too many requests",
        "status": 429,
        "detail": "wait \"7\" s",
        "retry": true,
    });
    assert_eq!(document, expected);
}

/// The table in `docs/PROBLEMS.md` has exactly the problems of all listeners.
#[test]
fn every_type_of_problem_has_its_line_in_the_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/PROBLEMS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: Vec<[&str; 3]> = text
        .lines()
        .filter(|line| line.contains("`urn:quorate:problem:"))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            [(); 3].map(|()| cells.next().expect(line))
        })
        .collect();
    let problems = ProblemType::ALL
        .iter()
        .map(|it| (it.uri(), it.status(), it.title()));
    let known: BTreeSet<[String; 3]> = problems
        .map(|(uri, status, title)| [format!("`{uri}`"), status.to_string(), title.to_owned()])
        .collect();
    for problem in &known {
        assert!(
            documented.iter().any(|line| line == problem),
            "no line for {problem:?}"
        );
    }
    for line in &documented {
        assert!(
            known.contains(&line.map(str::to_owned)),
            "no such problem: {line:?}"
        );
    }
    assert_eq!(documented.len(), known.len(), "one line each");
}
