//! openraft's types with our type parameters.

use std::fmt;

use bytes::Bytes;
use openraft::{impls::leader_id_std, type_config::alias};
use quorate_peer::NodeId;
use quorate_state::Outcome;

/// A command as it is stored in the log: encoded, and opaque to Raft.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EncodedCommand(pub(crate) Bytes);

impl fmt::Debug for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    /// One leader per term, as in the Raft paper, so that a term and an index identify an entry.
    /// The data of a node is its address.
    pub(crate) TypeConfig:
        D = EncodedCommand,
        R = Option<Outcome>,
        NodeId = NodeId,
        Node = String,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<NodeId, String>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
