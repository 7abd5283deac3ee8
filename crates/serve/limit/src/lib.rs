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
//! | [`LogBudget`] | how many log lines a kind of event may write in a minute |
//! | [`LimitMetrics`] | the metrics of limits |
//!
//! ## Which buckets a request takes a token from
//!
//! In this order. A request takes a token from all buckets of a step or from none. "Client and
//! networks" are the client (an IPv4 address or an IPv6 /64), its site (an IPv4 /24 or an IPv6 /48)
//! with 16 times as much, and its provider (an IPv6 /32) with 64 times; for new keys 4 and 8 times.
//!
//! | request | buckets |
//! |---|---|
//! | PUT, before its body is read | client and networks |
//! | its packet, if it is invalid, or this node knows the outcome: the same bytes or a newer packet are stored, or the key may not publish | none |
//! | a packet of a key that is not stored | new keys of client and networks, new keys of all, half of the PUTs of all, PUTs of all |
//! | a newer packet of a key that published within 250 s | that key, half of the PUTs of all, PUTs of all |
//! | a newer packet of any other key | that key, PUTs of all |
//! | any other packet: the same bytes after an eighth of the retention, or conditions that only the log can check | a tenth of the PUTs of all, PUTs of all |
//! | GET, HEAD, `/events`, the page `/` | client and networks, all |
//! | `policy=NetworkOnly` | a place among the reads that wait for the leader |
//! | a DNS query over HTTPS, TCP, TLS or QUIC | client and networks: over HTTPS more are rejected, otherwise the next waits |
//! | a lookup in the DHT, for a key that is not known | client and networks, all |
//! | bytes in both directions, of all connections | connection (HTTP), client and networks: the next bytes wait |
//! | `?wait=`, `/events`; a connection | a place of client and networks (which leave half of what one client leaves), and one of all |
//!
//! ## Why stored endpoints can always publish
//!
//! By default a node passes 10,000 PUTs per second to the cluster. Attackers can have any number of
//! addresses and keys. With N stored keys, each of which may publish 30 times a minute, they send
//! N / 2 per second, so 10,000 keys are enough for all 5,000 that keys get which published within
//! 250 s, and another thousand per second can be PUTs that change nothing. 4,000 per second are
//! left for keys that were idle for 250 s. A PUT makes its key busy for that time, so N keys send
//! at most N / 250 s of these: all of the million keys that a cluster stores by default, 4,000 per
//! second. Endpoints publish every 300 s, so theirs are always idle. If all million keys were idle
//! and publish at the same moment, each is stored within 250 s.
//!
//! | what must hold | test |
//! |---|---|
//! | no client and no network can take what all share | `no_client_or_network_can_take_the_capacity` |
//! | a client alone on its buckets that waits for `Retry-After` is not rejected again | `a_lone_client_that_waits_for_retry_after_is_admitted` |
//! | 2,000 endpoints behind one address can restart together | `two_thousand_endpoints_behind_one_address_restart_and_continue` |
//! | a million addresses take no memory, and clients that used much are not forgotten | `a_flood_of_a_million_addresses_takes_no_memory_and_hurts_no_known_client` |
//! | only its owner uses up the limit of a key | `only_the_owner_of_a_key_can_use_up_its_limit` |
//! | replays take nothing that others need | `replays_take_nothing_that_others_need` |
//! | 10,000 attackers in as many networks, with new and with stored keys, stop no endpoint that publishes every 300 s | `ten_thousand_attackers_stop_no_stored_endpoint` |
//! | if all stored keys publish at once, each is stored within 250 s | `even_if_all_stored_keys_publish_at_once_each_is_stored_before_it_is_idle_again` |
//! | no client and no network takes all places | `networks_get_their_multiple_of_one_client_and_leave_places_for_others` |
//! | all connections of a client, and of a network, share one byte rate | `connections_of_one_client_share_its_rate_and_others_have_their_own`, `networks_get_their_multiple_of_one_client` |

mod byte_rates;
mod client;
mod client_network;
mod client_rates;
mod config;
mod forwarded;
mod limit_exceeded;
mod log_budget;
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
pub use log_budget::{LogBudget, Unlogged};
pub use metrics::{LimitMetrics, TableLabel};
pub use networks::{NetworkError, Networks};
pub use place_counts::PlaceCounts;
pub use request_limits::RequestLimits;
pub use request_rates::PutEffect;
pub use response_rates::ResponseRates;
