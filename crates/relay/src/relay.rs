//! The relay's routes and what their handlers share.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use quorate_limit::{ClientLimit, TrustedProxies};
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::Replica;

use crate::{Metrics, cors, get, put, standing::StandingCache};

/// After how many seconds a client may come back when the node could not serve it: an election
/// takes about one.
pub(crate) const RETRY_AFTER_SECS: u64 = 1;

/// The methods of the relay.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, PUT, OPTIONS");

/// Where proxies write whom they were called by.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Limits and deadlines of the relay.
#[derive(Debug)]
pub struct Config {
    /// How much each client may PUT; `None` for no limit.
    pub limit: Option<ClientLimit>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// When a request is answered even if the replica has not answered: slightly more than the
    /// replica's own deadline, whose answer says more.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limit: None,
            trusted_proxies: TrustedProxies::default(),
            deadline: Duration::from_millis(10_500),
        }
    }
}

/// What the handlers share.
pub(crate) struct Relay {
    pub(crate) replica: Arc<dyn Replica>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) standing: StandingCache,
}

/// The relay's routes.
///
/// They know the client's address by the `ConnectInfo<SocketAddr>` that [`Server`](crate::Server)
/// gives each request. Paths of one segment that no other route takes are read as keys.
pub fn router(replica: Arc<dyn Replica>, config: Config, metrics: Metrics) -> Router {
    let relay = Arc::new(Relay {
        standing: StandingCache::new(replica.clone()),
        replica,
        config,
        metrics,
    });
    let methods = MethodRouter::new()
        .get(get::get)
        .put(put::put)
        .options(preflight)
        .fallback(other_method);
    Router::new()
        .route("/pkarr/{z32}", methods.clone())
        .route("/{z32}", methods)
        .with_state(relay)
}

impl Relay {
    /// Who makes the request. All requests without a socket are one client.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), |info| info.0.ip());
        // A field that is no text says nothing about the client, like an entry that is no address.
        let forwarded_for: Vec<_> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        self.config
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

/// An answer of text, and when to come back if that makes sense.
pub(crate) fn text(status: StatusCode, text: String, retry_after: Option<u64>) -> Response {
    let mut response = (status, text + "\n").into_response();
    if let Some(secs) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

/// Costs no quota: a browser asks before each PUT, and the client cannot see to it.
async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::ALLOW, METHODS);
    cors::add(response.headers_mut());
    response
}

async fn other_method() -> Response {
    let said = "a packet can be PUT, and read by GET or HEAD".to_owned();
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, said, None);
    response.headers_mut().insert(header::ALLOW, METHODS);
    response
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
