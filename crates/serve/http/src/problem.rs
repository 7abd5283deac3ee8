//! Why a request was refused: problem documents (RFC 9457).

use std::fmt;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::response::{retry_after, uncached};

/// The media type of a problem document.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Why a request was refused. As a response it is a problem document, which no cache may keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    retry_after_secs: Option<u64>,
}

/// A problem document, as RFC 9457 calls its members.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    uri: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A problem of this kind: what is wrong this time, and what to do about it.
    pub fn new(kind: ProblemKind, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            detail: detail.to_string(),
            retry_after_secs: None,
        }
    }

    /// The same, and says after how many seconds the request may succeed.
    pub fn retry_after(self, secs: u64) -> Self {
        Self {
            retry_after_secs: Some(secs),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            uri: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
        };
        let mut response = uncached((self.kind.status(), Json(document)));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, CONTENT_TYPE);
        match self.retry_after_secs {
            Some(secs) => retry_after(response, secs),
            None => response,
        }
    }
}

macro_rules! problem_kinds {
    ($( $(#[$doc:meta])* $variant:ident: $status:ident, $slug:literal, $title:literal; )*) => {
        /// The problems that clients of the relay and of DNS over HTTPS meet. Each has one status
        /// code, and a line in `docs/PROBLEMS.md`. Where the admin API has the same problem, it has
        /// the same URI.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $( $(#[$doc])* $variant, )*
        }

        impl ProblemKind {
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The URI that names it: the `type` of its documents.
            pub fn uri(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!("urn:quorate:problem:", $slug), )*
                }
            }

            pub fn status(self) -> StatusCode {
                match self {
                    $( Self::$variant => StatusCode::$status, )*
                }
            }

            /// What all problems of this kind have in common.
            pub fn title(self) -> &'static str {
                match self {
                    $( Self::$variant => $title, )*
                }
            }
        }
    };
}

problem_kinds! {
    /// The request is malformed.
    BadRequest: BAD_REQUEST, "bad-request", "The request is malformed";
    /// The path ends in no public key.
    BadKey: BAD_REQUEST, "bad-key", "The path names no public key";
    /// The body is no packet that its key has signed.
    BadPacket: BAD_REQUEST, "bad-packet", "The body is no signed packet of the key";
    /// The packet is of a time that is yet to come.
    TooFarAhead: BAD_REQUEST, "too-far-ahead", "The packet's timestamp lies too far ahead";
    /// A conditional header cannot be understood.
    BadCondition: BAD_REQUEST, "bad-condition", "The condition is malformed";
    /// Who publishes must have a token here.
    NotAuthorized: UNAUTHORIZED, "not-authorized", "A token is needed";
    /// The token is none that may publish.
    WrongToken: UNAUTHORIZED, "wrong-token", "The token is not known";
    /// The key may not publish.
    ForbiddenKey: FORBIDDEN, "forbidden-key", "The key may not publish here";
    /// The key may not publish for a time.
    BlockedKey: FORBIDDEN, "blocked-key", "The key may not publish here for a time";
    /// The node holds no packet of the key.
    UnknownPacket: NOT_FOUND, "unknown-packet", "No such packet";
    /// There is nothing at this path.
    UnknownPath: NOT_FOUND, "unknown-path", "No such path";
    /// The path is there and this method is not.
    UnknownMethod: METHOD_NOT_ALLOWED, "unknown-method", "No such method";
    /// The client accepts nothing that is given here.
    NotAcceptable: NOT_ACCEPTABLE, "not-acceptable", "No acceptable form";
    /// The body was too slow, or was not sent to its end.
    BodyLost: REQUEST_TIMEOUT, "body-lost", "The body did not arrive";
    /// A newer packet of the key is stored.
    Superseded: CONFLICT, "superseded", "A newer packet is stored";
    /// What is stored is not what the request asks for.
    ConditionFailed: PRECONDITION_FAILED, "condition-failed", "The condition does not hold";
    /// The body is longer than any request needs.
    TooLong: PAYLOAD_TOO_LARGE, "too-long", "The body is too long";
    /// The query in the address is longer than any request needs.
    UriTooLong: URI_TOO_LONG, "uri-too-long", "The address is too long";
    /// The body is not said to be a DNS message.
    NoDnsMessage: UNSUPPORTED_MEDIA_TYPE, "no-dns-message", "The body is no DNS message";
    /// The client asks more often than it may.
    RateLimited: TOO_MANY_REQUESTS, "rate-limited", "Too many requests";
    /// The response cannot be given in the form that is asked for.
    Unpresentable: INTERNAL_SERVER_ERROR, "unpresentable", "The response has no such form";
    /// The cluster has as many packets as it may have.
    Full: SERVICE_UNAVAILABLE, "full", "The capacity of the cluster is reached";
    /// No leader could be reached in time.
    NoLeader: SERVICE_UNAVAILABLE, "no-leader", "No leader is known";
    /// The node has as much to do as it takes on.
    Overloaded: SERVICE_UNAVAILABLE, "overloaded", "Too many requests wait";
    /// The node cannot answer now.
    Unavailable: SERVICE_UNAVAILABLE, "unavailable", "The node cannot answer now";
    /// Nobody knows whether the packet is stored.
    UnknownOutcome: GATEWAY_TIMEOUT, "unknown-outcome", "The outcome is unknown";
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
