//! GET and HEAD: the stored packet, from the local replica.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use quorate_http::{retry_after, text, uncached};
use quorate_limit::Refusal;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::{IndexedPacket, LinearizeError, ReadError};

use crate::{
    conditions,
    freshness::max_age_secs,
    metrics::GetLabel,
    relay::{Relay, failed, key},
    replica_state::{Consistency, ReplicaState},
};

/// What a packet is called on the wire (`design/relays.md` of pkarr).
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/pkarr.org/relays#payload");

/// For how many seconds a cache may say that a key has no packet. Short, because an endpoint that
/// starts up is looked for before it has published.
const MISSING_MAX_AGE_SECS: u64 = 5;

/// Reads a packet.
pub(crate) async fn get(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let client = relay.client(request.extensions(), request.headers());
    let (label, response) = match relay.read(client, request.uri()).await {
        Ok((Some(indexed), state)) => found(request.headers(), &indexed, state),
        Ok((None, state)) => missing(state),
        Err(failure) => failure.into_response(),
    };
    relay.metrics.gets_total.of(label).inc();
    response
}

/// Why nothing was read. The text is the answer's body.
#[derive(Debug, thiserror::Error)]
enum GetFailure {
    #[error(transparent)]
    Limited(#[from] Refusal),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("`policy` is none of CacheOnly, CacheFirst and NetworkOnly")]
    Policy,
    #[error(
        "no leader confirmed in time what is committed: ask again, or with `policy=CacheFirst` for \
         what this node holds"
    )]
    NotLinearizable(#[from] LinearizeError),
    #[error("the store of this node cannot be read: ask another node")]
    Unreadable(#[from] ReadError),
}

impl GetFailure {
    fn into_response(self) -> (GetLabel, Response) {
        let (label, status) = match &self {
            Self::Limited(refusal) => match refusal.limit.is_of_everybody() {
                true => (GetLabel::Limited, StatusCode::SERVICE_UNAVAILABLE),
                false => (GetLabel::Limited, StatusCode::TOO_MANY_REQUESTS),
            },
            Self::Key(_) | Self::Policy => (GetLabel::Invalid, StatusCode::BAD_REQUEST),
            Self::NotLinearizable(_) => {
                (GetLabel::NotLinearizable, StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Unreadable(_) => (GetLabel::Unreadable, StatusCode::SERVICE_UNAVAILABLE),
        };
        let response = uncached(failed(status, &self));
        match self {
            Self::Limited(refusal) => (label, retry_after(response, refusal.retry_after.as_secs())),
            _ => (label, response),
        }
    }
}

impl Relay {
    async fn read(
        &self,
        client: IpAddr,
        uri: &Uri,
    ) -> Result<(Option<Arc<IndexedPacket>>, ReplicaState), GetFailure> {
        let key = key(uri)?;
        let consistency = consistency(uri)?;
        let limits = &self.config.rules.limits;
        limits.check_get(client)?;
        if consistency == Consistency::Linearizable {
            let _permit = limits.admit_linearizable()?;
            self.linearize().await?;
        }
        let state = self.state.before_read(consistency);
        Ok((self.packet(&key)?, state))
    }

    async fn linearize(&self) -> Result<(), LinearizeError> {
        tokio::time::timeout(self.config.deadline, self.replica.linearize())
            .await
            .unwrap_or(Err(LinearizeError))
    }

    fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
        self.replica
            .packet(key)
            .inspect_err(|error| tracing::debug!(%key, %error, "GET failed"))
    }
}

/// What the policy of pkarr's clients asks for. This cluster *is* the network that they mean, and
/// the local replica its cache.
fn consistency(uri: &Uri) -> Result<Consistency, GetFailure> {
    let pairs = uri.query().unwrap_or_default().split('&');
    match pairs.filter_map(|pair| pair.strip_prefix("policy=")).next() {
        None | Some("CacheOnly" | "CacheFirst") => Ok(Consistency::Stale),
        Some("NetworkOnly") => Ok(Consistency::Linearizable),
        Some(_) => Err(GetFailure::Policy),
    }
}

fn found(asked: &HeaderMap, indexed: &IndexedPacket, state: ReplicaState) -> (GetLabel, Response) {
    let packet = indexed.compiled.packet();
    let (label, mut response) = match conditions::reader_has(asked, packet) {
        true => {
            let response = StatusCode::NOT_MODIFIED.into_response();
            (GetLabel::NotModified, response)
        }
        false => {
            let body = packet.payload().clone();
            let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
            (GetLabel::Found, (content_type, body).into_response())
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, conditions::entity_tag(packet));
    if let Some(date) = conditions::last_modified(packet) {
        headers.insert(header::LAST_MODIFIED, date);
    }
    describe(headers, state, max_age_secs(indexed, SystemTime::now()));
    (label, response)
}

fn missing(state: ReplicaState) -> (GetLabel, Response) {
    let mut response = text(StatusCode::NOT_FOUND, "no packet of this key is stored");
    describe(response.headers_mut(), state, MISSING_MAX_AGE_SECS);
    (GetLabel::Missing, response)
}

/// Says how it was read, and for how many seconds a cache may keep it. Who asks for a linearizable
/// read wants no cache to answer unasked.
fn describe(headers: &mut HeaderMap, state: ReplicaState, max_age_secs: u64) {
    let cache_control = match state.consistency {
        Consistency::Linearizable => "no-cache".to_owned(),
        Consistency::Stale => format!("public, max-age={max_age_secs}"),
    };
    let cache_control = HeaderValue::try_from(cache_control);
    headers.insert(
        header::CACHE_CONTROL,
        cache_control.expect("letters and digits are a field value"),
    );
    state.describe(headers);
}
