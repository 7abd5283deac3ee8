//! Talking to a relay.

use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use quorate_api::PROBLEM_CONTENT_TYPE;
use reqwest::{Client, Response, header::CONTENT_TYPE};

use crate::{admin::Problem, output::printable, relay_url::RelayUrl};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take: a relay answers within its own deadline, by default 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How much of the text of a refusal is read, in bytes.
const REASON_SIZE_MAX: usize = 1024;

/// Gives the process the one TLS back end, without which no client of reqwest can be made, not even
/// for plain HTTP.
pub fn install_tls_provider() {
    // Fails when there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that gives up in time.
pub(crate) fn client() -> anyhow::Result<Client> {
    install_tls_provider();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .build()
        .context("the HTTP client cannot be made")
}

/// Explains why a request got no response.
pub(crate) fn explain(error: reqwest::Error, relay: &RelayUrl) -> anyhow::Error {
    let what = match (error.is_connect(), error.is_timeout()) {
        (_, true) => format!("the relay {relay} did not answer in time"),
        (true, _) => format!(
            "the relay {relay} cannot be reached (is --relay right? `quorate dev` starts one on \
             this machine)"
        ),
        _ => format!("talking to the relay {relay} failed"),
    };
    anyhow::Error::new(error.without_url()).context(what)
}

/// Reads a body up to `size_max` bytes, and drops the rest unread.
pub(crate) async fn body(mut response: Response, size_max: usize) -> reqwest::Result<Bytes> {
    let mut body = BytesMut::new();
    while body.len() < size_max
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(size_max - body.len())]);
    }
    Ok(body.freeze())
}

/// What a relay says of a refusal, on one line, fit for a terminal.
pub(crate) async fn reason(response: Response) -> String {
    let is_problem = is_problem(&response);
    let body = body(response, REASON_SIZE_MAX).await.unwrap_or_default();
    let problem = is_problem.then(|| serde_json::from_slice::<Problem>(&body).ok());
    let text = match problem.flatten() {
        Some(problem) => problem.text().into(),
        None => String::from_utf8_lossy(&body),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.is_empty() {
        true => "(it gave no reason)".to_owned(),
        false => printable(&words.join(" ")),
    }
}

/// Whether an answer says that it is a problem document (RFC 9457).
pub(crate) fn is_problem(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_CONTENT_TYPE.as_bytes()))
}
