//! How nodes reach each other, as traits.

use std::{collections::BTreeMap, fmt, iter, pin::Pin, sync::Arc};

use futures_util::{Sink, future::BoxFuture, stream::BoxStream};
use quorate_state::{ClusterId, LogIndex, LogPosition, Term, Voucher};
use serde::{Deserialize, Serialize};
use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::{
    FrameMetadata, JoinAnswer, JoinRequest, NodeId,
    message::{Request, Response},
};

/// What a link carries. Each stream is a connection of its own, so that votes and heartbeats never
/// queue behind entries, nor entries behind a snapshot.
///
/// Its number names it on the wire and never changes; its name in small letters labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum StreamKind {
    Append = 0,
    Control = 1,
    /// Proposals on their way to the leader, and read indexes.
    Forward = 2,
    /// Snapshots from the leader, which go on where they were cut off.
    Snapshot = 3,
    /// Snapshots for a member that asks, since its own packets are damaged.
    Pull = 4,
    /// What operators ask of the leader at other nodes.
    Admin = 5,
    /// A node that nobody knows asks to join ([`JoinRequest`]). No link comes of it.
    Join = 6,
}

pub trait Transport: Send + Sync + 'static {
    /// Opens a link to `peer`, which listens at `address`, a `host:port`; the name is resolved then.
    /// The peer is told what this node says of itself once TLS is up: an older word would be held
    /// against it.
    fn open(
        &self,
        peer: NodeId,
        address: String,
        stream_kind: StreamKind,
        introduce: Introduce,
    ) -> BoxFuture<'static, Result<Link, LinkError>>;
}

/// Gives what this node says of itself, at the moment when it is said.
pub type Introduce = Box<dyn FnOnce() -> Introduction + Send>;

/// What voters have acknowledged as flushed to this node, as the leader of the term beside it.
pub type Acknowledgements = BTreeMap<NodeId, (Term, LogPosition)>;

/// A message on its way: what names it, what it says, and what it tells of its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frame<T> {
    /// Of a request: its number on this link. Of a response: that of the request it answers.
    pub id: u64,
    /// The request or the response.
    pub message: T,
    /// What it tells of its sender.
    pub metadata: FrameMetadata,
}

/// An open link: requests go out in order, and each gets one response, in whatever order.
pub struct Link {
    /// Where requests go. A flush sends what was buffered.
    pub requests: RequestSink,
    /// Where responses come. It ends, or gives an error, when the link is lost.
    pub responses: BoxStream<'static, Result<Frame<Response>, LinkError>>,
    /// What the peer said of its log when it took the link.
    pub stated: LogSummary,
}

/// Where requests go. One that cannot be encoded is an error of `start_send`, and has not left.
pub type RequestSink = Pin<Box<dyn Sink<Frame<Request>, Error = LinkError> + Send>>;

/// What a node says of itself before a link is open, at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Where it belongs. Nodes of other clusters are turned away, though their key be listed.
    pub cluster: ClusterId,
    pub stated: LogSummary,
    /// What proves that it is a member to those who have not applied its registration yet.
    pub vouchers: Vec<Voucher>,
}

/// What a node says of its log when a link is opened, at either end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSummary {
    /// That of its last vote.
    pub term: Term,
    /// Up to where its entries are on disk, be it in the log or in the checkpoint. `None` of a node
    /// that has none: it is new, or it has lost its data.
    pub durable: Option<LogPosition>,
}

/// What a node has lost, as a peer knows by what the node states when a link is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataLoss {
    /// The last entry that it acknowledged as flushed to the leader of this term. `None`: it had
    /// entries, and the peer does not know which.
    pub acknowledged: Option<(Term, LogPosition)>,
    /// Where its entries on disk end.
    pub stated: Option<LogPosition>,
}

impl DataLoss {
    /// What a node has lost that acknowledged this, or had entries, and states that; `None` if it has lost
    /// nothing. Who has voted in a later term may have lost entries to the leader of that, as it should.
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

/// What a node is to the one that it has connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is a member, or registered.
    Listed,
    /// A chain of vouchers says that it was registered since. It gets the streams that keep a
    /// follower up to date, and no other.
    Vouched,
    /// It was removed.
    Removed(Removal),
    /// Nothing is known of it.
    Stranger,
}

/// What a node is told that was removed: who the cluster is without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// What the member that tells it has applied.
    pub index: LogIndex,
    /// The voters, and where they are.
    pub voters: Vec<(NodeId, String)>,
    /// What proves voters to a node that does not know them.
    pub vouchers: Vec<Voucher>,
}

/// Why a link failed. The text names the peer and the address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The other end closed the connection, be it the peer or, after its death, its host.
    #[error("{0}")]
    Closed(String),
    /// The peer ended it without a word: it does not know this node's key.
    #[error("{0}")]
    NotAdmitted(String),
    /// The peer says that this node was removed.
    #[error("{0}")]
    Removed(String, Arc<Removal>),
    /// The peer knows that this node has lost entries.
    #[error("{0}")]
    DataLost(String, DataLoss),
    /// Anything else: it was not opened, no answer came, or not one that can be understood.
    #[error("{0}")]
    Failed(String),
}

/// An error with its sources, for those who get only text.
pub fn chain(error: &dyn std::error::Error) -> String {
    let sources = iter::successors(Some(error), |error| error.source());
    sources
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The receiving end: what a transport hands its incoming links to.
pub trait Service: Send + Sync + 'static {
    /// What this node says of itself now.
    fn introduction(&self) -> Introduction;

    /// What `peer` is, which presents these vouchers. Asked in each handshake.
    fn judge(&self, peer: NodeId, vouchers: &[Voucher]) -> Admission;

    /// Resolves when links of `peer` are no longer taken: those that are open end then.
    fn removed(&self, peer: NodeId, vouchers: Vec<Voucher>) -> BoxFuture<'static, ()>;

    /// What voters have acknowledged so far. Asked before a caller can speak: what it acknowledges by other
    /// links meanwhile, it need not know yet when it states what it has.
    fn acknowledged(&self) -> Acknowledgements;

    /// What `peer` has lost, which states this of its log, of what it had acknowledged before, or of
    /// all that it is known to have had.
    fn lost_data(
        &self,
        peer: NodeId,
        stated: LogSummary,
        before: &Acknowledgements,
    ) -> Option<DataLoss>;

    /// Whether somebody may come with a [`JoinRequest`]. While nobody may, none is read.
    fn expects_joiners(&self) -> bool;

    /// Answers `joiner`, whose key TLS has proved, or not at all: then the connection ends without a
    /// byte.
    fn join(
        self: Arc<Self>,
        joiner: NodeId,
        request: JoinRequest,
    ) -> BoxFuture<'static, Option<JoinAnswer>>;

    /// Serves a link that `peer` opened, whose identity the transport has checked. The requests end
    /// with an error when the link is lost, and without one when this node closes it. The stream of
    /// responses ends when the link shall be closed.
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        stream_kind: StreamKind,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Frame<Response>>;
}
