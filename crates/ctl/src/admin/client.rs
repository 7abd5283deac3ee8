//! One node's admin API, asked.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, sleep};

use super::{AdminError, AdminUrl, Problem};
use crate::{
    console::Console,
    relay::{self, install_tls_provider},
    span,
    token::Token,
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take: a node passes on to the leader, which may have to wait for an
/// election and for a majority, each within a few seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of an answer is read, in bytes: the largest page of packets has a twentieth of it.
const ANSWER_SIZE_MAX: usize = 4 << 20;

/// How much of an answer in no language of ours is shown, in characters.
const REASON_LEN_MAX: usize = 200;

/// Where a node says whether it is ready.
const READY_PATH: &str = "/readyz";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// For how long a request is sent again that is refused for the moment. An election takes a few
    /// seconds, and a change of the membership no more unless a node has to catch up.
    pub(crate) retry_timeout: Duration,
    /// How long to wait before.
    pub(crate) retry_interval: Duration,
    /// How often to ask how far a node is that catches up.
    pub(crate) poll_interval: Duration,
}

impl Pace {
    /// For the eyes of people.
    const NORMAL: Self = Self {
        retry_timeout: Duration::from_secs(20),
        retry_interval: Duration::from_millis(500),
        poll_interval: Duration::from_secs(1),
    };
}

/// A request to the admin API, which can be sent again: all of them converge.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

impl Ask {
    /// Asks for what is at `path`.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
        }
    }

    /// Asks that what is at `path` goes.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: &impl Serialize) -> anyhow::Result<Self> {
        Self::with_body(Method::POST, path, body)
    }

    /// Asks that what is at `path` becomes `body`.
    pub(crate) fn put(path: impl Into<String>, body: &impl Serialize) -> anyhow::Result<Self> {
        Self::with_body(Method::PUT, path, body)
    }

    fn with_body(
        method: Method,
        path: impl Into<String>,
        body: &impl Serialize,
    ) -> anyhow::Result<Self> {
        let body = serde_json::to_vec(body).context("the request cannot be written as JSON")?;
        Ok(Self {
            method,
            body: Some(body.into()),
            ..Self::get(path)
        })
    }

    /// With a parameter behind the path.
    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
}

/// The admin API of one node.
#[derive(Debug)]
pub(crate) struct AdminClient {
    http: Client,
    url: AdminUrl,
    token: Option<Token>,
    pub(crate) pace: Pace,
}

impl AdminClient {
    /// The admin API at `url`, asked with this token.
    pub(crate) fn new(url: AdminUrl, token: Option<Token>) -> anyhow::Result<Self> {
        install_tls_provider();
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // The token goes where the operator said, and nowhere else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .context("the HTTP client cannot be made")?;
        Ok(Self {
            http,
            url,
            token,
            pace: Pace::NORMAL,
        })
    }

    /// Asks, and again for a while if the answer is that now is no time for it.
    pub(crate) async fn send<A: DeserializeOwned>(
        &self,
        ask: &Ask,
        console: &mut Console,
    ) -> Result<A, AdminError> {
        let deadline = Instant::now() + self.pace.retry_timeout;
        let mut said = String::new();
        loop {
            match self.send_once(ask).await {
                Err(AdminError::Refused { problem, .. })
                    if problem.retry && Instant::now() < deadline =>
                {
                    if said != problem.text() {
                        said = problem.text();
                        let timeout = span::shown(self.pace.retry_timeout);
                        console.note(format_args!("{said}; trying again for {timeout}"));
                    }
                    sleep(self.pace.retry_interval).await;
                }
                answer => return answer,
            }
        }
    }

    /// Asks once.
    pub(crate) async fn send_once<A: DeserializeOwned>(&self, ask: &Ask) -> Result<A, AdminError> {
        let mut url = self.url.at(&ask.path);
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self.http.request(ask.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        if let Some(body) = &ask.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = request.send().await;
        let response = response.map_err(|error| self.no_answer(error))?;
        self.read(response).await
    }

    /// What the node says to those who look whether it is ready, if it is not.
    pub(crate) async fn why_not_ready(&self) -> Option<String> {
        let asked = self.http.get(self.url.at(READY_PATH)).send();
        let response = asked.await.ok()?;
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        let said = relay::body(response, ANSWER_SIZE_MAX).await.ok()?;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        (!said.is_empty()).then_some(said)
    }

    async fn read<A: DeserializeOwned>(&self, response: Response) -> Result<A, AdminError> {
        let status = response.status();
        let is_problem = relay::is_problem(&response);
        let body = relay::body(response, ANSWER_SIZE_MAX).await;
        let body = body.map_err(|error| self.no_answer(error))?;
        if is_problem && let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
            return Err(AdminError::Refused { status, problem });
        }
        if !status.is_success() {
            return Err(self.foreign(status, &String::from_utf8_lossy(&body)));
        }
        serde_json::from_slice(&body).map_err(|error| self.foreign(status, &error.to_string()))
    }

    fn no_answer(&self, error: reqwest::Error) -> AdminError {
        let url = self.url.clone();
        let is_connect = error.is_connect();
        let source = error.without_url();
        match is_connect {
            true => AdminError::Unreachable { url, source },
            false => AdminError::BrokeOff { url, source },
        }
    }

    fn foreign(&self, status: StatusCode, reason: &str) -> AdminError {
        let words: Vec<&str> = reason.split_whitespace().collect();
        let reason: String = words.join(" ").chars().take(REASON_LEN_MAX).collect();
        let reason = match reason.is_empty() {
            true => "without a word".to_owned(),
            false => crate::output::printable(&reason),
        };
        AdminError::Foreign {
            url: self.url.clone(),
            status,
            reason,
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
