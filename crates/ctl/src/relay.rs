//! Requests to a relay.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, Response};

use crate::{
    http::{self, Problem},
    output::in_one_line,
    relay_url::RelayUrl,
};

/// How long a request may take: a relay answers within its own deadline, by default 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The most bytes of an error text that are read.
const REASON_SIZE_MAX: usize = 1024;

/// A client with a timeout.
pub(crate) fn client() -> anyhow::Result<Client> {
    let client = http::client(REQUEST_TIMEOUT).build();
    client.context("the HTTP client cannot be created")
}

/// Explains why a request has no response.
pub(crate) fn explain(error: reqwest::Error, relay: &RelayUrl) -> anyhow::Error {
    let reason = match (error.is_connect(), error.is_timeout()) {
        (_, true) => format!("the relay {relay} did not answer in time"),
        (true, _) => format!(
            "the relay {relay} cannot be reached (is --relay right? `quorate dev` starts one on \
             this machine)"
        ),
        _ => format!("the request to the relay {relay} failed"),
    };
    anyhow::Error::new(error.without_url()).context(reason)
}

/// The error text of a relay, in one line and safe for a terminal.
pub(crate) async fn reason(response: Response) -> String {
    let is_problem = http::is_problem(&response);
    let body = http::body(response, REASON_SIZE_MAX).await;
    let body = body.unwrap_or_default();
    let problem = is_problem.then(|| serde_json::from_slice::<Problem>(&body).ok());
    let text = match problem.flatten() {
        Some(problem) => problem.text().into(),
        None => String::from_utf8_lossy(&body),
    };
    let reason = in_one_line(&text);
    match reason.is_empty() {
        true => "(no reason given)".to_owned(),
        false => reason,
    }
}
