//! The pkarr relay: stores and serves signed DNS packets over HTTP.
//!
//! The packet of a PUT is verified here, once, and passed to the [`Replica`]. A GET is answered
//! from the local replica, or from the Mainline DHT if the operator has switched that on; then it
//! waits for [`RelayDht::deadline`] at most. A PUT never waits for the DHT. Three rules apply to
//! every request: it is answered before a deadline, the answer says what was wrong, and the memory
//! that it needs is bounded.
//!
//! 204 as the answer to a PUT means: a majority has accepted the packet, or this node has stored
//! the same bytes already. The second case only looks at this node's own replica, which makes
//! refreshes cheap: it stays 204 even if another node has just accepted a newer packet.
//!
//! | piece | what it is |
//! |---|---|
//! | [`router`] | `PUT`, `GET`, `HEAD` and `OPTIONS` at `/pkarr/{z32}` and `/{z32}`; events at `/events` after these; a page for people at `/` |
//! | [`RelayConfig`] | limits and deadlines of the relay |
//! | [`WatchSettings`] | how many requests may wait for changes |
//! | [`RelayDht`] | where GETs look up keys that the cluster does not store |
//! | [`RelayMetrics`] | the metrics of the relay |
//!
//! ## Answers to a PUT
//!
//! Every rejection is a problem document (RFC 9457). "Stored?" is what the client may conclude.
//!
//! | what happened | HTTP | stored? | `outcome` in metrics |
//! |---|---|---|---|
//! | stored, or identical bytes were already there | 204 | yes | `stored`, `unchanged` |
//! | invalid key, size, DNS message, signature or condition | 400 | no | `invalid` |
//! | timestamp too far ahead of the cluster time | 400 | no | `too_far_ahead` |
//! | a token is required and missing, or unknown | 401 | no | `forbidden` |
//! | the key may not publish | 403 | no | `forbidden` |
//! | the body did not arrive in time | 408 | no | `body_lost` |
//! | a newer packet is stored | 409 | no | `superseded` |
//! | another version is stored than the condition names | 412 | no | `condition_failed` |
//! | more than 1072 bytes | 413 | no | `too_long` |
//! | too many PUTs or new keys of this client or network, or packets of this key | 429 | no | `limited` |
//! | too many requests of all clients | 503 | no | `limited` |
//! | no leader; capacity reached; disk full; too many waiting PUTs; starting; stopping | 503 | no | `no_leader`, `full`, `disk_full`, `overloaded`, `starting`, `shutting_down` |
//! | the deadline passed after an attempt that may have succeeded | 504 | unknown; a retry is safe | `unknown` |
//!
//! ## Answers to a GET
//!
//! | what happened | HTTP | `outcome` |
//! |---|---|---|
//! | found; the client already has it | 200; 304 | `found`; `not_modified` |
//! | found in the DHT | the same, with `quorate-source: dht` | the same |
//! | invalid key, policy or `wait` | 400 | `invalid` |
//! | no packet | 404 | `missing` |
//! | not stored, and the DHT has not answered | 404, with `no-store` | `missing` |
//! | too many GETs of this client or network; of all clients | 429; 503 | `limited` |
//! | too many waiting requests of this client or network; of all | 429; 503 | `not_held` |
//! | a linearizable read is not possible now | 503 | `not_linearizable` |
//! | the replica cannot be read | 503 | `unreadable` |
//!
//! 429, 503 and 504 have a `Retry-After` of at least one second. Browsers may read every answer.
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

pub use config::{ANSWER_MARGIN, RelayConfig, RelayDht, WatchSettings};
pub use metrics::RelayMetrics;
pub use router::router;
