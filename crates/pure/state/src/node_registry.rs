//! The node registry: registered nodes, removed nodes, vouchers and invites, in addition to Raft's
//! membership.

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

/// The most registered nodes: far more than a leader can replicate to.
pub const REGISTRATION_COUNT_MAX: usize = 1000;

/// The most invites. A used or expired one is replaced first.
pub const INVITE_COUNT_MAX: usize = 64;

/// The most uses of one invite: more than the nodes of a founding, and a limit for a leaked token.
pub const INVITE_USES_MAX: u32 = 16;

/// The most remembered removed nodes: as many as can be registered.
pub const REMOVED_COUNT_MAX: usize = 1000;

/// The id of an invite: 16 random bytes.
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

/// An invite: nodes that prove to have the secret of `key` may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The public key of a pair whose secret is only in the token.
    pub key: PublicKey,
    /// When it expires.
    pub expires: UnixMillis,
    /// Whether the nodes stay learners.
    pub stays_learner: bool,
    /// How many nodes may use it.
    pub uses: u32,
    /// The nodes that have used it.
    pub used_by: BTreeSet<PublicKey>,
}

impl Invite {
    /// Whether no other node may use it.
    pub fn is_used_up(&self) -> bool {
        self.used_by.len() >= self.uses as usize
    }
}

/// What the cluster stores about a node in addition to Raft's membership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Its name, or empty.
    pub name: String,
    /// Its address when it joined. For a member, the address in the membership counts.
    pub address: String,
    /// Whether it stays a learner after it has caught up.
    pub stays_learner: bool,
    /// Whether it was seen with entries in its log. If its log is empty later, it has lost its data and its
    /// votes.
    pub has_data: bool,
    /// The entry that registered it. Later changes of the registration keep it.
    pub index: LogIndex,
}

impl Registration {
    /// Whether name and address are within their limits.
    pub fn fits(&self) -> bool {
        self.name.len() <= NAME_SIZE_MAX && self.address.len() <= ADDRESS_SIZE_MAX
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRegistry {
    /// Nodes that are members or will be.
    pub registrations: BTreeMap<PublicKey, Registration>,
    /// Invites for new nodes.
    pub invites: BTreeMap<InviteId, Invite>,
    /// Vouchers of registered nodes, and of some former ones.
    pub vouchers: Vouchers,
    /// Removed nodes and the entries that removed them. Only these nodes are informed of it, no strangers.
    pub removed: BTreeMap<PublicKey, LogIndex>,
}

/// A request of a node to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Its invite, whose secret it has proven to the member that received the request.
    pub invite: InviteId,
    pub node: PublicKey,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The cluster time of the proposal.
    pub now: UnixMillis,
}

/// Why a node was not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRejection {
    /// The invite is unknown.
    #[error("the token is unknown: it is of another cluster, or expired long ago")]
    Unknown,
    #[error("the token has expired: create another one with `quorate member add`")]
    Expired,
    /// All its uses are taken, or this node used it and was removed since.
    #[error("the token is used up: create another one with `quorate member add`")]
    Used,
    /// Another node has this name.
    #[error("another node has this name: set another cluster.node_name in its configuration")]
    NameTaken,
    /// Name or address are too long, or there are too many nodes.
    #[error("its name or address is too long, or the cluster has as many nodes as it allows")]
    Bounds,
}

impl NodeRegistry {
    /// Adds an invite. If there are too many, it replaces a used one or one that expired before `now`.
    /// Returns false if all are open.
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

    /// Fails if the node would not be registered.
    pub fn check_join(&self, join: &Join) -> Result<(), JoinRejection> {
        let invite = self.invites.get(&join.invite);
        let invite = invite.ok_or(JoinRejection::Unknown)?;
        if self.has_joined(join) {
            return Ok(());
        }
        if invite.is_used_up() || invite.used_by.contains(&join.node) {
            return Err(JoinRejection::Used);
        }
        if invite.expires <= join.now {
            return Err(JoinRejection::Expired);
        }
        let is_known = self.registrations.contains_key(&join.node);
        let mut others = self.registrations.iter();
        let is_taken = others.any(|(node, other)| *node != join.node && other.name == join.name);
        let fits = join.name.len() <= NAME_SIZE_MAX && join.address.len() <= ADDRESS_SIZE_MAX;
        if !join.name.is_empty() && is_taken {
            Err(JoinRejection::NameTaken)
        } else if !fits || (!is_known && self.registrations.len() >= REGISTRATION_COUNT_MAX) {
            Err(JoinRejection::Bounds)
        } else {
            Ok(())
        }
    }

    /// Registers a joining node. A node that has already joined with the same invite keeps its
    /// registration.
    pub(crate) fn join(&mut self, join: Join, index: LogIndex) -> Result<(), JoinRejection> {
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

    /// Replaces the registration of a node. Returns false if it exceeds a limit.
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

    /// Removes the registration of a node, and records that it was removed.
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

    /// Stores a voucher, if it matches the registration.
    pub(crate) fn vouch(&mut self, voucher: Voucher) {
        let registration = self.registrations.get(&voucher.member.0);
        if registration.is_some_and(|registration| registration.index == voucher.index) {
            self.vouchers.insert(voucher);
        }
    }

    /// A node without a voucher, and the entry that registered it. No node signs a voucher for itself.
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

    /// Whether the node was registered with this invite.
    fn has_joined(&self, join: &Join) -> bool {
        let invite = self.invites.get(&join.invite);
        let is_used = invite.is_some_and(|invite| invite.used_by.contains(&join.node));
        is_used && self.registrations.contains_key(&join.node)
    }
}

#[cfg(test)]
#[path = "node_registry_tests.rs"]
mod tests;
