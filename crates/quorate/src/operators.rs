//! What operators ask of a node that cannot answer them yet.

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture, future::ready};
use quorate_packet::PublicKey;
use quorate_replica::{
    Change, Changed, ClusterMembers, Invited, NodeId, Operator, ReadError, Refusal, StoredPacket,
};

/// Refuses all of it.
pub(crate) struct Unanswered;

fn refused<T: Send + 'static>() -> BoxFuture<'static, Result<T, Refusal>> {
    ready(Err(Refusal::Unsupported)).boxed()
}

impl Operator for Unanswered {
    fn members(&self) -> BoxFuture<'_, Result<ClusterMembers, Refusal>> {
        refused()
    }

    fn invite(&self, _: bool, _: Duration) -> BoxFuture<'_, Result<Invited, Refusal>> {
        refused()
    }

    fn change(&self, _: Change, _: bool) -> BoxFuture<'_, Result<Changed, Refusal>> {
        refused()
    }

    fn transfer_leader(&self, _: Option<String>) -> BoxFuture<'_, Result<NodeId, Refusal>> {
        refused()
    }

    fn packets_after(
        &self,
        _: Option<PublicKey>,
        _: usize,
    ) -> Result<Vec<StoredPacket>, ReadError> {
        Err(ReadError("packets cannot be listed".into()))
    }
}
