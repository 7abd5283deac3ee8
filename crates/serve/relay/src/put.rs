//! PUT: verifies a packet and has the cluster store it.

use std::{
    cmp::Ordering,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use quorate_http::{BodyError, ProblemResponse, ProblemType, limit_problem_type, read_body};
use quorate_limit::{LimitExceeded, PutEffect};
use quorate_packet::{KeyError, PAYLOAD_SIZE_MAX, PacketError, PublicKey, SignedPacket};
use quorate_replica::{IndexedPacket, PutError, PutOutcome, ReadError};
use tokio::time::{Instant, timeout};

use crate::{
    conditions::{self, ConditionError},
    metrics::PutLabel,
    publisher::{self, PublisherError},
    relay::{Relay, key},
};

/// The challenge to a client that needs a token and sent none.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"publish\"");

/// The challenge to a client whose token is invalid (RFC 6750, section 3.1).
const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"publish\", error=\"invalid_token\"");

/// How far ahead of this node's clock a packet certainly is accepted: half of what the cluster
/// accepts (decision 7).
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);

/// Stores a packet.
///
/// 204 means that a majority has accepted it, or that this node's own replica has the same bytes
/// already, even if another node has just accepted a newer packet.
pub(crate) async fn put(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (label, response) = match relay.put(parts, body).await {
        Ok(label) => (label, StatusCode::NO_CONTENT.into_response()),
        Err(failure) => {
            tracing::debug!(%failure, "PUT rejected");
            failure.into_response()
        }
    };
    relay.metrics.puts_total.of(label).inc();
    response
}

/// Why a PUT is not answered with 204. The text is the problem's detail.
#[derive(Debug, thiserror::Error)]
enum PutFailure {
    #[error(transparent)]
    Limited(#[from] LimitExceeded),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Condition(#[from] ConditionError),
    #[error("the body is longer than a signed packet can be ({PAYLOAD_SIZE_MAX} bytes)")]
    TooLong,
    #[error("the body did not arrive completely and in time: send it again")]
    BodyLost,
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error(
        "the packet's timestamp is too far ahead of the cluster's clock: set the publisher's clock"
    )]
    TooFarAhead,
    #[error(
        "the capacity of the cluster is reached, and this key is new: the packet is not stored"
    )]
    Full,
    #[error("a newer packet of this key is stored: sign with a later timestamp")]
    Superseded,
    #[error(
        "the condition is not met, because another packet is stored: read it, then sign a new one"
    )]
    ConditionFailed,
    #[error("the operators of this cluster do not allow this key to publish for some time")]
    Blocked,
    #[error(transparent)]
    Replica(#[from] PutError),
}

impl PutFailure {
    fn into_response(self) -> (PutLabel, Response) {
        let (label, kind) = self.label_and_kind();
        let problem = ProblemResponse::new(kind, &self);
        let response = match self {
            Self::Limited(error) => {
                let wait = error.retry_after_secs;
                problem.retry_after(wait).into_response()
            }
            Self::Publisher(PublisherError::NoToken) => {
                ([(header::WWW_AUTHENTICATE, BEARER)], problem).into_response()
            }
            Self::Publisher(PublisherError::WrongToken) => {
                ([(header::WWW_AUTHENTICATE, INVALID_TOKEN)], problem).into_response()
            }
            _ => problem.into_response(),
        };
        (label, response)
    }

    fn label_and_kind(&self) -> (PutLabel, ProblemType) {
        match self {
            Self::Limited(error) => (PutLabel::Limited, limit_problem_type(error)),
            Self::Key(_) => (PutLabel::Invalid, ProblemType::BadKey),
            Self::Condition(_) => (PutLabel::Invalid, ProblemType::BadCondition),
            Self::Packet(_) => (PutLabel::Invalid, ProblemType::BadPacket),
            Self::TooFarAhead => (PutLabel::TooFarAhead, ProblemType::TooFarAhead),
            Self::Full => (PutLabel::Full, ProblemType::Full),
            Self::TooLong => (PutLabel::TooLong, ProblemType::TooLong),
            Self::BodyLost => (PutLabel::BodyLost, ProblemType::BodyLost),
            Self::Superseded => (PutLabel::Superseded, ProblemType::Superseded),
            Self::ConditionFailed => (PutLabel::ConditionFailed, ProblemType::ConditionFailed),
            Self::Publisher(error) => (
                PutLabel::Forbidden,
                match error {
                    PublisherError::Forbidden => ProblemType::ForbiddenKey,
                    PublisherError::NoToken => ProblemType::NotAuthorized,
                    PublisherError::WrongToken => ProblemType::WrongToken,
                },
            ),
            Self::Blocked => (PutLabel::Forbidden, ProblemType::BlockedKey),
            Self::Replica(error) => match error {
                PutError::NoLeader => (PutLabel::NoLeader, ProblemType::NoLeader),
                PutError::Overloaded => (PutLabel::Overloaded, ProblemType::Overloaded),
                PutError::Starting(_) => (PutLabel::Starting, ProblemType::Unavailable),
                PutError::ShuttingDown => (PutLabel::ShuttingDown, ProblemType::Unavailable),
                PutError::DiskFull => (PutLabel::DiskFull, ProblemType::Unavailable),
                PutError::Unknown => (PutLabel::Unknown, ProblemType::UnknownOutcome),
            },
        }
    }
}

impl From<BodyError> for PutFailure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLong => Self::TooLong,
            BodyError::Slow(_) | BodyError::Lost(_) => Self::BodyLost,
        }
    }
}

impl Relay {
    async fn put(&self, parts: Parts, body: Body) -> Result<PutLabel, PutFailure> {
        let key = key(&parts.uri, 0)?;
        let client = self.config.rules.client(&parts.extensions, &parts.headers);
        self.check_put(client, &key)?;
        let mut conditions = conditions::put_conditions(&parts.headers)?;
        let token = publisher::token_hash(&parts.headers);
        if let Some(token) = token {
            conditions = conditions.with_token(token).map_err(ConditionError::from)?;
        }
        // The client chooses how large it is and how long the body takes.
        drop(parts);
        let payload = read_body(body, PAYLOAD_SIZE_MAX).await?;
        publisher::check(&self.replica.publishing(), &key, token)?;
        let indexed = self.replica.packet(&key);
        let packet = verified(key, payload, &indexed)?;
        // The metric measures the replica's work, which starts here.
        let started = Instant::now();
        let changes_records = changes_records(&packet, &indexed);
        let outcome = match self.replica.known_outcome(&packet, &conditions) {
            Some(outcome) => Ok(outcome),
            None => {
                let mut effect = self.effect(&packet, &indexed);
                if !conditions.always_hold() || is_ahead(&packet) {
                    effect = effect.busy();
                }
                self.config.rules.limits.check_change(client, effect)?;
                let outcome = self.replica.put(packet, conditions);
                // The replica's deadline is earlier, because it knows whether the packet was
                // proposed.
                let outcome = timeout(self.config.deadline, outcome).await;
                outcome.unwrap_or(Err(PutError::Unknown))
            }
        };
        let duration = started.elapsed().as_secs_f64();
        self.metrics.put_duration_seconds.observe(duration);
        match outcome? {
            PutOutcome::Stored => {
                if changes_records && let Some(dht) = &self.config.dht {
                    dht.bridge.publish(&key);
                }
                Ok(PutLabel::Stored)
            }
            PutOutcome::Unchanged => Ok(PutLabel::Unchanged),
            PutOutcome::Superseded => Err(PutFailure::Superseded),
            PutOutcome::TooFarAhead => Err(PutFailure::TooFarAhead),
            PutOutcome::Full => Err(PutFailure::Full),
            PutOutcome::ConditionFailed => Err(PutFailure::ConditionFailed),
            PutOutcome::Forbidden => Err(PublisherError::Forbidden.into()),
            PutOutcome::Blocked => Err(PutFailure::Blocked),
        }
    }

    /// Checks whether the client may PUT a packet of this key, before its body is read.
    fn check_put(&self, client: IpAddr, key: &PublicKey) -> Result<(), LimitExceeded> {
        let effect = match self.replica.packet(key) {
            Ok(None) => PutEffect::NewKey,
            Ok(Some(stored)) => self.replacement(key, &stored),
            Err(_) => PutEffect::Unchanged,
        };
        self.config.rules.limits.check_put(client, effect)
    }

    /// What a packet changes whose outcome only the cluster knows.
    fn effect<'a>(&self, packet: &'a SignedPacket, indexed: &Indexed) -> PutEffect<'a> {
        match indexed {
            Ok(None) => PutEffect::NewKey,
            Ok(Some(stored)) if packet.recency(stored.compiled.packet()) == Ordering::Greater => {
                self.replacement(packet.key(), stored)
            }
            _ => PutEffect::Unchanged,
        }
    }

    /// The effect of a newer packet than this one. If this node's clock is behind, the key may seem
    /// to have published just now.
    fn replacement<'a>(&self, key: &'a PublicKey, stored: &IndexedPacket) -> PutEffect<'a> {
        let now = SystemTime::now() + self.replica.read_state().set_back;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        PutEffect::Key {
            key: key.as_bytes(),
            age: now.saturating_sub(Duration::from_millis(stored.received.0)),
        }
    }
}

/// Whether the cluster may reject the packet because of its timestamp.
fn is_ahead(packet: &SignedPacket) -> bool {
    let now = SystemTime::now() + AHEAD_MAX;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u128::from(packet.timestamp().as_micros()) > now.as_micros()
}

/// Whether the packet has other records than the stored one. Endpoints sign the same ones again and
/// again.
fn changes_records(packet: &SignedPacket, indexed: &Indexed) -> bool {
    let stored = indexed.iter().flatten().next();
    stored.is_none_or(|stored| stored.compiled.packet().dns() != packet.dns())
}

/// What the local replica has of a key.
type Indexed = Result<Option<Arc<IndexedPacket>>, ReadError>;

/// The packet, if its key has signed it. Bytes that are already stored were verified before: most
/// PUTs are refreshes of those. If the replica cannot be read, it reports that itself when it gets
/// the packet.
fn verified(
    key: PublicKey,
    payload: Bytes,
    indexed: &Indexed,
) -> Result<SignedPacket, PacketError> {
    let stored = indexed.iter().flatten().next();
    let stored = stored.map(|indexed| indexed.compiled.packet());
    match stored.filter(|stored| *stored.payload() == payload) {
        Some(stored) => Ok(stored.clone()),
        None => SignedPacket::parse(key, payload),
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
