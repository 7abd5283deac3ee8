//! PUT: from bytes of a stranger to an outcome of the cluster.

use std::{cmp::Ordering, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use quorate_http::{BodyError, ProblemResponse, ProblemType, read_body};
use quorate_limit::{Change, Refusal};
use quorate_packet::{KeyError, PAYLOAD_SIZE_MAX, PacketError, PublicKey, SignedPacket};
use quorate_replica::{PutError, PutOutcome};
use tokio::time::{Instant, timeout};

use crate::{
    conditions::{self, ConditionError},
    metrics::PutLabel,
    publisher::{self, PublisherError},
    relay::{Relay, key, limit_kind},
};

/// What a client is asked for that has no token and needs one.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"publish\"");

/// The same of a client whose token is no good (RFC 6750, section 3.1).
const ANOTHER_BEARER: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"publish\", error=\"invalid_token\"");

/// Stores a packet.
///
/// 204 says that a majority has accepted it, or that this node's own replica holds the same bytes
/// already, whatever another node has accepted a moment ago.
pub(crate) async fn put(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (label, response) = match relay.put(&parts, body).await {
        Ok(label) => (label, StatusCode::NO_CONTENT.into_response()),
        Err(failure) => {
            tracing::debug!(path = parts.uri.path(), %failure, "PUT refused");
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
    Limited(#[from] Refusal),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Condition(#[from] ConditionError),
    #[error("the body is longer than {PAYLOAD_SIZE_MAX} bytes, the most a signed packet has")]
    TooLong,
    #[error("the body did not arrive whole and in time")]
    BodyLost,
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    #[error(transparent)]
    Packet(#[from] PacketError),
    #[error("the packet's timestamp lies too far ahead of the cluster's clock: set the clock")]
    TooFarAhead,
    #[error(
        "the capacity of the cluster is reached, and it does not know this key: the packet is not \
         stored"
    )]
    Full,
    #[error("a newer packet of this key is stored: sign with a later timestamp")]
    Superseded,
    #[error("another packet than the condition names is stored: read it, then sign a new one")]
    ConditionFailed,
    #[error("this key may not publish here for a time, as the operators of this cluster have set")]
    Blocked,
    #[error(transparent)]
    Replica(#[from] PutError),
}

impl PutFailure {
    fn into_response(self) -> (PutLabel, Response) {
        let (label, kind) = self.label_and_kind();
        let problem = ProblemResponse::new(kind, &self);
        let response = match self {
            Self::Limited(refusal) => {
                let wait = refusal.retry_after_secs;
                problem.retry_after(wait).into_response()
            }
            Self::Publisher(PublisherError::NoToken) => {
                ([(header::WWW_AUTHENTICATE, BEARER)], problem).into_response()
            }
            Self::Publisher(PublisherError::WrongToken) => {
                ([(header::WWW_AUTHENTICATE, ANOTHER_BEARER)], problem).into_response()
            }
            _ => problem.into_response(),
        };
        (label, response)
    }

    fn label_and_kind(&self) -> (PutLabel, ProblemType) {
        match self {
            Self::Limited(refusal) => (PutLabel::Limited, limit_kind(refusal)),
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
        let mut conditions = conditions::of_put(&parts.headers)?;
        let token = publisher::token_hash(&parts.headers);
        if let Some(token) = token {
            conditions = conditions.with_token(token).map_err(ConditionError::from)?;
        }
        let payload = read_body(body, PAYLOAD_SIZE_MAX).await?;
        publisher::check(&self.replica.publishing(), &key, token)?;
        let packet = self.accept(client, key, payload)?;
        // From here on the packet is the replica's, so here begins what is measured.
        let begun = Instant::now();
        let outcome = self.replica.put(packet, conditions);
        // The replica knows what was proposed, so it has to answer before the relay gives up.
        let result = timeout(self.config.deadline, outcome).await;
        let duration = begun.elapsed().as_secs_f64();
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

    /// Whether the client may PUT a packet of this key, before any more is known of it.
    fn check_put(&self, client: IpAddr, key: &PublicKey) -> Result<(), Refusal> {
        let change = match self.replica.packet(key) {
            Ok(None) => Change::NewKey,
            Ok(Some(_)) => Change::Key(key.as_bytes()),
            Err(_) => Change::Nothing,
        };
        self.config.rules.limits.check_put(client, change)
    }

    /// The packet, if its key has signed it and the client may have it stored. Bytes that are stored
    /// were verified when they came, and cost nothing more: most PUTs are of those.
    fn accept(
        &self,
        client: IpAddr,
        key: PublicKey,
        payload: Bytes,
    ) -> Result<SignedPacket, PutFailure> {
        // Whether the replica can be read is for itself to say, when it is handed the packet.
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
            None if indexed.is_ok() => Change::NewKey,
            Some(stored) if packet.recency(stored) == Ordering::Greater => {
                Change::Key(key.as_bytes())
            }
            _ => Change::Nothing,
        };
        self.config.rules.limits.check_change(client, change)?;
        Ok(packet)
    }
}

#[cfg(test)]
#[path = "limit_tests.rs"]
mod tests;
