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
//! | [`Change`] | what a PUT would change, which decides which limits apply to it |
//! | [`LimitExceeded`], [`Limit`] | which limit rejected a request, and when to retry |
//! | [`ByteRates`] | the limit of bytes per second of a client |
//! | [`ResponseRates`] | the limits of answers over UDP to an address and to each network around it |
//! | [`LimitConfig`] | the settings of all limits |
//! | [`Client`] | the unit that limits apply to: an IPv4 address, or the /64 of an IPv6 address |
//! | [`Networks`] | a list of networks in the configuration; trusted proxies determine the client's address |
//! | [`LimitMetrics`] | the metrics of limits |

mod byte_rates;
mod client;
mod client_rates;
mod config;
mod forwarded;
mod limit_exceeded;
mod metrics;
mod networks;
mod proxies;
mod rate;
mod request_limits;
mod request_rates;
mod response_rates;
mod table;

pub use byte_rates::ByteRates;
pub use client::Client;
pub use config::LimitConfig;
pub use limit_exceeded::{Limit, LimitExceeded};
pub use metrics::{LimitMetrics, TableLabel};
pub use networks::{NetworkError, Networks};
pub use request_limits::RequestLimits;
pub use request_rates::Change;
pub use response_rates::ResponseRates;
