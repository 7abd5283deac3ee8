//! Greetings: the first messages on a link.

use std::ops::RangeInclusive;

use crate::{
    ClusterId, DataLoss, DecodeError, Introduction, JoinAnswer, JoinRequest, LinkError, LogSummary,
    Removal, StreamKind, Voucher, message::WIRE_VERSIONS,
};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;
use tokio_util::codec::{FramedRead, FramedWrite};

use crate::frame::{Content, FrameCodec, FrameError, parse_front};

/// The largest message of an unknown node, in bytes: a hello with the longest chain of vouchers takes 9 KB,
/// and a request to join 0.5.
pub(crate) const HELLO_SIZE_MAX: usize = 10 * 1024;

/// The largest answer of a node with the expected key, in bytes: a thousand members with the longest
/// addresses take 300 KB.
pub(crate) const GREETING_SIZE_MAX: usize = 512 * 1024;

/// Zeros after a hello, for the fields that an older node does not send.
const PADDING: [u8; 64] = [0; 64];

const MAGIC: [u8; 8] = *b"quorate2";

/// The reading half of a connection.
pub(crate) type FrameReader<T> = FramedRead<ReadHalf<TlsStream<TcpStream>>, FrameCodec<T>>;

/// The writing half of a connection.
pub(crate) type FrameWriter<T> = FramedWrite<WriteHalf<TlsStream<TcpStream>>, FrameCodec<T>>;

/// Both halves of a connection that carries only greetings so far, with their size limit.
pub(crate) fn greeting_frames<In: Content, Out: Content>(
    stream: impl Into<TlsStream<TcpStream>>,
    read_size_max: usize,
) -> (FrameReader<In>, FrameWriter<Out>) {
    let (reader, writer) = tokio::io::split(stream.into());
    (
        FramedRead::new(reader, FrameCodec::new(read_size_max, None)),
        FramedWrite::new(writer, FrameCodec::new(GREETING_SIZE_MAX, None)),
    )
}

/// The messages of the other end, until the link is lost, which is an error made by `lost`.
pub(crate) fn messages<T: Content>(
    reader: FrameReader<T>,
    lost: impl FnOnce(&FrameError) -> LinkError,
) -> impl Stream<Item = Result<T, LinkError>> {
    stream::unfold(Some((reader, lost)), |open| async {
        let (mut reader, lost) = open?;
        let error = match reader.next().await {
            Some(Ok(message)) => return Some((Ok(message), Some((reader, lost)))),
            Some(Err(error)) => error,
            None => FrameError::Closed,
        };
        Some((Err(lost(&error)), None))
    })
}

/// The first message of the connecting node. Its layout is the same in every wire version, so that nodes of
/// different versions can report the mismatch. It grows only by fields at its end whose zero means what
/// older nodes assume. Unknown fields are skipped.
///
/// If it starts with another magic, nothing else is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) magic: [u8; 8],
    pub(crate) versions: RangeInclusive<u16>,
    pub(crate) cluster: ClusterId,
    pub(crate) stated: LogSummary,
    pub(crate) stream_kind: u8,
    pub(crate) vouchers: Vec<Voucher>,
}

impl Hello {
    pub(crate) fn new(introduction: Introduction, stream_kind: StreamKind) -> Self {
        Self {
            magic: MAGIC,
            versions: WIRE_VERSIONS,
            cluster: introduction.cluster,
            stated: introduction.stated,
            stream_kind: stream_kind as u8,
            vouchers: introduction.vouchers,
        }
    }

    /// The stream kind and version with which a node of `cluster` that supports `versions` continues; or why
    /// it rejects the link.
    pub(crate) fn check(
        &self,
        cluster: ClusterId,
        versions: &RangeInclusive<u16>,
    ) -> Result<(StreamKind, u16), Rejection> {
        if self.magic != MAGIC {
            return Err(Rejection::Magic);
        }
        let version = *self.versions.end().min(versions.end());
        if version < *self.versions.start().max(versions.start()) {
            return Err(Rejection::WireVersion {
                ours: listed(versions),
                theirs: listed(&self.versions),
            });
        }
        if self.cluster != cluster {
            return Err(Rejection::Cluster);
        }
        let stream_kind = StreamKind::from_repr(self.stream_kind)
            .ok_or(Rejection::StreamKind(self.stream_kind))?;
        Ok((stream_kind, version))
    }
}

impl Content for Hello {
    fn parse(frame: &[u8]) -> Result<Self, DecodeError> {
        let is_known = frame.starts_with(&MAGIC);
        let read = match is_known {
            true => frame,
            false => &frame[..frame.len().min(MAGIC.len())],
        };
        Ok(parse_front(&[read, &PADDING].concat())?.0)
    }
}

/// The answer to a [`Hello`], with the same layout in every wire version. It may grow at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Greeting {
    Welcome {
        /// The wire version that both use from now on.
        version: u16,
        stated: LogSummary,
    },
    /// The link is rejected. The reason is text, because other versions may have other reasons.
    Rejected(String),
    /// The link is rejected: the connecting node has lost entries.
    DataLost(DataLoss),
    /// The answer to a request to join.
    Join(JoinAnswer),
    /// The link is rejected: the connecting node was removed.
    Removed(Removal),
}

impl Content for Greeting {
    fn parse(frame: &[u8]) -> Result<Self, DecodeError> {
        Ok(parse_front(frame)?.0)
    }
}

/// The message after the hello of a joiner. Its layout is the same in every wire version, and it may grow at
/// its end.
impl Content for JoinRequest {
    fn parse(frame: &[u8]) -> Result<Self, DecodeError> {
        let (request, _) = parse_front::<Self>(frame)?;
        match request.fits() {
            true => Ok(request),
            false => Err(DecodeError("its name or address is too long".to_owned())),
        }
    }
}

/// Formats versions.
fn listed(versions: &RangeInclusive<u16>) -> String {
    match (versions.start(), versions.end()) {
        (lowest, highest) if lowest == highest => lowest.to_string(),
        (lowest, highest) => format!("{lowest} to {highest}"),
    }
}

/// Why a node with an accepted key is rejected. Sent to that node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error(
        "this version of Quorate does not know this greeting: run the same version on all nodes"
    )]
    Magic,
    #[error(
        "it speaks wire version {ours} and this node speaks {theirs}: run versions of Quorate that \
         share one"
    )]
    WireVersion { ours: String, theirs: String },
    #[error("it belongs to another cluster: check that the address is that of a member")]
    Cluster,
    #[error("it does not know the stream kind {0}")]
    StreamKind(u8),
    #[error("it has not applied this node's registration yet, and accepts no such link before")]
    Unlisted,
    #[error("this node was removed")]
    Removed(Removal),
    #[error("it has too many open links")]
    LinkCount,
    #[error("this node has lost its data: {0}")]
    DataLost(DataLoss),
}

impl Rejection {
    pub(crate) fn greeting(&self) -> Greeting {
        match self {
            Self::DataLost(loss) => Greeting::DataLost(*loss),
            Self::Removed(removal) => Greeting::Removed(removal.clone()),
            other => Greeting::Rejected(other.to_string()),
        }
    }
}

#[cfg(test)]
#[path = "greeting_tests.rs"]
mod tests;
