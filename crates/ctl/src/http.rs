//! Shared code of the HTTP clients.

use std::time::Duration;

use anyhow::{anyhow, bail};
use bytes::{Bytes, BytesMut};
use quorate_api::PROBLEM_CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Response, Url, header::CONTENT_TYPE};
use serde::Deserialize;

use crate::output::printable;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Installs the TLS back end of the process. reqwest needs it to create any client, even for plain
/// HTTP.
pub fn install_tls_provider() {
    // An error means that it is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client whose requests take no longer than `timeout`.
pub(crate) fn client(timeout: Duration) -> ClientBuilder {
    install_tls_provider();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
}

/// Parses an HTTP URL, such as `example`.
pub(crate) fn parse_url(text: &str, example: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).map_err(|error| anyhow!("{error}; write it like {example}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => bail!("{scheme} is not http or https; write it like {example}"),
    }
}

/// Reads at most `size_max` bytes of a body and ignores the rest.
pub(crate) async fn body(mut response: Response, size_max: usize) -> reqwest::Result<Bytes> {
    let mut body = BytesMut::new();
    while body.len() < size_max
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(size_max - body.len())]);
    }
    Ok(body.freeze())
}

/// Whether the content type is that of a problem document (RFC 9457).
pub(crate) fn is_problem(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(PROBLEM_CONTENT_TYPE.as_bytes()))
}

/// The fields of a problem document (RFC 9457) that this program uses. They are those that all types
/// have, because a newer node may send unknown types.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    /// Whether a retry of the same request may succeed.
    #[serde(default)]
    pub(crate) retry: bool,
}

impl Problem {
    /// The text of the problem: `detail` if there is one, otherwise the title. A rejected configuration has
    /// a line for each mistake.
    pub(crate) fn text(&self) -> String {
        let (title, detail) = (self.title.trim(), self.detail.trim());
        let text = if detail.is_empty() { title } else { detail };
        let lines: Vec<String> = text.lines().map(printable).collect();
        lines.join("\n")
    }
}
