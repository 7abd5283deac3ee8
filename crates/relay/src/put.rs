//! PUT: from bytes of a stranger to an outcome of the cluster.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use quorate_limit::RetryAfter;
use quorate_packet::{KeyError, PAYLOAD_SIZE_MAX, PacketError, SignedPacket};
use quorate_replica::{LinearizeError, PutError, PutOutcome, ReadError};

use crate::{
    conditions,
    metrics::PutLabel,
    relay::{RETRY_AFTER_SECS, Relay, key, text},
};

/// How much of a body that is too long is read and dropped. A connection that is closed on unread
/// bytes is reset, and the client that still writes would not see why.
const DISCARD_SIZE_MAX: u64 = 64 * 1024;

/// Stores a packet.
pub(crate) async fn put(State(relay): State<Arc<Relay>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = relay.put(&parts, body).await;
    relay.metrics.count_put(label(&result));
    match result {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => {
            tracing::debug!(path = parts.uri.path(), %refusal, "PUT refused");
            text(refusal.status(), refusal.to_string(), refusal.retry_after())
        }
    }
}

/// What is stored now is the packet that was PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    Stored,
    Unchanged,
}

/// Why a PUT is not answered with 204. The text is the answer's body.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "too many PUTs from this address: wait {0} s, and publish a key no more often than needed"
    )]
    Limited(RetryAfter),
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
    #[error("a newer packet of this key is stored: sign with a later timestamp")]
    Superseded,
    #[error("another packet than the condition names is stored: read it, then sign a new one")]
    ConditionFailed,
    #[error("the condition cannot be checked now, and the packet is not stored")]
    NotLinearizable(#[from] LinearizeError),
    #[error("the condition cannot be checked, and the packet is not stored")]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Replica(#[from] PutError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Limited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Key(_) | Self::Packet(_) | Self::TooFarAhead => StatusCode::BAD_REQUEST,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::Superseded => StatusCode::CONFLICT,
            Self::ConditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Replica(PutError::Unknown) => StatusCode::GATEWAY_TIMEOUT,
            Self::Replica(PutError::NoLeader | PutError::Overloaded | PutError::ShuttingDown)
            | Self::NotLinearizable(_)
            | Self::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited(wait) => Some(wait.as_secs()),
            _ if self.status().is_server_error() => Some(RETRY_AFTER_SECS),
            _ => None,
        }
    }
}

fn label(result: &Result<Accepted, Refusal>) -> PutLabel {
    match result {
        Ok(Accepted::Stored) => PutLabel::Stored,
        Ok(Accepted::Unchanged) => PutLabel::Unchanged,
        Err(Refusal::Limited(_)) => PutLabel::Limited,
        Err(Refusal::Key(_) | Refusal::Packet(_)) => PutLabel::Invalid,
        Err(Refusal::TooFarAhead) => PutLabel::TooFarAhead,
        Err(Refusal::TooLong) => PutLabel::TooLong,
        Err(Refusal::BodyLost) => PutLabel::BodyLost,
        Err(Refusal::Superseded) => PutLabel::Superseded,
        Err(Refusal::ConditionFailed) => PutLabel::ConditionFailed,
        Err(Refusal::Replica(PutError::NoLeader) | Refusal::NotLinearizable(_)) => {
            PutLabel::NoLeader
        }
        Err(Refusal::Replica(PutError::Overloaded)) => PutLabel::Overloaded,
        Err(Refusal::Replica(PutError::ShuttingDown)) => PutLabel::ShuttingDown,
        Err(Refusal::Replica(PutError::Unknown)) => PutLabel::Unknown,
        Err(Refusal::Unreadable(_)) => PutLabel::Unreadable,
    }
}

impl Relay {
    async fn put(&self, parts: &Parts, body: Body) -> Result<Accepted, Refusal> {
        if let Some(limit) = &self.config.limit {
            limit
                .check(self.client(&parts.extensions, &parts.headers))
                .map_err(Refusal::Limited)?;
        }
        let key = key(&parts.uri)?;
        let payload = read_payload(&parts.headers, body).await?;
        let packet = SignedPacket::parse(key, payload)?;
        self.put_packet(&parts.headers, packet).await
    }

    /// From here on the packet is the replica's, so here begins what is measured.
    async fn put_packet(
        &self,
        headers: &HeaderMap,
        packet: SignedPacket,
    ) -> Result<Accepted, Refusal> {
        let begun = Instant::now();
        let result = tokio::time::timeout(self.config.deadline, async {
            if conditions::has_write_conditions(headers) {
                self.check_conditions(headers, &packet).await?;
            }
            Ok::<_, Refusal>(self.replica.put(packet).await?)
        })
        .await
        .unwrap_or(Err(PutError::Unknown.into()));
        self.metrics.observe_put(begun.elapsed());
        match result? {
            PutOutcome::Stored => Ok(Accepted::Stored),
            PutOutcome::Unchanged => Ok(Accepted::Unchanged),
            PutOutcome::Superseded => Err(Refusal::Superseded),
            PutOutcome::TooFarAhead => Err(Refusal::TooFarAhead),
        }
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
    ) -> Result<(), Refusal> {
        self.replica.linearize().await?;
        let stored = self.replica.stored_packet(packet.key())?.map(|r| r.packet);
        if stored.as_ref() == Some(packet) || conditions::may_replace(headers, stored.as_ref()) {
            Ok(())
        } else {
            Err(Refusal::ConditionFailed)
        }
    }
}

/// Reads a body that may be a packet, without copying it if it arrived in one piece.
async fn read_payload(headers: &HeaderMap, mut body: Body) -> Result<Bytes, Refusal> {
    if claimed_size(headers) > DISCARD_SIZE_MAX {
        return Err(Refusal::TooLong);
    }
    let mut payload = Bytes::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BodyLost)?.into_data() else {
            continue;
        };
        size += data.len() as u64;
        if size > DISCARD_SIZE_MAX {
            return Err(Refusal::TooLong);
        }
        if size <= PAYLOAD_SIZE_MAX as u64 {
            payload = append(payload, data);
        }
    }
    if size > PAYLOAD_SIZE_MAX as u64 {
        return Err(Refusal::TooLong);
    }
    Ok(payload)
}

fn claimed_size(headers: &HeaderMap) -> u64 {
    let value = headers.get(header::CONTENT_LENGTH);
    let size = value.and_then(|value| value.to_str().ok()?.parse().ok());
    size.unwrap_or(0)
}

fn append(payload: Bytes, data: Bytes) -> Bytes {
    if payload.is_empty() {
        return data;
    }
    let mut joined = BytesMut::from(payload);
    joined.extend_from_slice(&data);
    joined.freeze()
}
