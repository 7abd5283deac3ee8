//! How nodes reach each other, as traits.

use std::{iter, pin::Pin, sync::Arc};

use futures_util::{Sink, future::BoxFuture, stream::BoxStream};
use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::{
    NodeId, Tail,
    message::{Request, Response},
};

/// What a link carries. Each lane is a connection of its own, so that votes and heartbeats never
/// queue behind entries, nor entries behind a snapshot.
///
/// Its number names it on the wire and never changes; its name in small letters labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum Lane {
    /// AppendEntries with entries.
    Append = 0,
    /// Votes, heartbeats, leadership transfer.
    Control = 1,
    /// Proposals on their way to the leader, and read indexes.
    Forward = 2,
    /// Snapshots from the leader.
    Snapshot = 3,
    /// Snapshots for a member that asks, since its own packets are damaged.
    Pull = 4,
}

/// Opens links to peers.
pub trait Transport: Send + Sync + 'static {
    /// Opens a link to `peer`. `address` is where the membership says it listens; a transport that
    /// was configured with another one prefers that.
    fn open(
        &self,
        peer: NodeId,
        address: String,
        lane: Lane,
    ) -> BoxFuture<'static, Result<Link, LinkError>>;
}

/// A message on its way: what names it, what it says, and what it tells of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<T> {
    /// Of a request: its number on this link. Of a response: that of the request it answers.
    pub id: u64,
    /// The request or the response.
    pub message: T,
    /// What it tells of its sender.
    pub tail: Tail,
}

/// An open link: requests go out in order, and each gets one response, in whatever order.
pub struct Link {
    /// Where requests go. A flush sends what was buffered.
    pub requests: RequestSink,
    /// Where responses come. It ends, or gives an error, when the link is lost.
    pub responses: BoxStream<'static, Result<Frame<Response>, LinkError>>,
    /// What the peer said of its log when it took the link.
    pub log: LogState,
}

/// Where requests go. One that cannot be encoded is an error of `start_send`, and has not left.
pub type RequestSink = Pin<Box<dyn Sink<Frame<Request>, Error = LinkError> + Send>>;

/// What is in the log of a node. Nodes tell it when they greet, so that none founds a cluster anew.
///
/// Its number stands on the wire and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub enum LogState {
    /// Nothing.
    Empty = 0,
    /// The first entry, which names the founding voters, and nothing else.
    Founding = 1,
    /// Entries of a cluster that has had a leader.
    More = 2,
}

/// Why a link failed. The text names the peer and the address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// The other end closed the connection, be it the peer or, after its death, its host.
    #[error("{0}")]
    Closed(String),
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
    /// What is in this node's log now, for those who open links.
    fn log_state(&self) -> LogState;

    /// Serves a link that `peer` opened, whose identity the transport has checked. The requests end
    /// with an error when the link is lost, and without one when this node closes it. The stream of
    /// responses ends when the link shall be closed.
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        lane: Lane,
        requests: BoxStream<'static, Result<Frame<Request>, LinkError>>,
    ) -> BoxStream<'static, Frame<Response>>;
}
