//! openraft's types, instantiated, and their conversion to and from ours.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use openraft::{
    BasicNode, EntryPayload,
    impls::leader_id_std,
    type_config::alias,
    vote::{RaftLeaderId, leader_id_std::CommittedLeaderId},
};
use quorate_state::{LogIndex, LogPosition, Outcome, Term};

use quorate_rpc::{NodeId, message};

/// A command as it stands in the log: encoded, and opaque to Raft.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EncodedCommand(pub(crate) Bytes);

impl fmt::Debug for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

openraft::declare_raft_types!(
    /// One leader a term, as in the Raft paper, so that a term and an index name an entry.
    pub(crate) TypeConfig:
        D = EncodedCommand,
        R = Option<Outcome>,
        NodeId = NodeId,
        Node = BasicNode,
        Term = u64,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

pub(crate) type LogId = alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = alias::VoteOf<TypeConfig>;
pub(crate) type Entry = alias::EntryOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<NodeId, BasicNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;

pub(crate) fn position(id: &LogId) -> LogPosition {
    LogPosition {
        term: Term(id.committed_leader_id().term),
        index: LogIndex(id.index()),
    }
}

pub(crate) fn log_id(position: LogPosition) -> LogId {
    LogId::new(CommittedLeaderId::new(position.term.0), position.index.0)
}

pub(crate) fn vote(vote: &Vote) -> message::Vote {
    message::Vote {
        term: Term(vote.leader_id().term()),
        node: *vote.leader_id().node_id(),
        committed: vote.is_committed(),
    }
}

pub(crate) fn from_vote(vote: &message::Vote) -> Vote {
    match vote.committed {
        true => Vote::new_committed(vote.term.0, vote.node),
        false => Vote::new(vote.term.0, vote.node),
    }
}

pub(crate) fn membership(membership: &Membership) -> message::Membership {
    message::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|config| config.iter().copied().collect())
            .collect(),
        nodes: membership
            .nodes()
            .map(|(id, node)| (*id, node.addr.clone()))
            .collect(),
    }
}

/// Fails on a membership that openraft refuses, such as one with a voter that is no member.
pub(crate) fn from_membership(
    membership: message::Membership,
) -> Result<Membership, message::DecodeError> {
    let configs: Vec<BTreeSet<_>> = membership
        .configs
        .into_iter()
        .map(|config| config.into_iter().collect())
        .collect();
    if configs.is_empty() {
        return Ok(Membership::default());
    }
    let nodes = membership
        .nodes
        .into_iter()
        .map(|(id, addr)| (id, BasicNode { addr }));
    Membership::new(configs, nodes.collect::<std::collections::BTreeMap<_, _>>())
        .map_err(|error| message::DecodeError(error.to_string()))
}

pub(crate) fn stored_membership(stored: &StoredMembership) -> message::StoredMembership {
    message::StoredMembership {
        position: stored.log_id().as_ref().map(position),
        membership: membership(stored.membership()),
    }
}

pub(crate) fn from_stored_membership(
    stored: message::StoredMembership,
) -> Result<StoredMembership, message::DecodeError> {
    let membership = from_membership(stored.membership)?;
    Ok(StoredMembership::new(
        stored.position.map(log_id),
        membership,
    ))
}

pub(crate) fn entry(entry: Entry) -> message::Entry {
    message::Entry {
        position: position(&entry.log_id),
        payload: match entry.payload {
            EntryPayload::Blank => message::Payload::Blank,
            EntryPayload::Normal(EncodedCommand(bytes)) => message::Payload::Command(bytes),
            EntryPayload::Membership(new) => message::Payload::Membership(membership(&new)),
        },
    }
}

pub(crate) fn from_entry(entry: message::Entry) -> Result<Entry, message::DecodeError> {
    let payload = match entry.payload {
        message::Payload::Blank => EntryPayload::Blank,
        message::Payload::Command(bytes) => EntryPayload::Normal(EncodedCommand(bytes)),
        message::Payload::Membership(new) => EntryPayload::Membership(from_membership(new)?),
    };
    Ok(Entry {
        log_id: log_id(entry.position),
        payload,
    })
}
