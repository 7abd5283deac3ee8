//! What operators ask.

use std::time::Duration;

use futures_util::future::BoxFuture;
use quorate_api::operate::{Change, Changed, Member, Refusal};
use quorate_packet::PublicKey;
use quorate_state::{
    ClusterId, InviteId, NodeId, PublishChange, StoredPacket, UnixMillis, ZoneChange,
};

use crate::ReadError;

/// Answers operators: any node does, by asking the leader. What it takes longer for than a leader
/// needs to be elected is [`Refusal::NoLeader`].
pub trait Operator: Send + Sync + 'static {
    /// All members, and nodes that shall be. While no leader is known: as this node knows them, soon.
    fn members(&self) -> BoxFuture<'_, Result<ClusterMembers, Refusal>>;

    /// Makes a token with which one node can join within `valid`, as a learner that stays one or as a
    /// voter to be.
    fn invite(
        &self,
        stays_learner: bool,
        valid: Duration,
    ) -> BoxFuture<'_, Result<Invited, Refusal>>;

    /// Changes the members; with `force` also if no live quorum is left.
    fn change(&self, change: Change, force: bool) -> BoxFuture<'_, Result<Changed, Refusal>>;

    /// Hands leadership to this node, or to the fittest voter. Resolves when a node leads that was
    /// asked to, and says which.
    fn transfer_leader(&self, to: Option<String>) -> BoxFuture<'_, Result<NodeId, Refusal>>;

    /// Changes the replicated records of a zone, all at once. Resolves when this node has applied it.
    fn change_zone(&self, change: ZoneChange) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Changes who may publish. Resolves when this node has applied it.
    fn change_publishing(&self, change: PublishChange) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Deletes the packet of a key, so that neither it nor an earlier one comes back, and blocks the
    /// key for a time if one is given. Says whether there was a packet. Resolves when this node has
    /// applied it.
    fn delete_packet(
        &self,
        key: PublicKey,
        block: Option<Duration>,
    ) -> BoxFuture<'_, Result<bool, Refusal>>;

    /// Up to `count` packets of the local replica behind the key `after`, in the order of keys.
    fn packets_after(
        &self,
        after: Option<PublicKey>,
        count: usize,
    ) -> Result<Vec<StoredPacket>, ReadError>;
}

/// How the members of a cluster are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMembers {
    /// Who the cluster is, if that is agreed on.
    pub cluster: Option<ClusterId>,
    /// Its leader, which says all this. `None` if none is known: then this is what the node that was
    /// asked knows by itself.
    pub leader: Option<NodeId>,
    /// In the order of their keys.
    pub members: Vec<Member>,
}

/// A token that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The token, a secret.
    pub token: String,
    /// The invite that it is of. No secret.
    pub invite: InviteId,
    /// When it expires.
    pub expires: UnixMillis,
}
