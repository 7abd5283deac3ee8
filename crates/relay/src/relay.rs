//! What all requests share.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::ConnectInfo,
    http::{StatusCode, Uri, request::Parts},
    response::Response,
};
use quorate_http::{retry_after, text};
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::Replica;

use crate::{Config, Metrics, replica_state::ReplicaStateCache};

/// After how many seconds a client may come back when the node could not serve it: an election
/// takes about one.
const RETRY_AFTER_SECS: u64 = 1;

/// Where proxies write whom they were called by.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// What all requests share.
pub(crate) struct Relay {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) state: ReplicaStateCache,
}

impl Relay {
    /// Who makes the request. All requests without a socket are one client.
    pub(crate) fn client(&self, request: &Parts) -> IpAddr {
        let peer = request
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
        // A field that is no text says nothing about the client, like an entry that is no address.
        let forwarded_for: Vec<_> = request
            .headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        let rules = self.config.rules.current();
        rules
            .trusted_proxies
            .client_address(peer, forwarded_for.into_iter())
    }
}

/// The key that the path ends in.
pub(crate) fn key(uri: &Uri) -> Result<PublicKey, KeyError> {
    let path = uri.path().as_bytes();
    let segment = path.rsplit(|byte| *byte == b'/').next();
    PublicKey::parse_z32(segment.unwrap_or_default())
}

/// An answer that says what was wrong, and when to come back if that was the node.
pub(crate) fn failed(status: StatusCode, failure: impl Display) -> Response {
    let response = text(status, failure);
    match status.is_server_error() {
        true => retry_after(response, RETRY_AFTER_SECS),
        false => response,
    }
}
