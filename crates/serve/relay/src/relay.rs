//! The state of the relay, and helpers that all requests use.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, Uri, header},
};
use quorate_http::{ProblemResponse, ProblemType};
use quorate_limit::LimitExceeded;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::Replica;

use crate::{RelayConfig, RelayMetrics, watchers::Watchers};

/// The field in which most proxies write who called them; others use `Forwarded` (RFC 7239).
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The value that is used for a field that is not text. It is neither an address nor a pair with
/// `=`.
const MALFORMED_FIELD: &str = "?";

pub(crate) struct Relay {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) config: RelayConfig,
    pub(crate) metrics: RelayMetrics,
    pub(crate) watchers: Watchers,
}

impl Relay {
    /// The address of the client that sent the request. All requests without a socket count as one
    /// client.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
        // A field that is not text counts as malformed, not as empty. Otherwise a client could hide
        // what its proxy wrote in that field, and its own value of the other field would be
        // trusted.
        let values = |field: &HeaderName| {
            let values = headers.get_all(field).into_iter();
            values.map(|value| value.to_str().unwrap_or(MALFORMED_FIELD))
        };
        let proxies = self.config.rules.trusted_proxies.load();
        proxies.client_address(peer, values(&X_FORWARDED_FOR), values(&header::FORWARDED))
    }
}

/// Parses the key in the path, which is followed by `segments_after` segments.
pub(crate) fn key(uri: &Uri, segments_after: usize) -> Result<PublicKey, KeyError> {
    let path = uri.path().as_bytes();
    let segment = path.rsplit(|byte| *byte == b'/').nth(segments_after);
    PublicKey::parse_z32(segment.unwrap_or_default())
}

/// The type of the problem: if all clients share the limit, the node is overloaded.
pub(crate) fn limit_problem_type(error: &LimitExceeded) -> ProblemType {
    match error.limit.is_shared() {
        true => ProblemType::Overloaded,
        false => ProblemType::RateLimited,
    }
}

/// The response to a request that exceeds a limit, with the time after which to retry.
pub(crate) fn limit_problem(error: LimitExceeded) -> ProblemResponse {
    ProblemResponse::new(limit_problem_type(&error), error).retry_after(error.retry_after_secs)
}
