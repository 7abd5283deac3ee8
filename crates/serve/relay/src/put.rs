//! PUT: verifies a packet and has the cluster store it.

use std::{cmp::Ordering, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use quorate_http::{BodyError, ProblemResponse, ProblemType, read_body};
use quorate_limit::{LimitExceeded, PutEffect};
use quorate_packet::{KeyError, PAYLOAD_SIZE_MAX, PacketError, PublicKey, SignedPacket};
use quorate_replica::{PutError, PutOutcome};
use tokio::time::{Instant, timeout};

use crate::{
    conditions::{self, ConditionError},
    metrics::PutLabel,
    publisher::{self, PublisherError},
    relay::{Relay, key, limit_problem_type},
};

/// The challenge to a client that needs a token and sent none.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"publish\"");

/// The challenge to a client whose token is invalid (RFC 6750, section 3.1).
const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"publish\", error=\"invalid_token\"");

/// Stores a packet.
///
/// 204 means that a majority has accepted it, or that this node's own replica has the same bytes
/// already, even if another node has just accepted a newer packet.
pub(crate) async fn put(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (label, response) = match relay.put(&parts, body).await {
        Ok(label) => (label, StatusCode::NO_CONTENT.into_response()),
        Err(failure) => {
            tracing::debug!(path = parts.uri.path(), %failure, "PUT rejected");
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
    async fn put(&self, parts: &Parts, body: Body) -> Result<PutLabel, PutFailure> {
        let key = key(&parts.uri, 0)?;
        let client = self.client(&parts.extensions, &parts.headers);
        self.check_put(client, &key)?;
        let mut conditions = conditions::put_conditions(&parts.headers)?;
        let token = publisher::token_hash(&parts.headers);
        if let Some(token) = token {
            conditions = conditions.with_token(token).map_err(ConditionError::from)?;
        }
        let payload = read_body(body, PAYLOAD_SIZE_MAX).await?;
        publisher::check(&self.replica.publishing(), &key, token)?;
        let packet = self.accept(client, key, payload)?;
        // The metric measures the replica's work, which starts here.
        let started = Instant::now();
        let outcome = self.replica.put(packet, conditions);
        // The replica's deadline is earlier, because it knows whether the packet was proposed.
        let result = timeout(self.config.deadline, outcome).await;
        let duration = started.elapsed().as_secs_f64();
        self.metrics.put_duration_seconds.observe(duration);
        match result.unwrap_or(Err(PutError::Unknown))? {
            PutOutcome::Stored => Ok(PutLabel::Stored),
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
        let change = match self.replica.packet(key) {
            Ok(None) => PutEffect::NewKey,
            Ok(Some(_)) => PutEffect::Key(key.as_bytes()),
            Err(_) => PutEffect::NoChange,
        };
        self.config.rules.limits.check_put(client, change)
    }

    /// Returns the packet if its key has signed it and the client may store it. Bytes that are
    /// already stored were verified before, so they cost nothing: most PUTs are refreshes of those.
    fn accept(
        &self,
        client: IpAddr,
        key: PublicKey,
        payload: Bytes,
    ) -> Result<SignedPacket, PutFailure> {
        // If the replica cannot be read, it reports that itself when it gets the packet.
        let indexed = self.replica.packet(&key);
        let stored = match &indexed {
            Ok(Some(indexed)) => Some(indexed.compiled.packet()),
            _ => None,
        };
        if let Some(stored) = stored.filter(|stored| *stored.payload() == payload) {
            return Ok(stored.clone());
        }
        let packet = SignedPacket::parse(key, payload)?;
        let change = match stored {
            None if indexed.is_ok() => PutEffect::NewKey,
            Some(stored) if packet.recency(stored) == Ordering::Greater => {
                PutEffect::Key(key.as_bytes())
            }
            _ => PutEffect::NoChange,
        };
        self.config.rules.limits.check_change(client, change)?;
        Ok(packet)
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
