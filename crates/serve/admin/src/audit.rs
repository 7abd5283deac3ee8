//! The audit log: changes of operators, failed attempts, and requests that a token does not permit.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use quorate_api::{AUDIT_TARGET, ProblemType};
use quorate_limit::{LogBudget, Unlogged};

use crate::token::NOBODY;

/// The text of lines about requests that change something.
pub(crate) const CHANGE: &str = "an operator's change";

/// The text of lines about reads that the token does not permit.
pub(crate) const REJECTED_READ: &str = "a read that the token does not permit";

/// How many lines each minute are written about rejected requests of strangers, and as many about
/// those of callers with a token: enough to notice an attack, and 50 MB a day at most.
const REJECTED_COUNT_PER_MINUTE_MAX: u32 = 30;

/// The most bytes of a path, a subject or a body of a rejected request in a line: names and keys
/// are shorter.
const FIELD_SIZE_MAX: usize = 256;

/// How many lines rejected requests may write. Accepted changes are always written.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    /// For callers without a known token.
    strangers: Arc<LogBudget>,
    /// For others, so that no stranger can hide what the owner of a token tries.
    callers: Arc<LogBudget>,
}

impl AuditLog {
    pub(crate) fn new() -> Self {
        let budget = || Arc::new(LogBudget::new(REJECTED_COUNT_PER_MINUTE_MAX));
        Self {
            strangers: budget(),
            callers: budget(),
        }
    }

    /// Whether a line about a rejected request of `by` may be written: if so, how many were left
    /// out before.
    pub(crate) fn take(&self, by: &str, now: Instant) -> Option<Unlogged> {
        let budget = match by {
            NOBODY => &self.strangers,
            _ => &self.callers,
        };
        budget.take(now)
    }
}

/// What was changed, such as the key of a node. The handler adds it as an extension of its
/// response.
#[derive(Clone)]
pub(crate) struct AuditSubject(pub(crate) String);

/// A line of the audit log. If it is dropped before it is written, it is written as interrupted.
pub(crate) struct AuditLine {
    log: AuditLog,
    /// The token's name, or `socket` or `nobody`.
    pub(crate) by: String,
    what: &'static str,
    /// The body of the request, if its sender is authorized.
    pub(crate) request: String,
    peer: String,
    method: String,
    path: String,
    is_written: bool,
}

impl AuditLine {
    /// A line of `log` about `request`, with the text `what`.
    pub(crate) fn new(log: &AuditLog, what: &'static str, request: &Request) -> Self {
        let path = request.uri().path_and_query();
        Self {
            log: log.clone(),
            by: NOBODY.to_owned(),
            what,
            request: String::new(),
            peer: peer(request).map_or_else(String::new, |peer| peer.to_string()),
            method: cut(request.method().as_str()),
            path: path.map_or_else(String::new, |path| cut(path.as_str())),
            is_written: false,
        }
    }

    /// Writes the line with the outcome of the request, unless it was rejected and too many were.
    pub(crate) fn write(mut self, response: &Response) {
        let extensions = response.extensions();
        let mut unlogged = None;
        if response.status().is_client_error() {
            let Some(before) = self.log.take(&self.by, Instant::now()) else {
                self.is_written = true;
                return;
            };
            unlogged = before;
            self.request = cut(&self.request);
        }
        let outcome = match extensions.get::<ProblemType>() {
            Some(problem_type) => problem_type.uri(),
            None if response.status() == StatusCode::ACCEPTED => "in progress",
            None => "done",
        };
        let subject = extensions.get::<AuditSubject>();
        let subject = subject.map_or_else(String::new, |AuditSubject(subject)| cut(subject));
        self.emit(&subject, outcome, unlogged);
    }

    /// Text from a client is quoted, so that it cannot look like another line.
    fn emit(&mut self, subject: &str, outcome: &str, unlogged: Unlogged) {
        self.is_written = true;
        tracing::info!(
            target: AUDIT_TARGET,
            by = self.by,
            peer = self.peer,
            method = self.method,
            path = self.path,
            request = self.request,
            subject,
            outcome,
            unlogged,
            "{}",
            self.what
        );
    }
}

impl Drop for AuditLine {
    fn drop(&mut self) {
        if !self.is_written {
            self.emit("", "unknown: interrupted", None);
        }
    }
}

/// The beginning of a long text with its size, or the text itself.
fn cut(text: &str) -> String {
    if text.len() <= FIELD_SIZE_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(FIELD_SIZE_MAX);
    format!("{}… ({} bytes)", &text[..end], text.len())
}

/// The address of the peer, if the server has added it.
pub(crate) fn peer(request: &Request) -> Option<SocketAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| *peer)
}
