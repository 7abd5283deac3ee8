//! The one HTTP server under every router; no routes of its own.
//!
//! A client can hold a connection only while it makes progress: the header of each request, its
//! body and the taking of the answer have a timeout each, and an idle connection is closed after
//! the first of them. So the cap on connections bounds memory without shutting anyone out for long.
//! HTTP/2 is not offered: without TLS no client of a relay asks for it.
//!
//! Each request carries `ConnectInfo<SocketAddr>` of axum and has an id in `X-Request-Id`, which its
//! answer repeats and its log lines show. A client that still writes when it is refused is read for
//! a while, so that it sees why (RFC 9112, section 9.6).
//!
//! | piece | what it is |
//! |---|---|
//! | [`Config`] → [`HttpListener`] → [`Server`] | HTTP/1.1 for any router, safe against slow clients |
//! | [`with_cors`] | lets browsers use every answer of a router: the last layer around all routers |
//! | [`read_body`], [`BodyError`] | a request's body, of limited size, within the server's timeout |
//! | [`Problem`], [`ProblemKind`] | why a request was refused (RFC 9457) |
//! | [`text`], [`uncached`], [`retry_after`] | answers of text, and what they say of time |
//! | [`options`], [`method_not_allowed`] | which methods a resource has |

mod body;
mod config;
mod cors;
mod problem;
mod request_id;
mod response;
mod server;

pub use body::{BodyError, read_body};
pub use config::Config;
pub use cors::with_cors;
pub use problem::{Problem, ProblemKind};
pub use quorate_listener::Server;
pub use response::{method_not_allowed, options, retry_after, text, uncached};
pub use server::HttpListener;
