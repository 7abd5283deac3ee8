//! GET and HEAD: the stored packet, from the local replica.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use quorate_http::{ProblemResponse, ProblemType, limit_problem, uncached};
use quorate_limit::LimitExceeded;
use quorate_packet::{KeyError, PublicKey};
use quorate_replica::{DhtAnswer, IndexedPacket, LinearizeError, ReadError, ReadState};

use crate::{
    conditions,
    entity_tag::entity_tag,
    field::Field,
    metrics::{GetLabel, TooManyWatchers},
    relay::{Relay, key},
    watch::{self, InvalidWait},
};

/// The media type of a packet (`design/relays.md` of pkarr).
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/pkarr.org/relays#payload");

/// For how many seconds a cache may keep the answer that a key has no packet. It is short, because
/// clients look up a starting endpoint before it has published.
const MISSING_MAX_AGE_SECS: u64 = 5;

/// A cache may keep a packet for at least this long. So even if everybody reads a key with a TTL of
/// 0, each cache in front of this node only sends one request in ten seconds.
const MAX_AGE_SECS_MIN: u32 = 10;

/// A cache may keep a packet for at most this long, because the address of an endpoint may change
/// at any time and caches cannot be notified. An endpoint publishes as often.
const MAX_AGE_SECS_MAX: u32 = 5 * 60;

const CONSISTENCY: HeaderName = HeaderName::from_static("quorate-consistency");
/// Tells that the packet is not one of the cluster.
const SOURCE: HeaderName = HeaderName::from_static("quorate-source");

const KNOWN_LEADER: HeaderName = HeaderName::from_static("quorate-known-leader");
const APPLIED_INDEX: HeaderName = HeaderName::from_static("quorate-applied-index");

/// The initial capacity of an answer's header: the fields that are set here, and those that the
/// layers around add.
const FIELD_COUNT: usize = 12;

pub(crate) async fn get(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let waits = watch::wait(&parts.uri) != Ok(None);
    let (label, response) = match relay.read(&mut parts).await {
        Ok(read) => {
            let (label, mut response, max_age) = match &read.packet {
                Some(indexed) => {
                    let (label, response) = found_response(&parts.headers, indexed);
                    (label, response, max_age_secs(indexed))
                }
                None => {
                    let response = missing(read.dht).into_response();
                    (GetLabel::Missing, response, MISSING_MAX_AGE_SECS)
                }
            };
            read.describe(max_age, response.headers_mut());
            (label, response)
        }
        Err(failure) => {
            let (label, problem) = failure.into_problem();
            (label, problem.into_response())
        }
    };
    relay.metrics.gets_total.of(label).inc();
    match waits {
        // A cached answer would return immediately, and the client would send the next one in a
        // loop.
        true => uncached(response),
        false => response,
    }
}

/// The packet that was read, and how current it is.
struct ReadResult {
    packet: Option<Arc<IndexedPacket>>,
    /// Whether everything that was committed before the request was applied before the read.
    /// Otherwise the local replica may lag.
    is_linearizable: bool,
    state: ReadState,
    dht: DhtPart,
}

/// What the DHT has to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DhtPart {
    /// Nothing: it was not asked, or has nothing newer.
    None,
    /// The packet is from there.
    Found,
    /// It did not answer in time, or was not asked because of limits. It may have a packet.
    Unanswered,
}

impl ReadResult {
    /// Adds to a header how the packet was read, and for how many seconds a cache may keep it. A
    /// cache must not answer a linearizable read without asking this node.
    fn describe(&self, max_age_secs: u64, headers: &mut HeaderMap) {
        let (consistency, cache_control) = match self.is_linearizable {
            false => {
                let max_age = Field::new().text("public, max-age=").number(max_age_secs);
                ("stale", max_age.value())
            }
            true => ("linearizable", HeaderValue::from_static("no-cache")),
        };
        let known_leader = match self.state.has_leader {
            true => "true",
            false => "false",
        };
        let cache_control = match self.dht {
            DhtPart::Unanswered => HeaderValue::from_static("no-store"),
            DhtPart::None | DhtPart::Found => cache_control,
        };
        if self.dht == DhtPart::Found {
            headers.insert(SOURCE, HeaderValue::from_static("dht"));
        }
        headers.insert(header::CACHE_CONTROL, cache_control);
        headers.insert(CONSISTENCY, HeaderValue::from_static(consistency));
        headers.insert(KNOWN_LEADER, HeaderValue::from_static(known_leader));
        let applied_index = Field::new().number(self.state.applied_index.0).value();
        headers.insert(APPLIED_INDEX, applied_index);
    }
}

/// Why nothing was read. The text is the problem's detail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetFailure {
    #[error(transparent)]
    Limited(#[from] LimitExceeded),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("`policy` is invalid: use CacheOnly, CacheFirst or NetworkOnly")]
    Policy,
    #[error(transparent)]
    Wait(#[from] InvalidWait),
    #[error(transparent)]
    TooManyWatchers(#[from] TooManyWatchers),
    #[error(
        "no leader confirmed in time what is committed: retry, or send `policy=CacheFirst` to read \
         what this node holds"
    )]
    NotLinearizable(#[from] LinearizeError),
    #[error("{}: ask another node", client_text(.0))]
    Unreadable(#[from] ReadError),
}

/// The text of an error for the client. Details of a broken store are not for the client.
fn client_text(error: &ReadError) -> String {
    match error {
        ReadError::NotReady(reason) => reason.to_string(),
        ReadError::Failed(_) => "the store of this node cannot be read".to_owned(),
    }
}

impl GetFailure {
    pub(crate) fn into_problem(self) -> (GetLabel, ProblemResponse) {
        let (label, kind) = match self {
            Self::Limited(error) => return (GetLabel::Limited, limit_problem(error)),
            Self::Key(_) => (GetLabel::Invalid, ProblemType::BadKey),
            Self::Policy | Self::Wait(_) => (GetLabel::Invalid, ProblemType::BadRequest),
            Self::TooManyWatchers(error) => return (GetLabel::NotHeld, error.into()),
            Self::NotLinearizable(_) => (GetLabel::NotLinearizable, ProblemType::NoLeader),
            Self::Unreadable(_) => (GetLabel::Unreadable, ProblemType::Unavailable),
        };
        (label, ProblemResponse::new(kind, self))
    }
}

impl Relay {
    async fn read(&self, request: &mut Parts) -> Result<ReadResult, GetFailure> {
        let key = key(&request.uri, 0)?;
        let policy = policy(&request.uri)?;
        let wait = watch::wait(&request.uri)?;
        let client = self
            .config
            .rules
            .client(&request.extensions, &request.headers);
        let limits = &self.config.rules.limits;
        limits.check_get(client)?;
        if let Some(wait) = wait {
            watch::release_buffer(request);
            // Boxed, because few requests wait and the future of every request would get larger.
            Box::pin(self.wait_for_change(&key, &request.headers, client, wait)).await?;
        }
        let is_linearizable = policy == Policy::NetworkOnly;
        if is_linearizable {
            let _permit = limits.admit_linearizable()?;
            self.linearize().await?;
        }
        let state = self.replica.read_state();
        let mut read = ReadResult {
            packet: self.packet(&key)?,
            is_linearizable,
            state,
            dht: DhtPart::None,
        };
        let asks_dht = match policy {
            Policy::CacheOnly => false,
            Policy::CacheFirst => read.packet.is_none(),
            Policy::NetworkOnly => true,
        };
        // Who waits for a change is told by the cluster.
        if asks_dht
            && wait.is_none()
            && let Some(dht) = &self.config.dht
        {
            self.replica.check_ready()?;
            match dht.bridge.lookup(&key, client, dht.deadline).await {
                DhtAnswer::Found(found) => {
                    read.packet = self.packet(&key)?;
                    let is_newer = |stored: &Arc<IndexedPacket>| {
                        let found = found.compiled.packet();
                        found.recency(stored.compiled.packet()).is_gt()
                    };
                    if read.packet.as_ref().is_none_or(is_newer) {
                        read.packet = Some(found);
                        read.dht = DhtPart::Found;
                    }
                }
                // Perhaps it was stored meanwhile.
                DhtAnswer::Absent => read.packet = self.packet(&key)?,
                DhtAnswer::Unanswered | DhtAnswer::Refused => {
                    read.packet = self.packet(&key)?;
                    // A stored packet is an answer nevertheless.
                    if read.packet.is_none() {
                        read.dht = DhtPart::Unanswered;
                    }
                }
            }
        }
        Ok(read)
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

/// What `policy`, which pkarr's clients send, allows. For pkarr's "cache" the relay uses its local
/// replica, for "network" this cluster and the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// Only what this node holds.
    CacheOnly,
    /// That, and the DHT for a key without a packet.
    CacheFirst,
    /// A linearizable read, and the DHT in any case: the newer packet wins.
    NetworkOnly,
}

fn policy(uri: &Uri) -> Result<Policy, GetFailure> {
    let pairs = uri.query().unwrap_or_default().split('&');
    match pairs.filter_map(|pair| pair.strip_prefix("policy=")).next() {
        Some("CacheOnly") => Ok(Policy::CacheOnly),
        None | Some("CacheFirst") => Ok(Policy::CacheFirst),
        Some("NetworkOnly") => Ok(Policy::NetworkOnly),
        Some(_) => Err(GetFailure::Policy),
    }
}

/// For how many seconds a cache may keep the packet: the smallest TTL in it, between 10 s and 5
/// min. As with DNS, the time begins when the cache receives the answer, however long ago the
/// packet was published: an endpoint that refreshes its packet does not change it, and so a shared
/// cache may be late by this much.
fn max_age_secs(indexed: &IndexedPacket) -> u64 {
    let ttl = indexed.compiled.ttl_secs_min().unwrap_or(0);
    ttl.clamp(MAX_AGE_SECS_MIN, MAX_AGE_SECS_MAX).into()
}

fn found_response(request: &HeaderMap, indexed: &IndexedPacket) -> (GetLabel, Response) {
    let packet = indexed.compiled.packet();
    let mut response = Response::new(Body::empty());
    let mut headers = HeaderMap::with_capacity(FIELD_COUNT);
    let label = match conditions::client_has(request, packet) {
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

fn missing(dht: DhtPart) -> ProblemResponse {
    let detail = match dht {
        DhtPart::Unanswered => {
            "no packet of this key is stored, and the DHT did not answer in time: ask again"
        }
        DhtPart::None | DhtPart::Found => "no packet of this key is stored",
    };
    ProblemResponse::new(ProblemType::UnknownPacket, detail)
}
