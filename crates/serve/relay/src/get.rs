//! GET and HEAD: the stored packet, from the local replica.

use std::{sync::Arc, time::SystemTime};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use quorate_http::{ProblemResponse, ProblemType, uncached};
use quorate_limit::Refusal;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::{IndexedPacket, LinearizeError, ReadError, ReadState};

use crate::{
    conditions,
    consistency::Consistency,
    entity_tag::entity_tag,
    freshness::max_age_secs,
    metrics::{GetLabel, TooManyWatchers},
    relay::{Relay, key, limited},
    watch::{self, InvalidWait},
};

/// What a packet is called on the wire (`design/relays.md` of pkarr).
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/pkarr.org/relays#payload");

/// For how many seconds a cache may say that a key has no packet. Short, because an endpoint that
/// starts up is looked for before it has published.
const MISSING_MAX_AGE_SECS: u64 = 5;

/// How many fields the header of an answer has room for from the start: all that are given here, and
/// those that the layers around add.
const FIELD_COUNT: usize = 12;

pub(crate) async fn get(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let waits = watch::wait(&parts.uri) != Ok(None);
    let (label, response) = match relay.read(&mut parts).await {
        Ok(read) => {
            let (label, mut response, max_age) = match &read.packet {
                Some(indexed) => {
                    let (label, response) = found(&parts.headers, indexed);
                    (label, response, max_age_secs(indexed, SystemTime::now()))
                }
                None => {
                    let response = missing().into_response();
                    (GetLabel::Missing, response, MISSING_MAX_AGE_SECS)
                }
            };
            let headers = response.headers_mut();
            read.consistency.describe(read.state, max_age, headers);
            (label, response)
        }
        Err(failure) => {
            let (label, problem) = failure.into_problem();
            (label, problem.into_response())
        }
    };
    relay.metrics.gets_total.of(label).inc();
    match waits {
        // A cache that answered the next one would have it come back at once, and again.
        true => uncached(response),
        false => response,
    }
}

/// What was read, and how.
struct Read {
    packet: Option<Arc<IndexedPacket>>,
    consistency: Consistency,
    state: ReadState,
}

/// Why nothing was read. The text is the problem's detail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetFailure {
    #[error(transparent)]
    Limited(#[from] Refusal),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("`policy` is none of CacheOnly, CacheFirst and NetworkOnly")]
    Policy,
    #[error(transparent)]
    Wait(#[from] InvalidWait),
    #[error(transparent)]
    TooManyWatchers(#[from] TooManyWatchers),
    #[error(
        "no leader confirmed in time what is committed: ask again, or with `policy=CacheFirst` for \
         what this node holds"
    )]
    NotLinearizable(#[from] LinearizeError),
    #[error("the store of this node cannot be read: ask another node")]
    Unreadable(#[from] ReadError),
}

impl GetFailure {
    pub(crate) fn into_problem(self) -> (GetLabel, ProblemResponse) {
        let (label, kind) = match self {
            Self::Limited(refusal) => return (GetLabel::Limited, limited(refusal)),
            Self::Key(_) => (GetLabel::Invalid, ProblemType::BadKey),
            Self::Policy | Self::Wait(_) => (GetLabel::Invalid, ProblemType::BadRequest),
            Self::TooManyWatchers(refusal) => return (GetLabel::NotHeld, refusal.into()),
            Self::NotLinearizable(_) => (GetLabel::NotLinearizable, ProblemType::NoLeader),
            Self::Unreadable(_) => (GetLabel::Unreadable, ProblemType::Unavailable),
        };
        (label, ProblemResponse::new(kind, self))
    }
}

impl Relay {
    async fn read(&self, request: &mut Parts) -> Result<Read, GetFailure> {
        let key = key(&request.uri)?;
        let consistency = consistency(&request.uri)?;
        let wait = watch::wait(&request.uri)?;
        let client = self.client(&request.extensions, &request.headers);
        let limits = &self.config.rules.limits;
        limits.check_get(client)?;
        if let Some(wait) = wait {
            watch::let_go_of_buffer(request);
            // Boxed, for few requests wait, and all would have to have the room for it.
            Box::pin(self.wait_for_news(&key, &request.headers, client, wait)).await?;
        }
        if consistency == Consistency::Linearizable {
            let _permit = limits.admit_linearizable()?;
            self.linearize().await?;
        }
        let state = self.replica.read_state();
        Ok(Read {
            packet: self.packet(&key)?,
            consistency,
            state,
        })
    }

    async fn linearize(&self) -> Result<(), LinearizeError> {
        tokio::time::timeout(self.config.deadline, self.replica.linearize())
            .await
            .unwrap_or(Err(LinearizeError))
    }

    pub(crate) fn packet(&self, key: &PublicKey) -> Result<Option<Arc<IndexedPacket>>, ReadError> {
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

fn found(asked: &HeaderMap, indexed: &IndexedPacket) -> (GetLabel, Response) {
    let packet = indexed.compiled.packet();
    let mut response = Response::new(Body::empty());
    let mut headers = HeaderMap::with_capacity(FIELD_COUNT);
    let label = match conditions::reader_has(asked, packet) {
        true => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            GetLabel::NotModified
        }
        false => {
            *response.body_mut() = packet.payload().clone().into();
            headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
            GetLabel::Found
        }
    };
    headers.insert(header::ETAG, entity_tag(packet));
    if let Some(date) = conditions::last_modified(packet) {
        headers.insert(header::LAST_MODIFIED, date);
    }
    *response.headers_mut() = headers;
    (label, response)
}

fn missing() -> ProblemResponse {
    ProblemResponse::new(
        ProblemType::UnknownPacket,
        "no packet of this key is stored",
    )
}
