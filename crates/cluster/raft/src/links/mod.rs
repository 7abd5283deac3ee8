//! Links to all peers that are kept open, their requests in flight, and what peers are answered.

pub(crate) mod claims;
pub(crate) mod connection;
pub(crate) mod link_tracker;
pub(crate) mod offloaded;
pub(crate) mod peer_link;
pub(crate) mod peers;
pub(crate) mod service;

/// A request or a response, and the number of the request.
pub(crate) type Numbered<T> = (u64, T);
