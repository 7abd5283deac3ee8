//! Errors of dialing.

use std::{io, sync::Arc};

use quorate_packet::PublicKey;

use crate::{DataLoss, KeyRejection, Removal, frame::FrameError, metrics::DialFailure};

/// Why a dial failed. The caller adds peer and address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its name cannot be resolved")]
    Resolve(#[source] Arc<io::Error>),
    #[error("its name was not resolved in time")]
    Unresolved,
    #[error("its name has no address")]
    NoAddress,
    #[error("it cannot be reached")]
    Connect(#[source] io::Error),
    #[error("it cannot be reached: no answer in time")]
    Silent,
    #[error(
        "another node is there: {0}. If the cluster was restored or recovered, that one belongs to the new \
         cluster and this node to the old one: keep it stopped"
    )]
    OtherNode(PublicKey),
    #[error(
        "it does not know this node's key: it is no member of this cluster, or it was removed long \
         ago and nobody remembers it"
    )]
    NotAdmitted,
    #[error("it reports that this node was removed, as of entry {}", .0.index)]
    Removed(Arc<Removal>),
    #[error(
        "it knows that this node has lost its data, and with it the votes that it gave: {0}. It must \
         not come back under its old key. Run `quorate member add` on a member, start a node in \
         another, empty data directory by `serve --join TOKEN`, and then run `quorate member \
         replace` with the old key and the new"
    )]
    DataLost(DataLoss),
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    #[error("it closed the connection during the handshake")]
    Closed,
    #[error("its answer was not a greeting")]
    Greeting(#[source] FrameError),
    #[error("it selected wire version {0}, which this node does not support")]
    WireVersion(u16),
    #[error("it rejected the link: {0}")]
    Rejected(String),
    #[error("its answer does not match the request")]
    Unasked,
    #[error("it accepted the connection and did not answer in time")]
    TimedOut,
}

impl DialError {
    pub(crate) fn tls(error: io::Error) -> Self {
        match KeyRejection::of(&error) {
            Some(KeyRejection::Theirs(key)) => Self::OtherNode(key),
            Some(KeyRejection::Ours) => Self::NotAdmitted,
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Tls(error),
        }
    }

    pub(crate) fn reason(&self) -> DialFailure {
        match self {
            Self::Resolve(_)
            | Self::Unresolved
            | Self::NoAddress
            | Self::Connect(_)
            | Self::Silent => DialFailure::Connect,
            Self::OtherNode(_)
            | Self::Tls(_)
            | Self::Closed
            | Self::Greeting(_)
            | Self::WireVersion(_)
            | Self::Unasked => DialFailure::Tls,
            Self::NotAdmitted => DialFailure::NotAdmitted,
            Self::Removed(_) => DialFailure::Removed,
            Self::DataLost(_) => DialFailure::DataLost,
            Self::Rejected(_) => DialFailure::Rejected,
            Self::TimedOut => DialFailure::TimedOut,
        }
    }
}
