//! The traits with which nodes reach each other.

use std::{collections::BTreeMap, fmt, iter, pin::Pin, sync::Arc};

use futures_util::{Sink, future::BoxFuture, stream::BoxStream};
use quorate_state::{ClusterId, LogIndex, LogPosition, Term, Voucher};
use serde::{Deserialize, Serialize};
use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::{
    FrameMetadata, JoinAnswer, JoinRequest, NodeId,
    message::{Request, Response},
};

/// What a link carries. Each kind has its own connection, so that votes and heartbeats never wait behind
/// entries, nor entries behind a snapshot.
///
/// Its number is used on the wire and never changes; its name in lower case is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum StreamKind {
    Append = 0,
    Control = 1,
    /// Proposals to the leader, and read indexes.
    Forward = 2,
    /// Snapshots from the leader, which resume after an interruption.
    Snapshot = 3,
    /// Snapshots for a member with damaged packets.
    Pull = 4,
    /// Operators' requests from other nodes to the leader, and cluster keys.
    Admin = 5,
    /// A request of an unknown node to join ([`JoinRequest`]). It does not become a link.
    Join = 6,
}

pub trait Transport: Send + Sync + 'static {
    /// Opens a link to `peer`, which listens on `address`, a `host:port`; the name is resolved then.
    /// `introduce` is called after TLS is up, because an older statement would count as data loss.
    fn open(
        &self,
        peer: NodeId,
        address: String,
        stream_kind: StreamKind,
        introduce: Introduce,
    ) -> BoxFuture<'static, Result<Link, LinkError>>;
}

/// Returns the introduction of this node at the time when it is sent.
pub type Introduce = Box<dyn FnOnce() -> Introduction + Send>;

/// The last positions that voters have acknowledged to this node as flushed, with its term as leader.
pub type Acknowledgements = BTreeMap<NodeId, (Term, LogPosition)>;

/// A message with its number and metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame<T> {
    /// The number of the request on this link, also in the response.
    pub id: u64,
    /// The request or the response.
    pub message: T,
    /// The state of its sender.
    pub metadata: FrameMetadata,
}

/// An open link: requests are sent in order, and each gets one response, in any order.
pub struct Link {
    /// The sink of requests. A flush sends what was buffered.
    pub requests: RequestSink,
    /// The responses. The stream ends, or returns an error, when the link is lost.
    pub responses: BoxStream<'static, Result<Frame<Response>, LinkError>>,
    /// What the peer stated about its log when it accepted the link.
    pub stated: LogSummary,
}

/// The sink of requests. If one cannot be encoded, `start_send` fails. It must not be used after an error.
pub type RequestSink = Pin<Box<dyn Sink<Frame<Request>, Error = LinkError> + Send>>;

/// What a node states about itself before a link is open, at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Its cluster. Nodes of other clusters are rejected, even with a listed key.
    pub cluster: ClusterId,
    pub stated: LogSummary,
    /// Vouchers for nodes that have not applied its registration yet.
    pub vouchers: Vec<Voucher>,
}

/// What a node states about its log when a link is opened, at either end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// The term of its last vote.
    pub term: Term,
    /// The last durable entry, in the log or the checkpoint. `None` if there is none: the node is new, or
    /// has lost its data.
    pub durable: Option<LogPosition>,
}

/// The data that a node has lost, by comparison with what it states when a link is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataLoss {
    /// The last entry that it acknowledged as flushed to the leader of this term. `None` if the peer only
    /// knows that it had entries.
    pub acknowledged: Option<(Term, LogPosition)>,
    /// Its last durable entry.
    pub stated: Option<LogPosition>,
}

impl DataLoss {
    /// The data loss of a node that acknowledged `acknowledged`, or had entries, and states `stated`; `None`
    /// if it lost nothing. A node that voted in a later term may have dropped entries for the leader of that
    /// term, which is correct.
    pub fn of(acknowledged: Option<(Term, LogPosition)>, stated: LogSummary) -> Option<Self> {
        let is_lost = match acknowledged {
            Some((term, position)) => stated.term <= term && stated.durable < Some(position),
            None => stated.durable.is_none(),
        };
        is_lost.then_some(Self {
            acknowledged,
            stated: stated.durable,
        })
    }
}

impl fmt::Display for DataLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.acknowledged {
            Some((term, LogPosition { term: of, index })) => {
                write!(
                    f,
                    "the node acknowledged entry {index} of term {of} to the leader of term {term}"
                )?;
            }
            None => write!(f, "the node had entries in its log")?,
        }
        match self.stated {
            Some(LogPosition { term, index }) => {
                write!(f, ", and its log ends at entry {index} of term {term}")
            }
            None => write!(f, ", and its log is empty"),
        }
    }
}

/// The decision about a connecting node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is a member, or registered.
    Listed,
    /// A chain of vouchers proves that it was registered later. It gets only the streams that keep a
    /// follower up to date.
    Vouched,
    /// It was removed.
    Removed(Removal),
    /// It is unknown.
    Stranger,
}

/// The notice to a removed node: the cluster without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The applied index of the member that sends it.
    pub index: LogIndex,
    /// The voters and their addresses.
    pub voters: Vec<(NodeId, String)>,
    /// Vouchers of voters that the node does not know.
    pub vouchers: Vec<Voucher>,
}

/// Why a link failed. The text names the peer and the address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The other end closed the connection: the peer, or its host after the process died.
    #[error("{0}")]
    Closed(String),
    /// The peer closed it without an answer: it does not know this node's key.
    #[error("{0}")]
    NotAdmitted(String),
    /// The peer reports that this node was removed.
    #[error("{0}")]
    Removed(String, Arc<Removal>),
    /// The peer reports that this node has lost entries.
    #[error("{0}")]
    DataLost(String, DataLoss),
    /// Anything else: it could not be opened, or there was no valid answer.
    #[error("{0}")]
    Failed(String),
}

/// The text of an error with its sources.
pub fn chain(error: &dyn std::error::Error) -> String {
    let sources = iter::successors(Some(error), |error| error.source());
    sources
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The receiver of incoming links.
pub trait Service: Send + Sync + 'static {
    /// The present introduction of this node.
    fn introduction(&self) -> Introduction;

    /// The decision about `peer` with these vouchers. Called in each handshake.
    fn admission(&self, peer: NodeId, vouchers: &[Voucher]) -> Admission;

    /// Resolves when links of `peer` are no longer accepted. Its open links then end.
    fn removed(&self, peer: NodeId, vouchers: Vec<Voucher>) -> BoxFuture<'static, ()>;

    /// What voters have acknowledged so far. Called before the connecting node can send its statement, because
    /// it may acknowledge more over other links afterwards.
    fn acknowledged(&self) -> Acknowledgements;

    /// The data loss of `peer`, which states `stated`, compared with what it had acknowledged or was known to
    /// have.
    fn lost_data(
        &self,
        peer: NodeId,
        stated: LogSummary,
        before: &Acknowledgements,
    ) -> Option<DataLoss>;

    /// Whether a [`JoinRequest`] may come. Otherwise none is read.
    fn expects_joiners(&self) -> bool;

    /// Answers `joiner`, whose key TLS has proven. `None` ends the connection without a byte.
    fn join(
        self: Arc<Self>,
        joiner: NodeId,
        request: JoinRequest,
    ) -> BoxFuture<'static, Option<JoinAnswer>>;

    /// Serves a link that `peer` opened; the transport has verified its identity. The requests end with an
    /// error when the link is lost, and without one when this node closes it. The end of the response stream
    /// closes the link.
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        stream_kind: StreamKind,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Frame<Response>>;
}
