//! GET and HEAD: the stored packet, from the local replica.

use std::{sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use quorate_http::{retry_after, text, uncached};
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::{LinearizeError, ReadError, StoredPacket};

use crate::{
    conditions,
    freshness::max_age_secs,
    metrics::GetLabel,
    relay::{RETRY_AFTER_SECS, Relay, key},
    replica_state::{Consistency, ReplicaState},
};

/// What a packet is called on the wire (`design/relays.md` of pkarr).
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/pkarr.org/relays#payload");

/// A cache may say for this long that a key has no packet. Short, because an endpoint that starts
/// up is looked for before it has published.
const MISSING_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=5");

/// Who asks for a linearizable read wants no cache to answer unasked.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Reads a packet.
pub(crate) async fn get(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let result = relay.read(request.uri()).await;
    let (label, response) = match result {
        Ok(Read {
            stored: Some(stored),
            consistency,
            state,
        }) => found(request.headers(), stored, consistency, state),
        Ok(missing) => (GetLabel::Missing, not_found(&missing)),
        Err(failure) => failure.into_response(),
    };
    relay.metrics.gets_total.of(label).inc();
    response
}

/// What was read, and how.
struct Read {
    stored: Option<StoredPacket>,
    consistency: Consistency,
    state: ReplicaState,
}

/// Why nothing was read. The text is the answer's body.
#[derive(Debug, thiserror::Error)]
enum GetFailure {
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
        let (label, status) = match self {
            Self::Key(_) | Self::Policy => (GetLabel::Invalid, StatusCode::BAD_REQUEST),
            Self::NotLinearizable(_) => {
                (GetLabel::NotLinearizable, StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Unreadable(_) => (GetLabel::Unreadable, StatusCode::SERVICE_UNAVAILABLE),
        };
        let response = uncached(text(status, self));
        match status.is_server_error() {
            true => (label, retry_after(response, RETRY_AFTER_SECS)),
            false => (label, response),
        }
    }
}

impl Relay {
    async fn read(&self, uri: &Uri) -> Result<Read, GetFailure> {
        let key = key(uri)?;
        let consistency = consistency(uri)?;
        if consistency == Consistency::Linearizable {
            self.linearize().await?;
        }
        let state = self.state.before_read(consistency);
        Ok(Read {
            stored: self.stored_packet(&key)?,
            consistency,
            state,
        })
    }

    async fn linearize(&self) -> Result<(), LinearizeError> {
        tokio::time::timeout(self.config.deadline, self.replica.linearize())
            .await
            .unwrap_or(Err(LinearizeError))
    }

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, ReadError> {
        self.replica
            .stored_packet(key)
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

fn found(
    asked: &HeaderMap,
    stored: StoredPacket,
    consistency: Consistency,
    state: ReplicaState,
) -> (GetLabel, Response) {
    let (label, mut response) = if conditions::reader_has(asked, &stored.packet) {
        (
            GetLabel::NotModified,
            StatusCode::NOT_MODIFIED.into_response(),
        )
    } else {
        let body = stored.packet.payload().clone();
        let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        (GetLabel::Found, (content_type, body).into_response())
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, conditions::entity_tag(&stored.packet));
    headers.insert(header::CACHE_CONTROL, cache_control(&stored, consistency));
    if let Some(date) = conditions::last_modified(&stored.packet) {
        headers.insert(header::LAST_MODIFIED, date);
    }
    state.describe(consistency, headers);
    (label, response)
}

fn cache_control(stored: &StoredPacket, consistency: Consistency) -> HeaderValue {
    match consistency {
        Consistency::Linearizable => ASK_AGAIN,
        Consistency::Stale => {
            let max_age = max_age_secs(stored, SystemTime::now());
            let value = format!("public, max-age={max_age}");
            HeaderValue::try_from(value).expect("letters and digits are a field value")
        }
    }
}

fn not_found(missing: &Read) -> Response {
    let mut response = text(StatusCode::NOT_FOUND, "no packet of this key is stored");
    let headers = response.headers_mut();
    let cache_control = match missing.consistency {
        Consistency::Stale => MISSING_MAX_AGE,
        Consistency::Linearizable => ASK_AGAIN,
    };
    headers.insert(header::CACHE_CONTROL, cache_control);
    missing.state.describe(missing.consistency, headers);
    response
}
