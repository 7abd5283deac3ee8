//! openraft's types made of ours, and ours of openraft's.
//!
//! By traits of our own: `From` between two types of other crates is not ours to implement.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{
    BasicNode, EntryPayload, ServerState,
    raft::{
        AppendEntriesRequest, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
    vote::{RaftLeaderId, leader_id_std::CommittedLeaderId},
};
use quorate_replica::Role;
use quorate_rpc::message::{self, DecodeError, TransferOutcome};
use quorate_state::{LogIndex, LogPosition, Term};

use super::types::{EncodedCommand, Entry, LogId, Membership, StoredMembership, TypeConfig, Vote};

/// From openraft's type to ours.
pub(crate) trait IntoOurs {
    type Ours;

    fn into_ours(self) -> Self::Ours;
}

/// From our type to openraft's. Where the bytes of a peer or of the disk may say what openraft
/// refuses, the result is one.
pub(crate) trait IntoOpenraft {
    type Openraft;

    fn into_openraft(self) -> Self::Openraft;
}

impl<T: IntoOurs> IntoOurs for Option<T> {
    type Ours = Option<T::Ours>;

    fn into_ours(self) -> Self::Ours {
        self.map(T::into_ours)
    }
}

impl<T: IntoOpenraft> IntoOpenraft for Option<T> {
    type Openraft = Option<T::Openraft>;

    fn into_openraft(self) -> Self::Openraft {
        self.map(T::into_openraft)
    }
}

impl IntoOurs for LogId {
    type Ours = LogPosition;

    fn into_ours(self) -> LogPosition {
        LogPosition {
            term: Term(self.committed_leader_id().term),
            index: LogIndex(self.index()),
        }
    }
}

impl IntoOpenraft for LogPosition {
    type Openraft = LogId;

    fn into_openraft(self) -> LogId {
        LogId::new(CommittedLeaderId::new(self.term.0), self.index.0)
    }
}

impl IntoOurs for Vote {
    type Ours = message::Vote;

    fn into_ours(self) -> message::Vote {
        message::Vote {
            term: Term(self.leader_id().term()),
            node: *self.leader_id().node_id(),
            committed: self.is_committed(),
        }
    }
}

impl IntoOpenraft for message::Vote {
    type Openraft = Vote;

    fn into_openraft(self) -> Vote {
        match self.committed {
            true => Vote::new_committed(self.term.0, self.node),
            false => Vote::new(self.term.0, self.node),
        }
    }
}

impl IntoOurs for &Membership {
    type Ours = message::Membership;

    fn into_ours(self) -> message::Membership {
        let configs = self.get_joint_config().iter();
        let nodes = self.nodes();
        message::Membership {
            configs: configs
                .map(|config| config.iter().copied().collect())
                .collect(),
            nodes: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
        }
    }
}

/// Fails on a membership that openraft refuses, such as one with a voter that is no member.
impl IntoOpenraft for message::Membership {
    type Openraft = Result<Membership, DecodeError>;

    fn into_openraft(self) -> Self::Openraft {
        if self.configs.is_empty() {
            return Ok(Membership::default());
        }
        let configs = self.configs.into_iter();
        let configs: Vec<BTreeSet<_>> =
            configs.map(|config| config.into_iter().collect()).collect();
        let nodes = self.nodes.into_iter();
        let nodes: BTreeMap<_, _> = nodes.map(|(id, addr)| (id, BasicNode { addr })).collect();
        Membership::new(configs, nodes).map_err(|error| DecodeError(error.to_string()))
    }
}

impl IntoOurs for &StoredMembership {
    type Ours = message::StoredMembership;

    fn into_ours(self) -> message::StoredMembership {
        message::StoredMembership {
            position: self.log_id().into_ours(),
            membership: self.membership().into_ours(),
        }
    }
}

impl IntoOpenraft for message::StoredMembership {
    type Openraft = Result<StoredMembership, DecodeError>;

    fn into_openraft(self) -> Self::Openraft {
        let membership = self.membership.into_openraft()?;
        Ok(StoredMembership::new(
            self.position.into_openraft(),
            membership,
        ))
    }
}

impl IntoOurs for Entry {
    type Ours = message::Entry;

    fn into_ours(self) -> message::Entry {
        message::Entry {
            position: self.log_id.into_ours(),
            payload: match self.payload {
                EntryPayload::Blank => message::Payload::Blank,
                EntryPayload::Normal(EncodedCommand(bytes)) => message::Payload::Command(bytes),
                EntryPayload::Membership(new) => message::Payload::Membership(new.into_ours()),
            },
        }
    }
}

impl IntoOpenraft for message::Entry {
    type Openraft = Result<Entry, DecodeError>;

    fn into_openraft(self) -> Self::Openraft {
        let payload = match self.payload {
            message::Payload::Blank => EntryPayload::Blank,
            message::Payload::Command(bytes) => EntryPayload::Normal(EncodedCommand(bytes)),
            message::Payload::Membership(new) => EntryPayload::Membership(new.into_openraft()?),
        };
        Ok(Entry {
            log_id: self.position.into_openraft(),
            payload,
        })
    }
}

impl IntoOurs for AppendEntriesRequest<TypeConfig> {
    type Ours = message::Append;

    fn into_ours(self) -> message::Append {
        message::Append {
            vote: self.vote.into_ours(),
            previous: self.prev_log_id.into_ours(),
            entries: self.entries.into_iter().map(Entry::into_ours).collect(),
            leader_commit: self.leader_commit.into_ours(),
        }
    }
}

impl IntoOpenraft for message::Append {
    type Openraft = Result<AppendEntriesRequest<TypeConfig>, DecodeError>;

    fn into_openraft(self) -> Self::Openraft {
        let entries = self.entries.into_iter();
        Ok(AppendEntriesRequest {
            vote: self.vote.into_openraft(),
            prev_log_id: self.previous.into_openraft(),
            entries: entries
                .map(message::Entry::into_openraft)
                .collect::<Result<_, _>>()?,
            leader_commit: self.leader_commit.into_openraft(),
        })
    }
}

impl IntoOurs for VoteRequest<TypeConfig> {
    type Ours = message::VoteRequest;

    fn into_ours(self) -> message::VoteRequest {
        message::VoteRequest {
            vote: self.vote.into_ours(),
            last_log: self.last_log_id.into_ours(),
            leadership_transfer: self.leadership_transfer,
        }
    }
}

impl IntoOpenraft for message::VoteRequest {
    type Openraft = VoteRequest<TypeConfig>;

    fn into_openraft(self) -> VoteRequest<TypeConfig> {
        VoteRequest {
            vote: self.vote.into_openraft(),
            last_log_id: self.last_log.into_openraft(),
            leadership_transfer: self.leadership_transfer,
        }
    }
}

impl IntoOurs for VoteResponse<TypeConfig> {
    type Ours = message::VoteResponse;

    fn into_ours(self) -> message::VoteResponse {
        message::VoteResponse {
            vote: self.vote.into_ours(),
            granted: self.vote_granted,
            last_log: self.last_log_id.into_ours(),
        }
    }
}

impl IntoOpenraft for message::VoteResponse {
    type Openraft = VoteResponse<TypeConfig>;

    fn into_openraft(self) -> VoteResponse<TypeConfig> {
        VoteResponse {
            vote: self.vote.into_openraft(),
            vote_granted: self.granted,
            last_log_id: self.last_log.into_openraft(),
        }
    }
}

impl IntoOurs for TransferLeaderRequest<TypeConfig> {
    type Ours = message::TransferLeader;

    fn into_ours(self) -> message::TransferLeader {
        message::TransferLeader {
            from: self.from_leader().into_ours(),
            to: *self.to_node_id(),
            last_log: self.last_log_id().copied().into_ours(),
        }
    }
}

impl IntoOpenraft for message::TransferLeader {
    type Openraft = TransferLeaderRequest<TypeConfig>;

    fn into_openraft(self) -> TransferLeaderRequest<TypeConfig> {
        TransferLeaderRequest::new(
            self.from.into_openraft(),
            self.to,
            self.last_log.into_openraft(),
        )
    }
}

impl IntoOurs for TransferLeaderResponse<TypeConfig> {
    type Ours = TransferOutcome;

    fn into_ours(self) -> TransferOutcome {
        match self {
            Ok(()) => TransferOutcome::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                TransferOutcome::VoteChanged {
                    expected: expected.into_ours(),
                    actual: actual.into_ours(),
                }
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                TransferOutcome::LogNotFlushed {
                    expected: expected.into_ours(),
                    actual: actual.into_ours(),
                }
            }
        }
    }
}

impl IntoOpenraft for TransferOutcome {
    type Openraft = TransferLeaderResponse<TypeConfig>;

    fn into_openraft(self) -> Self::Openraft {
        match self {
            Self::Accepted => Ok(()),
            Self::VoteChanged { expected, actual } => Err(TransferLeaderError::VoteChanged {
                expected: expected.into_openraft(),
                actual: actual.into_openraft(),
            }),
            Self::LogNotFlushed { expected, actual } => Err(TransferLeaderError::LogNotFlushed {
                expected: expected.into_openraft(),
                actual: actual.into_openraft(),
            }),
        }
    }
}

impl IntoOurs for ServerState {
    type Ours = Role;

    fn into_ours(self) -> Role {
        match self {
            Self::Leader => Role::Leader,
            Self::Follower => Role::Follower,
            Self::Candidate => Role::Candidate,
            Self::Learner => Role::Learner,
            Self::Shutdown => Role::Stopped,
        }
    }
}
