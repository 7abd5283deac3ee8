//! What operators and their machines ask a node: is it alive, is it ready, how does it stand.
//!
//! Routers, no sockets: the roof serves [`router`] at the admin address, and merges
//! [`health_router`] into the public HTTP server, where load balancers look.
//!
//! | path | answer | public |
//! |---|---|---|
//! | `/livez` | 200, or 503 once a fatal error stopped replication: restart the process | yes |
//! | `/readyz` | 200, or 503 and why the node is not ready: send it no clients | yes |
//! | `/healthz` | JSON as iroh-dns-server gives it, and more | yes |
//! | `/metrics` | the Prometheus text format, version 0.0.4 | no |
//! | `/v1/status` | [`Status`](quorate_replica::Status) as JSON | no |
//! | `/v1/digest` | [`StateDigest`](quorate_replica::StateDigest) as JSON; reads every packet | no |
//!
//! | piece | what it is |
//! |---|---|
//! | [`health_router`], [`router`] | the routes |
//! | [`Build`] | which program this is |
//! | [`Config`] | where operators ask |

mod config;
mod health;
mod operator;
mod status_metrics;

pub use config::Config;
pub use health::{Build, health_router};
pub use operator::router;

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
