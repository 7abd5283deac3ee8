//! What operators and their machines ask a node: is it alive, is it ready, how does it stand; and
//! what they have it do.
//!
//! Routers, no sockets: the roof serves [`router`] at the admin address, and merges
//! [`health_router`] into the public HTTP server, where load balancers look.
//!
//! | path | answer | scope |
//! |---|---|---|
//! | `/livez` | 200, or 503 once a fatal error stopped replication: restart the process | public |
//! | `/readyz` | 200, or 503 and why the node is not ready: send it no clients | public |
//! | `/healthz` | JSON as iroh-dns-server gives it, and more | public |
//! | `/metrics` | the Prometheus text format, version 0.0.4 | metrics |
//! | `/v1/openapi.json` | what all the others are | none |
//! | `/v1/…` with GET | JSON of `quorate-admin-api` | read |
//! | `/v1/…` with another method | the same, of what was changed | operate |
//!
//! Who asks from this machine needs no token, unless the configuration says so; everybody else does,
//! for everything but health. Every refusal is a problem document, and every request for a change is
//! a line of the audit log, which has the target `quorate::audit`: who asked for what, and what came
//! of it. A change goes on when its client leaves.
//!
//! | piece | what it is |
//! |---|---|
//! | [`health_router`], [`router`] | the routes |
//! | [`AdminNode`] | what they ask |
//! | [`Tokens`], [`Token`], [`Scope`] | who may ask |
//! | [`Reload`], [`LogControl`], [`ServedZones`] | what the roof does for them |
//! | [`Build`] | which program this is |
//! | [`AdminConfig`] | where operators ask |

mod audit;
mod change;
mod changes;
mod config;
mod declaration;
mod gate;
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
