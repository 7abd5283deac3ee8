//! The pkarr relay: stores and serves signed DNS packets over HTTP.
//!
//! The packet of a PUT is verified here, once, and passed to the [`Replica`]. A GET is answered
//! from the local replica. Three rules apply to every request: it is answered before a deadline,
//! the answer says what was wrong, and the memory that it needs is bounded.
//!
//! 204 as the answer to a PUT means: a majority has accepted the packet, or this node has stored
//! the same bytes already. The second case only looks at this node's own replica, which makes
//! refreshes cheap: it stays 204 even if another node has just accepted a newer packet.
//!
//! | piece | what it is |
//! |---|---|
//! | [`router`] | `PUT`, `GET`, `HEAD` and `OPTIONS` at `/pkarr/{z32}` and `/{z32}`; events at `/events` after these; a page for people at `/` |
//! | [`RelayConfig`] | limits and deadlines of the relay |
//! | [`ClientRules`] | rate limits and trusted proxies, which a reload can change |
//! | [`WatchSettings`] | how many requests may wait for changes |
//! | [`RelayMetrics`] | the metrics of the relay |
//!
//! Sources: `design/relays.md` of pubky/pkarr, RFC 9110 (semantics, conditions), RFC 9111
//! (caching), RFC 6750 (bearer tokens), RFC 9457 (problems), HTML Standard, section 9.2
//! (server-sent events).
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
