//! The links that are kept open to peers, their requests in flight, and the answers to peers.

pub(crate) mod claims;
pub(crate) mod connection;
pub(crate) mod drop_in_background;
pub(crate) mod link_tracker;
pub(crate) mod peer_link;
pub(crate) mod peers;
pub(crate) mod service;

/// The number of a request, with the request or its response.
pub(crate) type WithRequestId<T> = (u64, T);
