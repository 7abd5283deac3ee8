//! Errors of handshakes.

use std::io;

use quorate_packet::PublicKey;

use crate::{
    KeyRejection, NodeId,
    frame::{FrameError, is_disconnect},
    greeting::Rejection,
    metrics::HandshakeOutcome,
};

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("it took too long")]
    TimedOut,
    #[error("it was the oldest of too many handshakes")]
    Crowded,
    #[error("the other end closed it")]
    Closed,
    #[error("the key {0} does not belong to a known node")]
    UnknownKey(PublicKey),
    #[error("the key {0} does not belong to a known node, and this is not a request to join")]
    NoJoinRequest(NodeId, #[source] FrameError),
    #[error(
        "the key {0} does not belong to a known node. It was told nothing; a node that is known would \
         have been told: {1}"
    )]
    Stranger(NodeId, Rejection),
    #[error("the other node expects another key here")]
    NotExpected,
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it does not use the protocol of nodes")]
    Protocol,
    #[error("peer {0} sent no greeting")]
    Hello(NodeId, #[source] FrameError),
    #[error("peer {0} was rejected: {1}")]
    Rejected(NodeId, Rejection),
}

impl HandshakeError {
    pub(crate) fn tls(error: io::Error) -> Self {
        match KeyRejection::of(&error) {
            Some(KeyRejection::Theirs(key)) => Self::UnknownKey(key),
            Some(KeyRejection::Ours) => Self::NotExpected,
            None if is_disconnect(&error) => Self::Closed,
            None => Self::Tls(error),
        }
    }

    pub(crate) fn outcome(&self) -> HandshakeOutcome {
        match self {
            Self::TimedOut => HandshakeOutcome::TimedOut,
            Self::Crowded => HandshakeOutcome::Crowded,
            Self::Closed => HandshakeOutcome::Closed,
            Self::UnknownKey(_) => HandshakeOutcome::UnknownKey,
            Self::NoJoinRequest(..) | Self::Stranger(..) => HandshakeOutcome::NoJoinRequest,
            Self::NotExpected | Self::Tls(_) | Self::Protocol => HandshakeOutcome::Tls,
            Self::Hello(..)
            | Self::Rejected(
                _,
                Rejection::Magic | Rejection::StreamKind(_) | Rejection::Unlisted,
            ) => HandshakeOutcome::Greeting,
            Self::Rejected(_, Rejection::Removed(_)) => HandshakeOutcome::Removed,
            Self::Rejected(_, Rejection::WireVersion { .. }) => HandshakeOutcome::WireVersion,
            Self::Rejected(_, Rejection::Cluster) => HandshakeOutcome::Cluster,
            Self::Rejected(_, Rejection::LinkCount) => HandshakeOutcome::LinkCount,
            Self::Rejected(_, Rejection::DataLost(_)) => HandshakeOutcome::DataLost,
        }
    }
}
