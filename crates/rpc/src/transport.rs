//! How nodes reach each other, as traits.

use std::{iter, pin::Pin, sync::Arc};

use futures_util::{Sink, future::BoxFuture, stream::BoxStream};
use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::{
    NodeId,
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

/// An open link: requests go out in order, and each gets one response, in the same order.
pub struct Link {
    /// Where requests go. A flush sends what was buffered.
    pub requests: Pin<Box<dyn Sink<Request, Error = LinkError> + Send>>,
    /// Where responses come. It ends, or gives an error, when the link is lost.
    pub responses: BoxStream<'static, Result<Response, LinkError>>,
}

/// Why a link failed. The text names the peer and the address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);

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
    /// Serves a link that `peer` opened, whose identity the transport has checked. The stream of
    /// responses ends when the link shall be closed.
    fn serve(
        self: Arc<Self>,
        peer: NodeId,
        lane: Lane,
        requests: BoxStream<'static, Request>,
    ) -> BoxStream<'static, Response>;
}
