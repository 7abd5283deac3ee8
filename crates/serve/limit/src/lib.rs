//! Rate limits per client in bounded memory, and how to find the address of a client behind
//! proxies.
//!
//! The key of a limit, such as an address, is often chosen by a stranger. The stranger must not be
//! able to choose how much memory the limit takes, nor which entry of a table is used. So tables
//! have a fixed size, entries are found by keyed hashes, and an address that a client claims for
//! itself is never trusted. Over UDP every source address is only a claim: there, the limit is on
//! what an address receives, regardless of who sent the query.
//!
//! | piece | what it is |
//! |---|---|
//! | [`RequestLimits`] | limits of PUTs and GETs over HTTP, per client, per network and for the node |
//! | [`PutEffect`] | what a PUT would change, which decides which limits apply to it |
//! | [`LimitExceeded`], [`Limit`] | which limit rejected a request, and when to retry |
//! | [`ByteRates`] | the limit of bytes per second of a client and of the networks around it, over all its connections |
//! | [`ResponseRates`] | the limits of answers over UDP to an address and to each network around it |
//! | [`LimitConfig`] | the settings of all limits |
//! | [`Client`] | the unit that limits apply to: an IPv4 address, or the /64 of an IPv6 address |
//! | [`ClientNetwork`], [`NetworkLevel`] | a client, or a network around it, and how much more than a client it may use |
//! | [`PlaceCounts`] | how many connections or waiting requests a client holds, and each network around it |
//! | [`Networks`] | a list of networks in the configuration; trusted proxies determine the client's address |
//! | [`LimitMetrics`] | the metrics of limits |
//!
//! ## Which buckets a request takes a token from
//!
//! In this order. A request takes a token from all buckets of a step or from none.
//!
//! | request | buckets |
//! |---|---|
//! | PUT, before its body is read | client, IPv4 /24 or IPv6 /48, IPv6 /32 |
//! | its packet, verified, unless it is already stored | a known key: that key. An unknown key: new keys of client and networks, new keys of all. Then packets of all |
//! | GET, HEAD, `/events`, the page `/` | client, networks, all |
//! | `policy=NetworkOnly` | a place among the reads that wait for the leader |
//! | bytes in both directions | connection, client |
//! | `?wait=`, `/events` | a place of the client, and one of all |
//!
//! | what must hold | test |
//! |---|---|
//! | no client and no network can take what all share | `no_client_or_network_can_take_the_capacity` |
//! | a client alone on its buckets that waits for `Retry-After` is not rejected again | `a_lone_client_that_waits_for_retry_after_is_admitted` |
//! | 2,000 endpoints behind one address can restart together | `two_thousand_endpoints_behind_one_address_restart_and_continue` |
//! | a million addresses take no memory, and clients that used much are not forgotten | `a_flood_of_a_million_addresses_takes_no_memory_and_hurts_no_known_client` |
//! | only its owner uses up the limit of a key | `only_the_owner_of_a_key_can_use_up_its_limit` |

mod byte_rates;
mod client;
mod client_network;
mod client_rates;
mod config;
mod forwarded;
mod limit_exceeded;
mod metrics;
mod networks;
mod paced_rates;
mod place_counts;
mod proxies;
mod rate;
mod request_limits;
mod request_rates;
mod response_rates;
mod table;

pub use byte_rates::ByteRates;
pub use client::Client;
pub use client_network::{ClientNetwork, NetworkLevel};
pub use config::LimitConfig;
pub use limit_exceeded::{Limit, LimitExceeded};
pub use metrics::{LimitMetrics, TableLabel};
pub use networks::{NetworkError, Networks};
pub use place_counts::PlaceCounts;
pub use request_limits::RequestLimits;
pub use request_rates::PutEffect;
pub use response_rates::ResponseRates;
