//! Rate limits per client, in bounded memory, and who the client is.
//!
//! A limit that is keyed by something a stranger chooses must not let the stranger choose how much
//! memory it takes, nor which key is looked at. So the number of clients is capped, and an address
//! that a client claims for itself is never believed. Over UDP every address is such a claim: what
//! is limited there is what the address gets, whoever asks.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClientLimit`] | a token bucket per client, and one that all clients share who find no room |
//! | [`ResponseRates`] | how many answers over UDP an address, and each network around it, may get |
//! | [`Config`], [`RetryAfter`] | how much a client may do, and when it may come back |
//! | [`Client`] | whom a bucket belongs to: an IPv4 address, or the /64 of an IPv6 address |
//! | [`TrustedProxies`] | whose word about the client's address counts, and what it says |
//! | [`Networks`], [`ExemptNetworks`] | networks that an operator lists; those without limits |

mod client;
mod config;
mod exempt;
mod limit;
mod networks;
mod proxies;
mod response_rates;
mod retry_after;

pub use client::Client;
pub use config::Config;
pub use exempt::ExemptNetworks;
pub use limit::ClientLimit;
pub use networks::{NetworkError, Networks};
pub use proxies::TrustedProxies;
pub use response_rates::ResponseRates;
pub use retry_after::RetryAfter;
