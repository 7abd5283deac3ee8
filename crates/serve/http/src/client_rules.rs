//! Who the client of a request is, and how much it may do.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderName, header},
};
use quorate_api::ProblemType;
use quorate_limit::{LimitExceeded, Networks, RequestLimits};

use crate::ProblemResponse;

/// The field in which most proxies write who called them; others use `Forwarded` (RFC 7239).
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The value that is used for a field that is not text. It is neither an address nor a pair with
/// `=`.
const MALFORMED_FIELD: &str = "?";

/// Rate limits and trusted proxies. Clones share them, so that a reload changes them for all
/// requests. By default there are no limits and no proxies.
#[derive(Clone, Default)]
pub struct ClientRules {
    /// How many requests each client may send.
    pub limits: RequestLimits,
    /// The proxies whose header fields about a client's address are trusted.
    pub trusted_proxies: Arc<ArcSwap<Networks>>,
}

impl ClientRules {
    pub fn new(limits: RequestLimits, trusted_proxies: Networks) -> Self {
        Self {
            limits,
            trusted_proxies: Arc::new(ArcSwap::from_pointee(trusted_proxies)),
        }
    }

    /// The address of the client that sent the request. All requests without a socket count as one
    /// client.
    pub fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
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
        let proxies = self.trusted_proxies.load();
        proxies.client_address(peer, values(&X_FORWARDED_FOR), values(&header::FORWARDED))
    }
}

/// The type of the problem: if all clients share the limit, the node is overloaded.
pub fn limit_problem_type(error: &LimitExceeded) -> ProblemType {
    match error.limit.is_shared() {
        true => ProblemType::Overloaded,
        false => ProblemType::RateLimited,
    }
}

/// The response to a request that exceeds a limit, with the time after which to retry.
pub fn limit_problem(error: LimitExceeded) -> ProblemResponse {
    ProblemResponse::new(limit_problem_type(&error), error).retry_after(error.retry_after_secs)
}
