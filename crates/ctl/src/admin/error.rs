//! Why a node did not do what it was asked.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use super::AdminUrl;
use crate::{output::printable, span};

/// Why a node did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Nothing can be reached there.
    #[error(
        "no node can be reached at {url}: --admin URL or QUORATE_ADMIN names the admin API of any \
         member"
    )]
    Unreachable {
        url: AdminUrl,
        source: reqwest::Error,
    },
    /// The connection was there, and no whole answer came.
    #[error(
        "the node at {url} gave no whole answer: what was asked may be done or not; asking again is \
         safe, and --admin URL names another member"
    )]
    BrokeOff {
        url: AdminUrl,
        source: reqwest::Error,
    },
    /// The node refuses, and says why.
    #[error("{}{}", .problem.text(), hint(*.status))]
    Refused {
        status: StatusCode,
        problem: Problem,
    },
    /// What answers there is no node, or one of another version.
    #[error("what answers at {url} does not speak this version's admin API: {status}, {reason}")]
    Foreign {
        url: AdminUrl,
        status: StatusCode,
        reason: String,
    },
    /// No node is called so.
    #[error(
        "no node is called {0:?}: name it by its key, the beginning of that, or its name, as \
         `quorate member list` has them"
    )]
    UnknownNode(String),
    #[error("{name:?} may be any of {keys}")]
    AmbiguousNode { name: String, keys: String },
    /// A node is still catching up.
    #[error(
        "not done within {}: {node} is still catching up{}; say it again to go on waiting",
        span::shown(*.timeout),
        behind(*.lag)
    )]
    NotDone {
        node: String,
        lag: Option<u64>,
        timeout: Duration,
    },
}

/// What this program reads of a problem document (RFC 9457). A newer node may know types of problems
/// that it does not: it goes by what all of them have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    /// Whether the same request may succeed when it is sent again.
    #[serde(default)]
    pub(crate) retry: bool,
}

impl Problem {
    /// The problem in words: those for this time, if there are any, say all. A refused configuration
    /// has a line for each mistake.
    pub(crate) fn text(&self) -> String {
        let (title, detail) = (self.title.trim(), self.detail.trim());
        let text = match detail.is_empty() {
            true => title,
            false => detail,
        };
        let lines: Vec<String> = text.lines().map(printable).collect();
        lines.join("\n")
    }
}

/// How far behind a node is, as the end of a sentence.
pub(crate) fn behind(lag: Option<u64>) -> String {
    match lag {
        Some(1) => ", 1 entry behind".to_owned(),
        Some(count) => format!(", {count} entries behind"),
        None => String::new(),
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            " (--token-file FILE or QUORATE_ADMIN_TOKEN_FILE names a file with a token)"
        }
        _ => "",
    }
}
