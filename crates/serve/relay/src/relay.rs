//! What all requests share.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, Uri, header},
};
use quorate_http::{ProblemResponse, ProblemType};
use quorate_limit::Refusal;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, watchers::Watchers};

/// Where most proxies write whom they were called by; others in `Forwarded` (RFC 7239).
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is read in place of a field that is no text: neither an address nor a pair with `=`.
const MALFORMED: &str = "?";

pub(crate) struct Relay {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) config: RelayConfig,
    pub(crate) metrics: RelayMetrics,
    pub(crate) watchers: Watchers,
}

impl Relay {
    /// Who makes the request. All requests without a socket are one client.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
        // A field that is no text is malformed, which an empty one is not: else whoever sends one
        // would have what its proxy wrote in it overlooked, and its own word in the other believed.
        let values = |field: &HeaderName| {
            let values = headers.get_all(field).into_iter();
            values.map(|value| value.to_str().unwrap_or(MALFORMED))
        };
        let proxies = self.config.rules.trusted_proxies.load();
        proxies.client_address(peer, values(&X_FORWARDED_FOR), values(&header::FORWARDED))
    }
}

/// The key in the path, which so many segments follow.
pub(crate) fn key(uri: &Uri, segment_count_behind: usize) -> Result<PublicKey, KeyError> {
    let path = uri.path().as_bytes();
    let segment = path.rsplit(|byte| *byte == b'/').nth(segment_count_behind);
    PublicKey::parse_z32(segment.unwrap_or_default())
}

/// What kind of problem a limit is. What others have used up is the node's.
pub(crate) fn limit_kind(refusal: &Refusal) -> ProblemType {
    match refusal.limit.is_of_everybody() {
        true => ProblemType::Overloaded,
        false => ProblemType::RateLimited,
    }
}

/// What a limit says, and when it lets the client in again.
pub(crate) fn limited(refusal: Refusal) -> ProblemResponse {
    ProblemResponse::new(limit_kind(&refusal), refusal).retry_after(refusal.retry_after_secs)
}
