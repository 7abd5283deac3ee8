//! Metrics of the links between nodes.

use crate::{JoinAnswer, StreamKind};
use strum::{IntoStaticStr, VariantArray};

use crate::frame::FrameCounters;

/// Which node opened a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Direction {
    /// This one.
    Dialed,
    /// The peer.
    Accepted,
}

/// The outcome of an incoming connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum HandshakeOutcome {
    /// It is a link now.
    Welcomed,
    /// The other end closed it.
    Closed,
    /// It took too long.
    TimedOut,
    /// It was the oldest of too many.
    Crowded,
    /// It did not use TLS as nodes do.
    Tls,
    /// The key belongs to no known node, and no joiner is expected.
    UnknownKey,
    /// The key belongs to no known node, and its first message was not a request to join.
    NoJoinRequest,
    /// A node that was removed.
    Removed,
    /// It requested to join.
    JoinRequest,
    /// An admitted node sent an unknown greeting.
    Greeting,
    /// An admitted node speaks another wire version.
    WireVersion,
    /// An admitted node belongs to another cluster.
    Cluster,
    /// There were too many links.
    LinkCount,
    /// An admitted node has lost its data.
    DataLost,
}

/// The outcome of a request to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum JoinOutcome {
    /// The node is registered.
    Joined,
    /// The cluster rejected it.
    Rejected,
    /// No leader could register it now.
    Unavailable,
    /// It has no token of this cluster, and got no answer.
    Unproved,
    /// It took too long.
    TimedOut,
    /// Too many were waiting.
    Crowded,
}

impl JoinOutcome {
    pub(crate) fn of(answer: Option<&JoinAnswer>) -> Self {
        match answer {
            Some(JoinAnswer::Joined(_)) => Self::Joined,
            Some(JoinAnswer::Rejected(_)) => Self::Rejected,
            Some(JoinAnswer::Unavailable(_)) => Self::Unavailable,
            None => Self::Unproved,
        }
    }
}

/// Why a dial failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum DialFailure {
    /// The address did not answer, or its name could not be resolved.
    Connect,
    /// The TLS handshake failed, or the peer has another key.
    Tls,
    /// The peer does not know this node's key.
    NotAdmitted,
    /// The peer reports that this node was removed.
    Removed,
    /// The peer knows that this node has lost its data.
    DataLost,
    /// The peer rejected the link, with a reason.
    Rejected,
    /// The peer connected and then took too long.
    TimedOut,
}

quorate_metrics::metrics! {
    /// The metrics of links, at both ends.
    pub struct PeerMetrics in "quorate_peer" {
        /// Links that are open now, by direction and stream
        pub(crate) links_open: Gauge { direction: Direction, stream: StreamKind },
        /// Incoming connections, by outcome of the handshake
        pub(crate) handshakes_total: Counter { outcome: HandshakeOutcome },
        /// Incoming requests to join, by outcome
        pub(crate) joins_total: Counter { outcome: JoinOutcome },
        /// Dials that failed, by reason
        pub(crate) dial_failures_total: Counter { reason: DialFailure },
        /// Frames read, by stream
        read_frames_total: Counter { stream: StreamKind },
        /// Frames written, by stream
        written_frames_total: Counter { stream: StreamKind },
        /// Bytes of frames read, by stream
        read_bytes_total: Counter { stream: StreamKind },
        /// Bytes of frames written, by stream
        written_bytes_total: Counter { stream: StreamKind },
    }
}

impl PeerMetrics {
    pub(crate) fn read(&self, stream: StreamKind) -> FrameCounters {
        FrameCounters {
            frames: self.read_frames_total.of(stream).clone(),
            bytes: self.read_bytes_total.of(stream).clone(),
        }
    }

    pub(crate) fn written(&self, stream: StreamKind) -> FrameCounters {
        FrameCounters {
            frames: self.written_frames_total.of(stream).clone(),
            bytes: self.written_bytes_total.of(stream).clone(),
        }
    }
}
