//! Who may be part of the cluster, beside the members that Raft knows: nodes that are registered, and
//! invites for nodes that nobody knows yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use quorate_packet::PublicKey;
use serde::{Deserialize, Serialize};

use crate::{LogIndex, NodeId, UnixMillis, Voucher, Vouchers};

/// The most bytes of a node's name.
pub const NAME_SIZE_MAX: usize = 63;

/// The most bytes of a `host:port`: a name of 253, a dot at its end, and a port.
pub const ADDRESS_SIZE_MAX: usize = 260;

/// The most nodes that are registered: far more than a leader feeds.
pub const REGISTRATION_COUNT_MAX: usize = 1000;

/// The most invites that are kept. One that is used or has expired gives way to another.
pub const INVITE_COUNT_MAX: usize = 64;

/// The most nodes that one invite lets in: more than a cluster is founded with, and a token that leaks
/// lets in no more.
pub const INVITE_USES_MAX: u32 = 16;

/// The most nodes that are remembered as removed: as many as may be registered.
pub const REMOVED_COUNT_MAX: usize = 1000;

/// What names an invite: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InviteId(pub [u8; 16]);

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What lets nodes join: whoever proves that it has the secret of `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The public key of a pair whose secret only the token holds.
    pub key: PublicKey,
    /// From then on it lets nobody in.
    pub expires: UnixMillis,
    /// Whether the nodes stay learners.
    pub stays_learner: bool,
    /// How many nodes it lets in.
    pub uses: u32,
    /// Those that have used it.
    pub used_by: BTreeSet<PublicKey>,
}

impl Invite {
    /// Whether it lets nobody else in.
    pub fn is_used_up(&self) -> bool {
        self.used_by.len() >= self.uses as usize
    }
}

/// What the cluster knows of a node, beside its part in Raft's membership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// What its operator calls it, or nothing.
    pub name: String,
    /// Where it said that it is when it joined. Once it is a member, the address in the membership
    /// counts.
    pub address: String,
    /// Whether it stays a learner when it has caught up.
    pub stays_learner: bool,
    /// Whether it has been seen with entries in its log. If its log is empty after that, it has lost
    /// its data, and what it voted for.
    pub has_data: bool,
    /// The entry that registered it. What is noted of it later does not change that.
    pub index: LogIndex,
}

impl Registration {
    /// Whether name and address fit into their bounds.
    pub fn fits(&self) -> bool {
        self.name.len() <= NAME_SIZE_MAX && self.address.len() <= ADDRESS_SIZE_MAX
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRegistry {
    /// Nodes that are members, or shall be.
    pub registrations: BTreeMap<PublicKey, Registration>,
    /// Of those that nobody knows yet.
    pub invites: BTreeMap<InviteId, Invite>,
    /// Of nodes that are registered, and of some that were.
    pub vouchers: Vouchers,
    /// Nodes that were removed, each by this entry: they are told so, and no stranger is.
    pub removed: BTreeMap<PublicKey, LogIndex>,
}

/// A node that asks to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The invite whose secret it has, as the member that it asked has verified.
    pub invite: InviteId,
    pub node: PublicKey,
    /// What its operator calls it.
    pub name: String,
    /// Where it says that it is.
    pub address: String,
    /// The cluster's time when the leader proposed it.
    pub now: UnixMillis,
}

/// Why a node is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    /// Nothing is known of the invite.
    #[error("the token is unknown: it was never made here, or was dropped long after its time")]
    Unknown,
    #[error("the token has expired: have another one made, by `quorate member add`")]
    Expired,
    /// As many have used it as may, or this node did and was removed since.
    #[error("the token has been used: have another one made, by `quorate member add`")]
    Used,
    /// Another node is called so.
    #[error(
        "another node has its name: give it another one, cluster.node_name in its configuration"
    )]
    NameTaken,
    /// Name or address are too long, or there are too many nodes.
    #[error("its name or address is too long, or the cluster has as many nodes as it allows")]
    Bounds,
}

impl NodeRegistry {
    /// Takes an invite, in the place of one that is used or has expired before `now` if there are too
    /// many. False if all of those are open.
    pub(crate) fn invite(&mut self, id: InviteId, invite: Invite, now: UnixMillis) -> bool {
        if self.invites.len() >= INVITE_COUNT_MAX {
            let is_closed = |invite: &Invite| invite.is_used_up() || invite.expires <= now;
            let closed = self.invites.iter().filter(|(_, invite)| is_closed(invite));
            let oldest = closed.min_by_key(|(_, invite)| invite.expires);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                return false;
            };
            self.invites.remove(&oldest);
        }
        self.invites.insert(id, invite);
        true
    }

    /// Why a node would not be registered that joins, if it would not.
    pub fn check_join(&self, join: &Join) -> Result<(), JoinRefusal> {
        let invite = self.invites.get(&join.invite);
        let invite = invite.ok_or(JoinRefusal::Unknown)?;
        if self.has_joined(join) {
            return Ok(());
        }
        if invite.is_used_up() || invite.used_by.contains(&join.node) {
            return Err(JoinRefusal::Used);
        }
        if invite.expires <= join.now {
            return Err(JoinRefusal::Expired);
        }
        let is_known = self.registrations.contains_key(&join.node);
        let mut others = self.registrations.iter();
        let is_taken = others.any(|(node, other)| *node != join.node && other.name == join.name);
        let fits = join.name.len() <= NAME_SIZE_MAX && join.address.len() <= ADDRESS_SIZE_MAX;
        if !join.name.is_empty() && is_taken {
            Err(JoinRefusal::NameTaken)
        } else if !fits || (!is_known && self.registrations.len() >= REGISTRATION_COUNT_MAX) {
            Err(JoinRefusal::Bounds)
        } else {
            Ok(())
        }
    }

    /// Registers the node that joins. One that has done so with the same invite is registered as
    /// before, whatever it says now.
    pub(crate) fn join(&mut self, join: Join, index: LogIndex) -> Result<(), JoinRefusal> {
        self.check_join(&join)?;
        if self.has_joined(&join) {
            return Ok(());
        }
        if let Some(invite) = self.invites.get_mut(&join.invite) {
            invite.used_by.insert(join.node);
            let stays_learner = invite.stays_learner;
            let known = self.registrations.get(&join.node);
            let registration = Registration {
                name: join.name,
                address: join.address,
                stays_learner,
                ..known.cloned().unwrap_or_default()
            };
            self.register(join.node, registration, index);
        }
        Ok(())
    }

    /// Knows this of a node from now on. False if that is beyond its bounds.
    pub(crate) fn register(
        &mut self,
        node: PublicKey,
        mut registration: Registration,
        index: LogIndex,
    ) -> bool {
        let known = self.registrations.get(&node);
        let has_room = known.is_some() || self.registrations.len() < REGISTRATION_COUNT_MAX;
        if !registration.fits() || !has_room {
            return false;
        }
        registration.index = known.map_or(index, |known| known.index);
        self.registrations.insert(node, registration);
        self.removed.remove(&node);
        true
    }

    /// Knows nothing of a node any more but that it was removed.
    pub(crate) fn deregister(&mut self, node: PublicKey, index: LogIndex) {
        self.registrations.remove(&node);
        if self.removed.len() >= REMOVED_COUNT_MAX {
            let oldest = self.removed.iter().min_by_key(|(_, index)| **index);
            if let Some(oldest) = oldest.map(|(node, _)| *node) {
                self.removed.remove(&oldest);
            }
        }
        self.removed.insert(node, index);
    }

    /// Keeps the voucher of a node that is registered as it says.
    pub(crate) fn vouch(&mut self, voucher: Voucher) {
        let registration = self.registrations.get(&voucher.member.0);
        if registration.is_some_and(|registration| registration.index == voucher.index) {
            self.vouchers.insert(voucher);
        }
    }

    /// A node, and the entry that registered it, for which nobody has vouched yet. None vouches for
    /// itself.
    pub fn unvouched(&self, signer: NodeId) -> Option<(NodeId, LogIndex)> {
        let others = self
            .registrations
            .iter()
            .filter(|(node, _)| **node != signer.0);
        let mut unvouched = others.filter(|(_, other)| !self.vouchers.covers(other.index));
        unvouched
            .next()
            .map(|(node, other)| (NodeId(*node), other.index))
    }

    /// Whether the node is registered by this invite.
    fn has_joined(&self, join: &Join) -> bool {
        let invite = self.invites.get(&join.invite);
        let is_used = invite.is_some_and(|invite| invite.used_by.contains(&join.node));
        is_used && self.registrations.contains_key(&join.node)
    }
}

#[cfg(test)]
#[path = "node_registry_tests.rs"]
mod tests;
