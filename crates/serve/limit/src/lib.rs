//! Rate limits per client, in bounded memory, and who the client is.
//!
//! A limit that is keyed by something a stranger chooses must not let the stranger choose how much
//! memory it takes, nor which key is looked at. So tables have a fixed size, places in them are found
//! by keyed hashes, and an address that a client claims for itself is never believed. Over UDP every
//! address is such a claim: what is limited there is what the address gets, whoever asks.
//!
//! | piece | what it is |
//! |---|---|
//! | [`RequestLimits`] | what clients, networks and everybody may PUT and GET over HTTP |
//! | [`Change`] | what a PUT would change, which decides what limits it meets |
//! | [`Refusal`], [`Limit`] | which limit refused a request, and when to come back |
//! | [`ByteRates`] | how many bytes a second a client may move |
//! | [`ResponseRates`] | how many answers over UDP an address, and each network around it, may get |
//! | [`LimitConfig`] | how much that is |
//! | [`Client`] | who shares a limit: an IPv4 address, or the /64 of an IPv6 address |
//! | [`Networks`] | networks that an operator lists: of proxies, they tell who the client is |
//! | [`LimitMetrics`] | what limits tell Prometheus |

mod byte_rates;
mod client;
mod client_rates;
mod config;
mod forwarded;
mod metrics;
mod networks;
mod proxies;
mod rate;
mod refusal;
mod request_limits;
mod request_rates;
mod response_rates;
mod table;

pub use byte_rates::ByteRates;
pub use client::Client;
pub use config::LimitConfig;
pub use metrics::{LimitMetrics, TableLabel};
pub use networks::{NetworkError, Networks};
pub use refusal::{Limit, Refusal};
pub use request_limits::RequestLimits;
pub use request_rates::Change;
pub use response_rates::ResponseRates;
