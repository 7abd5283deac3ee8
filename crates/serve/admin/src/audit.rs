//! The audit log: what operators have changed, or tried to, and who asked for more than a token is
//! good for.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::Response,
};
use quorate_api::{AUDIT_TARGET, ProblemType};

use crate::token::NOBODY;

/// A request that changes something.
pub(crate) const CHANGE: &str = "an operator's change";

/// A request that changes nothing, from one who may not even read.
pub(crate) const REFUSED_READ: &str = "a read that a token is not good for";

/// What a change was about, as the handler found out: an extension of its response.
#[derive(Clone)]
pub(crate) struct Subject(pub(crate) String);

/// A line of the audit log, which is written in any case.
pub(crate) struct AuditLine {
    /// The token's name, or what stands for it.
    pub(crate) by: String,
    what: &'static str,
    /// The body of the request, once its sender was let in.
    pub(crate) request: String,
    peer: String,
    method: String,
    path: String,
    is_written: bool,
}

impl AuditLine {
    /// Of a request, which is `what`.
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

    /// Writes it, with what came of the request.
    pub(crate) fn write(mut self, response: &Response) {
        let extensions = response.extensions();
        let outcome = match extensions.get::<ProblemType>() {
            Some(problem_type) => problem_type.uri(),
            None if response.status() == StatusCode::ACCEPTED => "under way",
            None => "done",
        };
        let subject = extensions.get::<Subject>();
        let subject = subject.map_or("", |Subject(subject)| subject);
        self.emit(subject, outcome);
    }

    /// What a client has sent is quoted, so that it cannot look like another line.
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
            self.emit("", "unknown: broken off");
        }
    }
}

/// The other end of the connection, if the server has told.
pub(crate) fn peer(request: &Request) -> Option<SocketAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| *peer)
}
