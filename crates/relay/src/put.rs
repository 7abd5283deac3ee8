//! PUT: from bytes of a stranger to an outcome of the cluster.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use quorate_http::{BodyError, read_body, retry_after};
use quorate_limit::Refusal;
use quorate_packet::{KeyError, PAYLOAD_SIZE_MAX, PacketError, SignedPacket};
use quorate_replica::{Conditions, LinearizeError, PutError, PutOutcome, ReadError};
use tokio::time::{Instant, timeout_at};

use crate::{
    ANSWER_MARGIN, conditions,
    metrics::PutLabel,
    relay::{Relay, failed, key},
};

/// The status that says: surely not stored, come back.
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

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

/// Why a PUT is not answered with 204. The text is the answer's body.
#[derive(Debug, thiserror::Error)]
enum PutFailure {
    #[error(transparent)]
    Limited(#[from] Refusal),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the body is longer than {PAYLOAD_SIZE_MAX} bytes, the most a signed packet has")]
    TooLong,
    #[error("the body did not arrive whole and in time")]
    BodyLost,
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
    #[error("this key may not publish here, as the operators of this cluster have set")]
    Forbidden,
    #[error("this key may not publish here for a time, as the operators of this cluster have set")]
    Blocked,
    #[error("the condition cannot be checked now, and the packet is not stored")]
    NotLinearizable(#[from] LinearizeError),
    #[error("the condition cannot be checked, and the packet is not stored")]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Replica(#[from] PutError),
}

impl PutFailure {
    fn into_response(self) -> (PutLabel, Response) {
        let (label, status) = self.label_and_status();
        let response = failed(status, &self);
        match self {
            Self::Limited(refusal) => (label, retry_after(response, refusal.retry_after.as_secs())),
            _ => (label, response),
        }
    }

    fn label_and_status(&self) -> (PutLabel, StatusCode) {
        match self {
            Self::Limited(refusal) => match refusal.limit.is_of_everybody() {
                true => (PutLabel::Limited, UNAVAILABLE),
                false => (PutLabel::Limited, StatusCode::TOO_MANY_REQUESTS),
            },
            Self::Key(_) | Self::Packet(_) => (PutLabel::Invalid, StatusCode::BAD_REQUEST),
            Self::TooFarAhead => (PutLabel::TooFarAhead, StatusCode::BAD_REQUEST),
            Self::Full => (PutLabel::Full, UNAVAILABLE),
            Self::TooLong => (PutLabel::TooLong, StatusCode::PAYLOAD_TOO_LARGE),
            Self::BodyLost => (PutLabel::BodyLost, StatusCode::REQUEST_TIMEOUT),
            Self::Superseded => (PutLabel::Superseded, StatusCode::CONFLICT),
            Self::ConditionFailed => (PutLabel::ConditionFailed, StatusCode::PRECONDITION_FAILED),
            Self::Forbidden | Self::Blocked => (PutLabel::Forbidden, StatusCode::FORBIDDEN),
            Self::NotLinearizable(_) | Self::Replica(PutError::NoLeader) => {
                (PutLabel::NoLeader, UNAVAILABLE)
            }
            Self::Replica(PutError::Overloaded) => (PutLabel::Overloaded, UNAVAILABLE),
            Self::Replica(PutError::Starting) => (PutLabel::Starting, UNAVAILABLE),
            Self::Replica(PutError::ShuttingDown) => (PutLabel::ShuttingDown, UNAVAILABLE),
            Self::Replica(PutError::DiskFull) => (PutLabel::DiskFull, UNAVAILABLE),
            Self::Unreadable(_) => (PutLabel::Unreadable, UNAVAILABLE),
            Self::Replica(PutError::Unknown) => (PutLabel::Unknown, StatusCode::GATEWAY_TIMEOUT),
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
        let key = key(&parts.uri)?;
        let client = self.client(&parts.extensions, &parts.headers);
        self.check_put(client, &key)?;
        let payload = read_body(body, PAYLOAD_SIZE_MAX).await?;
        let packet = SignedPacket::parse(key, payload)?;
        self.check_change(client, &packet)?;
        // From here on the packet is the replica's, so here begins what is measured.
        let begun = Instant::now();
        let result = self.put_packet(&parts.headers, packet).await;
        let duration = begun.elapsed().as_secs_f64();
        self.metrics.put_duration_seconds.observe(duration);
        match result? {
            PutOutcome::Stored => Ok(PutLabel::Stored),
            PutOutcome::Unchanged => Ok(PutLabel::Unchanged),
            PutOutcome::Superseded => Err(PutFailure::Superseded),
            PutOutcome::TooFarAhead => Err(PutFailure::TooFarAhead),
            PutOutcome::Full => Err(PutFailure::Full),
            PutOutcome::ConditionFailed => Err(PutFailure::ConditionFailed),
            PutOutcome::Forbidden => Err(PutFailure::Forbidden),
            PutOutcome::Blocked => Err(PutFailure::Blocked),
        }
    }

    /// Only what was handed to the replica may be unknown at the deadline: a condition that could
    /// not be checked by then leaves the packet surely not stored.
    async fn put_packet(
        &self,
        headers: &HeaderMap,
        packet: SignedPacket,
    ) -> Result<PutOutcome, PutFailure> {
        let deadline = Instant::now() + self.config.deadline;
        if conditions::has_write_conditions(headers) {
            timeout_at(deadline, self.check_conditions(headers, &packet))
                .await
                .unwrap_or(Err(LinearizeError.into()))?;
        }
        // What the check took, the replica has no more: it is the one that knows what was proposed.
        let time_left = deadline.saturating_duration_since(Instant::now() + ANSWER_MARGIN);
        let outcome = timeout_at(
            deadline,
            self.replica.put(packet, Conditions::default(), time_left),
        )
        .await;
        Ok(outcome.unwrap_or(Err(PutError::Unknown))?)
    }

    /// Compares with what was committed before the request, so that every node answers alike. A PUT
    /// that comes between the check and this one is judged by timestamps alone, as pkarr's own
    /// relay does.
    ///
    /// A packet that is stored already is one that the client repeats: no condition fails it
    /// (RFC 9110, section 13.1.1).
    async fn check_conditions(
        &self,
        headers: &HeaderMap,
        packet: &SignedPacket,
    ) -> Result<(), PutFailure> {
        self.replica.linearize().await?;
        let stored = self.replica.stored_packet(packet.key())?.map(|r| r.packet);
        if stored.as_ref() == Some(packet) || conditions::may_replace(headers, stored.as_ref()) {
            Ok(())
        } else {
            Err(PutFailure::ConditionFailed)
        }
    }
}
