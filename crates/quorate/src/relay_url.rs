//! A relay as a client meets it.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use quorate_packet::PublicKey;
use reqwest::{Client, Response, Url};

/// Where `quorate dev` has its first node.
pub(crate) const DEFAULT: &str = "http://127.0.0.1:8081/pkarr";

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take: a relay answers within its own deadline, by default 10 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How much of the text of a refusal is read, in bytes.
const REASON_SIZE_MAX: usize = 1024;

/// The URL under which a relay has its packets.
#[derive(Debug, Clone)]
pub(crate) struct RelayUrl(Url);

impl RelayUrl {
    /// The URL of the packet of `key`.
    pub(crate) fn packet(&self, key: &PublicKey) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(&key.to_string());
        }
        url
    }

    /// The host and the port it listens on.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (
            self.0.host_str().unwrap_or_default(),
            self.0.port_or_known_default().unwrap_or_default(),
        )
    }
}

impl FromStr for RelayUrl {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let url = Url::parse(s).map_err(|error| format!("{error}; write it like {DEFAULT}"))?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            scheme => Err(format!(
                "{scheme} is not http or https; write it like {DEFAULT}"
            )),
        }
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A client that gives up in time.
pub(crate) fn client() -> anyhow::Result<Client> {
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
    let body = body(response, REASON_SIZE_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.is_empty() {
        true => "(it gave no reason)".to_owned(),
        false => printable(&words.join(" ")),
    }
}

/// The text of a stranger without what a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_becomes_the_last_segment() {
        let key = PublicKey::from_bytes([7; 32]);
        for relay in [
            "http://127.0.0.1:8081/pkarr",
            "http://127.0.0.1:8081/pkarr/",
        ] {
            let relay: RelayUrl = relay.parse().unwrap();
            assert_eq!(
                relay.packet(&key).as_str(),
                format!("http://127.0.0.1:8081/pkarr/{key}")
            );
        }
        let bare: RelayUrl = "https://relay.example.org".parse().unwrap();
        assert_eq!(
            bare.packet(&key).as_str(),
            format!("https://relay.example.org/{key}")
        );
    }

    #[test]
    fn only_http_is_a_relay() {
        assert!("ftp://example.org".parse::<RelayUrl>().is_err());
        assert!("example.org".parse::<RelayUrl>().is_err());
    }

    #[test]
    fn a_terminal_obeys_nothing_a_stranger_wrote() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
