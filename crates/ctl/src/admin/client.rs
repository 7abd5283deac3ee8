//! The client of the admin API of one node.

use std::time::Duration;

use anyhow::Context;
use quorate_api::BACKUP_CONTENT_TYPE;
use reqwest::{
    Client, Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{AdminError, AdminUrl};
use crate::{http, token::Token};

/// How long a request may take: a node forwards it to the leader, which may have to wait for an
/// election and for a majority, a few seconds each.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a backup may take: many times that of ten million packets.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// The most bytes of an answer that are read: twenty times the largest page of packets.
const ANSWER_SIZE_MAX: usize = 4 << 20;

/// A request to the admin API. Every request can be retried safely.
#[derive(Debug, Clone)]
pub(crate) struct ApiCall {
    method: Method,
    /// The path and query, percent-encoded.
    path: String,
    body: Option<String>,
}

impl ApiCall {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, None)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    pub(crate) fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::POST, path, Some(json(body)))
    }

    pub(crate) fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self::new(Method::PUT, path, Some(json(body)))
    }

    fn new(method: Method, path: impl Into<String>, body: Option<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body,
        }
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.path.push(match self.path.contains('?') {
            true => '&',
            false => '?',
        });
        let pair = format!("{name}={{value}}");
        self.path += &quorate_api::path::with(&pair, &value.to_string());
        self
    }
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("a request of the API is JSON")
}

/// The admin API of one node.
#[derive(Debug)]
pub(crate) struct AdminClient {
    http: Client,
    url: AdminUrl,
}

impl AdminClient {
    /// A client of the admin API at `url`, with this token.
    pub(crate) fn new(url: AdminUrl, token: Option<Token>) -> anyhow::Result<Self> {
        let token = token.map(|token| (AUTHORIZATION, token.header()));
        let mut http = http::client(REQUEST_TIMEOUT);
        if let Some(path) = url.socket() {
            http = http.unix_socket(path);
        }
        let http = http
            .default_headers(token.into_iter().collect())
            // The token must be sent only to the URL of the operator.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .read_timeout(REQUEST_TIMEOUT)
            .build()
            .context("the HTTP client cannot be created")?;
        Ok(Self { http, url })
    }

    /// Sends the request once.
    pub(crate) async fn send<A: DeserializeOwned>(&self, call: &ApiCall) -> Result<A, AdminError> {
        let response = self.request(call, REQUEST_TIMEOUT).await?;
        let status = response.status();
        let body = http::body(response, ANSWER_SIZE_MAX).await;
        let body = body.map_err(|error| AdminError::no_answer(&self.url, error))?;
        serde_json::from_slice(&body)
            .map_err(|error| AdminError::foreign(&self.url, status, &error.to_string()))
    }

    /// Sends the request once, and returns the answer, whose body can be long.
    pub(crate) async fn download(&self, call: &ApiCall) -> Result<Response, AdminError> {
        let response = self.request(call, DOWNLOAD_TIMEOUT).await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        match content_type.is_some_and(|it| it == BACKUP_CONTENT_TYPE) {
            true => Ok(response),
            false => Err(AdminError::foreign(
                &self.url,
                response.status(),
                "the answer is not a backup",
            )),
        }
    }

    /// The answer, if the request succeeded.
    async fn request(&self, call: &ApiCall, timeout: Duration) -> Result<Response, AdminError> {
        let url = self.url.at(&call.path);
        let mut request = self.http.request(call.method.clone(), url).timeout(timeout);
        if let Some(body) = &call.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let no_answer = |error| AdminError::no_answer(&self.url, error);
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let is_problem = http::is_problem(&response);
        if status.is_success() && !is_problem {
            return Ok(response);
        }
        let body = http::body(response, ANSWER_SIZE_MAX).await;
        let body = body.map_err(no_answer)?;
        if is_problem && let Ok(problem) = serde_json::from_slice(&body) {
            return Err(AdminError::Rejected { status, problem });
        }
        let reason = String::from_utf8_lossy(&body);
        Err(AdminError::foreign(&self.url, status, &reason))
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
