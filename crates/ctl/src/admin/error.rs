//! Why a request to the admin API failed.

use std::{error::Error, io, time::Duration};

use reqwest::StatusCode;

use super::{AdminUrl, owner};
use crate::{http::Problem, output::in_one_line, span};

/// The most characters that are shown of an answer in an unknown format.
const REASON_LEN_MAX: usize = 200;

/// Why a request to the admin API failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// No connection is possible.
    #[error(
        "no node can be reached at {url}: set --admin URL or QUORATE_ADMIN to the admin API of any member, such as unix:/run/quorate/admin.sock"
    )]
    Unreachable {
        url: AdminUrl,
        source: reqwest::Error,
    },
    /// This user may not use the socket.
    #[error("permission denied at {url}: {advice}")]
    Denied { url: AdminUrl, advice: String },
    /// The connection ended before a complete answer.
    #[error(
        "the node at {url} sent no complete answer, so the request may have been done or not: retry it (this is safe), or set --admin URL to another member"
    )]
    BrokeOff {
        url: AdminUrl,
        source: reqwest::Error,
    },
    /// The node rejected the request.
    #[error("{}{}", .problem.text(), hint(*.status))]
    Rejected {
        status: StatusCode,
        problem: Problem,
    },
    /// The server is not a node, or one of another version.
    #[error("the server at {url} does not have the admin API of this version: {status}, {reason}")]
    Foreign {
        url: AdminUrl,
        status: StatusCode,
        reason: String,
    },
    /// A node is still catching up.
    #[error(
        "not done within {}: {node} is still catching up{}; rerun the command to keep waiting",
        span::shown(*.timeout),
        behind(*.lag)
    )]
    NotDone {
        node: String,
        lag: Option<u64>,
        timeout: Duration,
    },
}

impl AdminError {
    pub(crate) fn no_answer(url: &AdminUrl, error: reqwest::Error) -> Self {
        if let Some(path) = url.socket().filter(|_| is_denied(&error)) {
            let advice = owner::advice(path);
            let url = url.clone();
            return Self::Denied { url, advice };
        }
        let url = url.clone();
        let is_connect = error.is_connect();
        let source = error.without_url();
        match is_connect {
            true => Self::Unreachable { url, source },
            false => Self::BrokeOff { url, source },
        }
    }

    pub(crate) fn foreign(url: &AdminUrl, status: StatusCode, reason: &str) -> Self {
        let reason = in_one_line(reason);
        let reason: String = reason.chars().take(REASON_LEN_MAX).collect();
        Self::Foreign {
            url: url.clone(),
            status,
            reason: match reason.is_empty() {
                true => "no reason given".to_owned(),
                false => reason,
            },
        }
    }
}

/// Whether the system did not permit the connection.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    anyhow::Chain::new(error).any(|cause| {
        let error = cause.downcast_ref::<io::Error>();
        error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

/// The lag of a node, as the end of a sentence.
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
            " (set --token-file FILE or QUORATE_ADMIN_TOKEN_FILE to a file with a token, or --admin unix:PATH to the socket of a node on this machine)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of a library around one of the system.
    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_denied_connection_is_recognized_in_the_causes() {
        for (kind, expected) in [
            (io::ErrorKind::PermissionDenied, true),
            (io::ErrorKind::ConnectionRefused, false),
        ] {
            let nested = Outer(io::Error::other(Outer(kind.into())));
            assert_eq!(is_denied(&nested), expected, "{kind}");
        }
    }
}
