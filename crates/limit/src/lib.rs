//! Rate limits per client, in bounded memory, and who the client is.
//!
//! A limit that is keyed by something a stranger chooses must not let the stranger choose how much
//! memory it takes, nor which key is looked at. So the number of clients is capped, and an address
//! that a client claims for itself is never believed.
//!
//! | piece | what it is |
//! |---|---|
//! | [`ClientLimit`] | a token bucket per client, and one that all clients share who find no room |
//! | [`Config`], [`RetryAfter`] | how much a client may do, and when it may come back |
//! | [`Client`] | whom a bucket belongs to: an IPv4 address, or the /64 of an IPv6 address |
//! | [`TrustedProxies`] | whose word about the client's address counts, and what it says |

mod client;
mod config;
mod limit;
mod proxies;
mod retry_after;

pub use client::Client;
pub use config::Config;
pub use limit::ClientLimit;
pub use proxies::{ProxyError, TrustedProxies};
pub use retry_after::RetryAfter;
