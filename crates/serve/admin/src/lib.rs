//! The admin API of a node: health checks, metrics, status, and the changes that operators make.
//!
//! The crate has routers and no sockets: the top-level crate serves [`routers`] at the admin
//! addresses and on the Unix socket, and merges [`health_router`] into the public HTTP server, which
//! load balancers check.
//!
//! | path | answer | scope |
//! |---|---|---|
//! | `/livez` | 200, or 503 after a fatal error stopped replication: restart the process | public |
//! | `/readyz` | 200, or 503 and why the node is not ready: send it no clients | public |
//! | `/healthz` | JSON with the keys of iroh-dns-server, and more | public |
//! | `/metrics` | the Prometheus text format, version 0.0.4 | metrics |
//! | `/v1/openapi.json` | the description of all other paths | read |
//! | `/v1/…` with GET | JSON types of `quorate-api` | read |
//! | `/v1/…` with another method | JSON about what was changed | operate |
//!
//! Requests on the Unix socket need no token: the permissions of its file decide who may connect.
//! Over TCP all do, except for health and, from this machine, metrics: a proxy on this machine sends
//! the requests of strangers from the same address as a program of the operator. Every rejection is a
//! problem document. Every request for a change is a line in the audit log with the target
//! `quorate::audit`: who requested what, and the outcome. A change continues when its client
//! disconnects.
//!
//! | piece | what it is |
//! |---|---|
//! | [`health_router`], [`routers`], [`AdminRouters`] | the routes |
//! | [`AdminNode`] | the node behind the routes |
//! | [`Tokens`], [`Token`], [`Scope`] | the tokens of operators, and what each permits |
//! | [`Reload`], [`LogControl`], [`ServedZones`] | what the top-level crate implements for the routes |
//! | [`Build`] | the version of the program |
//! | [`AdminConfig`] | the settings of the admin addresses and the socket |
//! | [`socket_group`] | the group whose members may use the socket |
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
//!
//! ## What must hold
//!
//! | rule | enforced in | test |
//! |---|---|---|
//! | over TCP all but health and metrics needs a token, also from this machine | `Authorizer::caller` | `over_tcp_all_but_health_and_metrics_needs_a_token_even_from_this_machine`, `a_plain_proxy_pass_of_nginx_or_haproxy_operates_nothing` |
//! | metrics without a token are only for programs on this machine | `is_direct` in `authorize.rs` | `metrics_without_a_token_are_for_programs_on_this_machine` |
//! | rejected requests write few lines, and none hides an accepted change | `AuditLog` in `audit.rs` | `a_flood_of_rejected_requests_writes_few_short_lines_and_hides_nothing`, `the_lines_that_were_left_out_are_counted` |
//! | a web page cannot use the socket | `check_not_foreign` | `the_socket_answers_no_web_page` |

mod audit;
mod authorize;
mod change;
mod changes;
mod config;
mod declaration;
mod dht;
mod group;
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
mod secrets;
mod shared;
mod status_metrics;
mod token;
mod tokens;
mod zones;

pub use config::AdminConfig;
pub use group::{GroupError, socket_group};
pub use health::{Build, health_router};
pub use quorate_api::{AUDIT_TARGET, ReloadReport};
pub use router::{AdminRouters, routers};
pub use shared::{AdminNode, BackupBytes, Backups, LogControl, Reload, ServedZones};
pub use token::{Scope, Token, TokenName, TokenNameError};
pub use tokens::{TokenLineError, TokenList, Tokens, TokensError};

#[cfg(test)]
mod fixture;
#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
