//! The pkarr HTTP relay.
//!
//! A packet that a client PUTs is verified here, once, and handed to the [`Replica`]; a GET is
//! answered from the local replica. Three rules hold for every request: it gets an answer within a
//! deadline, an answer that says what was wrong, and what it makes the process keep is bounded.
//!
//! What 204 promises to a PUT: the packet was accepted by a majority, or this node stored the very
//! same bytes already. The second is judged by this node's own replica alone, which makes refreshes
//! cheap: a newer packet that another node accepted a moment ago does not turn it into a 409.
//!
//! | piece | what it is |
//! |---|---|
//! | [`router`] | `PUT`, `GET`, `HEAD` and `OPTIONS` at `/pkarr/{z32}` and `/{z32}`, and at `/events` behind them; a page for people at `/` |
//! | [`RelayConfig`] | limits and deadlines of the relay |
//! | [`ClientRules`] | what holds for clients, and may change meanwhile |
//! | [`WatchSettings`] | how many requests may wait for changes |
//! | [`RelayMetrics`] | what it tells Prometheus |
//!
//! Sources: `design/relays.md` of pubky/pkarr, RFC 9110 (semantics, conditions), RFC 9111
//! (caching), RFC 6750 (bearer tokens), RFC 9457 (problems), HTML Standard, section 9.2 (server-sent
//! events).
//!
//! [`Replica`]: quorate_replica::Replica

mod conditions;
mod config;
mod entity_tag;
mod events;
mod field;
mod get;
mod metrics;
mod page;
mod publisher;
mod put;
mod relay;
mod router;
mod watch;
#[cfg(test)]
mod watch_fixture;
mod watchers;

pub use config::{ANSWER_MARGIN, ClientRules, RelayConfig, WatchSettings};
pub use metrics::RelayMetrics;
pub use router::router;
