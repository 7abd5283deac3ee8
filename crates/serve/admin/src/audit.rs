//! The audit log: changes of operators, failed attempts, and requests that a token does not permit.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use quorate_api::{AUDIT_TARGET, ProblemType};

use crate::token::NOBODY;

/// The text of lines about requests that change something.
pub(crate) const CHANGE: &str = "an operator's change";

/// The text of lines about reads that the token does not permit.
pub(crate) const REJECTED_READ: &str = "a read that the token does not permit";

/// What was changed, such as the key of a node. The handler adds it as an extension of its
/// response.
#[derive(Clone)]
pub(crate) struct AuditSubject(pub(crate) String);

/// A line of the audit log. If it is dropped before it is written, it is written as interrupted.
pub(crate) struct AuditLine {
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
    /// A line about `request`, with the text `what`.
    pub(crate) fn new(what: &'static str, request: &Request) -> Self {
        let path = request.uri().path_and_query();
        Self {
            by: NOBODY.to_owned(),
            what,
            request: String::new(),
            peer: peer(request).map_or_else(String::new, |peer| peer.to_string()),
            method: request.method().to_string(),
            path: path.map_or_else(String::new, |path| path.to_string()),
            is_written: false,
        }
    }

    /// Writes the line with the outcome of the request.
    pub(crate) fn write(mut self, response: &Response) {
        let extensions = response.extensions();
        let outcome = match extensions.get::<ProblemType>() {
            Some(problem_type) => problem_type.uri(),
            None if response.status() == StatusCode::ACCEPTED => "in progress",
            None => "done",
        };
        let subject = extensions.get::<AuditSubject>();
        let subject = subject.map_or("", |AuditSubject(subject)| subject);
        self.emit(subject, outcome);
    }

    /// Text from a client is quoted, so that it cannot look like another line.
    fn emit(&mut self, subject: &str, outcome: &str) {
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
            "{}",
            self.what
        );
    }
}

impl Drop for AuditLine {
    fn drop(&mut self) {
        if !self.is_written {
            self.emit("", "unknown: interrupted");
        }
    }
}

/// The address of the peer, if the server has added it.
pub(crate) fn peer(request: &Request) -> Option<SocketAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| *peer)
}
