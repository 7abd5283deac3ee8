//! The admin API of a node: health checks, metrics, status, and the changes that operators make.
//!
//! The crate has routers and no sockets: the top-level crate serves [`router`] at the admin
//! address, and merges [`health_router`] into the public HTTP server, which load balancers check.
//!
//! | path | answer | scope |
//! |---|---|---|
//! | `/livez` | 200, or 503 after a fatal error stopped replication: restart the process | public |
//! | `/readyz` | 200, or 503 and why the node is not ready: send it no clients | public |
//! | `/healthz` | JSON with the keys of iroh-dns-server, and more | public |
//! | `/metrics` | the Prometheus text format, version 0.0.4 | metrics |
//! | `/v1/openapi.json` | the description of all other paths | none |
//! | `/v1/…` with GET | JSON types of `quorate-api` | read |
//! | `/v1/…` with another method | JSON about what was changed | operate |
//!
//! Requests from this machine need no token, unless the configuration requires one. All others do,
//! except for health. Every rejection is a problem document. Every request for a change is a line
//! in the audit log with the target `quorate::audit`: who requested what, and the outcome. A change
//! continues when its client disconnects.
//!
//! | piece | what it is |
//! |---|---|
//! | [`health_router`], [`router`] | the routes |
//! | [`AdminNode`] | the node behind the routes |
//! | [`Tokens`], [`Token`], [`Scope`] | the tokens of operators, and what each permits |
//! | [`Reload`], [`LogControl`], [`ServedZones`] | what the top-level crate implements for the routes |
//! | [`Build`] | the version of the program |
//! | [`AdminConfig`] | the settings of the admin address |
//!
//! ## Health
//!
//! | state of the node | `/livez` | `/readyz` | `/healthz` |
//! |---|---|---|---|
//! | ready | 200 | 200 | 200 `ok` |
//! | ready, with a nearly full disk or a clock that is not `agreed` | 200 | 200 | 200 `degraded` |
//! | no leader is known | 200 | 503 | 200 `degraded` |
//! | starting, joining, removed, or stopping | 200 | 503 | 503 `unavailable` |
//! | failed | 503 | 503 | 503 `unavailable` |

mod audit;
mod authorize;
mod change;
mod changes;
mod config;
mod declaration;
mod health;
mod input;
mod members;
mod node;
mod openapi;
mod operations;
mod packets;
mod page;
mod policy;
mod problem;
mod router;
mod runtime;
mod shared;
mod status_metrics;
mod token;
mod tokens;
mod zones;

pub use config::AdminConfig;
pub use health::{Build, health_router};
pub use quorate_api::{AUDIT_TARGET, ReloadReport};
pub use router::router;
pub use shared::{AdminNode, LogControl, Reload, ServedZones};
pub use token::{Scope, Token, TokenName, TokenNameError};
pub use tokens::{TokenLineError, TokenList, Tokens, TokensError};

#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
