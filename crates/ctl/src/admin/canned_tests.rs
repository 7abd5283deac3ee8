//! A node for tests that gives prepared answers and records its requests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::IntoResponse,
};
use quorate_api::{PROBLEM_CONTENT_TYPE, Problem, ProblemType};
use serde::Serialize;
use tokio::net::TcpListener;

use clap::Parser;

use super::{AdminClient, AdminUrl, RetryPolicy, Session};
use crate::{command::NodeCommand, console::captured::Captured, exit::exit_code, token::Token};

/// Longer than any step takes.
const LONG: Duration = Duration::from_secs(30);

/// An answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) location: String,
}

impl Answer {
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: serde_json::to_vec(body).unwrap(),
            location: String::new(),
        }
    }

    pub(crate) fn problem(kind: ProblemType, detail: &str) -> Self {
        Self {
            content_type: PROBLEM_CONTENT_TYPE,
            ..Self::json(
                StatusCode::from_u16(kind.status()).unwrap(),
                &Problem::new(kind, detail),
            )
        }
    }
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedRequest {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: String,
}

/// A node that gives these answers in turn, and the last one repeatedly.
pub(crate) struct CannedNode {
    pub(crate) url: AdminUrl,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl CannedNode {
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            requests: Arc::default(),
        };
        let requests = script.requests.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(script);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            url: url.parse().unwrap(),
            requests,
        }
    }

    /// Runs the command of these words at this node.
    pub(crate) async fn run(&self, words: &[&str]) -> (Captured, Outcome) {
        run_at(&self.url, None, words).await
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

/// A session with short retries, and its output.
pub(crate) fn session(url: &AdminUrl, token: Option<Token>, is_json: bool) -> (Session, Captured) {
    let (console, captured) = Captured::console(is_json);
    let retry_policy = RetryPolicy {
        retry_timeout: LONG,
        retry_interval: Duration::from_millis(1),
        poll_interval: Duration::from_millis(1),
    };
    let client = AdminClient::new(url.clone(), token).unwrap();
    let session = Session {
        client,
        console,
        retry_policy,
    };
    (session, captured)
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: NodeCommand,
}

/// Parses the command of these words.
pub(crate) fn parse(words: &[&str]) -> Result<NodeCommand, String> {
    let cli = Cli::try_parse_from(["quorate"].iter().chain(words));
    cli.map(|cli| cli.command)
        .map_err(|error| error.to_string())
}

/// The result of a command: done, or the message and the exit code.
pub(crate) type Outcome = Result<(), (String, u8)>;

/// Converts the result of a command to its message and exit code.
pub(crate) fn outcome(result: anyhow::Result<()>) -> Outcome {
    result.map_err(|error| (format!("{error:#}"), exit_code(&error).unwrap_or(1)))
}

/// Runs the command of these words at a node. Returns the output and the result.
pub(crate) async fn run_at(
    url: &AdminUrl,
    token: Option<Token>,
    words: &[&str],
) -> (Captured, Outcome) {
    let (session, captured) = session(url, token, words.contains(&"--json"));
    let result = parse(words).unwrap().run(|_| Ok(session)).await;
    (captured, outcome(result))
}

async fn answer(State(script): State<Script>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = |name| {
        let value = parts.headers.get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    script.requests.lock().unwrap().push(RecordedRequest {
        method: parts.method.clone(),
        target: parts.uri.to_string(),
        authorization: header(header::AUTHORIZATION),
        content_type: header(header::CONTENT_TYPE),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let mut answers = script.answers.lock().unwrap();
    let answer = match answers.len() {
        1 => answers[0].clone(),
        _ => answers.pop_front().unwrap(),
    };
    let headers = [
        (header::CONTENT_TYPE, answer.content_type.to_owned()),
        (header::LOCATION, answer.location),
    ];
    (answer.status, headers, answer.body)
}
