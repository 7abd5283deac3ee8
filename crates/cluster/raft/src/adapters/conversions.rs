//! Conversions between openraft's types and ours.
//!
//! With traits of our own: Rust does not let us implement `From` between two types of other crates.

use openraft::{
    EntryPayload,
    raft::{TransferLeaderError, TransferLeaderResponse, VoteRequest, VoteResponse},
    vote::{RaftLeaderId, leader_id_std::CommittedLeaderId},
};
use quorate_peer::message::{self, DecodeError, TransferOutcome};
use quorate_state::{LogIndex, LogPosition, Term};

use super::types::{EncodedCommand, Entry, LogId, Membership, StoredMembership, TypeConfig, Vote};

/// From openraft's type to ours.
pub(crate) trait IntoOurs<Ours> {
    fn into_ours(self) -> Ours;
}

/// From our type to openraft's. `Theirs` is a `Result` where bytes of a peer or of the disk may
/// have a value that openraft rejects.
pub(crate) trait IntoOpenraft<Theirs> {
    fn into_openraft(self) -> Theirs;
}

impl<T: IntoOurs<Ours>, Ours> IntoOurs<Option<Ours>> for Option<T> {
    fn into_ours(self) -> Option<Ours> {
        self.map(T::into_ours)
    }
}

impl<T: IntoOpenraft<Theirs>, Theirs> IntoOpenraft<Option<Theirs>> for Option<T> {
    fn into_openraft(self) -> Option<Theirs> {
        self.map(T::into_openraft)
    }
}

impl IntoOurs<LogPosition> for LogId {
    fn into_ours(self) -> LogPosition {
        LogPosition {
            term: Term(self.committed_leader_id().term),
            index: LogIndex(self.index()),
        }
    }
}

impl IntoOpenraft<LogId> for LogPosition {
    fn into_openraft(self) -> LogId {
        LogId::new(CommittedLeaderId::new(self.term.0), self.index.0)
    }
}

impl IntoOurs<message::Vote> for Vote {
    fn into_ours(self) -> message::Vote {
        message::Vote {
            term: Term(self.leader_id().term()),
            node: *self.leader_id().node_id(),
            committed: self.is_committed(),
        }
    }
}

impl IntoOpenraft<Vote> for message::Vote {
    fn into_openraft(self) -> Vote {
        match self.committed {
            true => Vote::new_committed(self.term.0, self.node),
            false => Vote::new(self.term.0, self.node),
        }
    }
}

impl IntoOurs<message::Membership> for &Membership {
    fn into_ours(self) -> message::Membership {
        let nodes = self.nodes().map(|(id, address)| (*id, address.clone()));
        message::Membership {
            configs: self.get_joint_config().clone(),
            nodes: nodes.collect(),
        }
    }
}

/// Fails on a membership that openraft rejects, such as one with a voter that is not a member.
impl IntoOpenraft<Result<Membership, DecodeError>> for message::Membership {
    fn into_openraft(self) -> Result<Membership, DecodeError> {
        if self.configs.is_empty() {
            return Ok(Membership::default());
        }
        let membership = Membership::new(self.configs, self.nodes);
        membership.map_err(|error| DecodeError(error.to_string()))
    }
}

impl IntoOurs<message::StoredMembership> for &StoredMembership {
    fn into_ours(self) -> message::StoredMembership {
        message::StoredMembership {
            position: self.log_id().into_ours(),
            membership: self.membership().into_ours(),
        }
    }
}

impl IntoOpenraft<Result<StoredMembership, DecodeError>> for message::StoredMembership {
    fn into_openraft(self) -> Result<StoredMembership, DecodeError> {
        let (position, membership) = (self.position, self.membership.into_openraft()?);
        Ok(StoredMembership::new(position.into_openraft(), membership))
    }
}

impl IntoOurs<message::Entry> for Entry {
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

impl IntoOpenraft<Result<Entry, DecodeError>> for message::Entry {
    fn into_openraft(self) -> Result<Entry, DecodeError> {
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

impl IntoOurs<message::VoteRequest> for VoteRequest<TypeConfig> {
    fn into_ours(self) -> message::VoteRequest {
        message::VoteRequest {
            vote: self.vote.into_ours(),
            last_log: self.last_log_id.into_ours(),
            leadership_transfer: self.leadership_transfer,
        }
    }
}

impl IntoOpenraft<VoteRequest<TypeConfig>> for message::VoteRequest {
    fn into_openraft(self) -> VoteRequest<TypeConfig> {
        VoteRequest {
            vote: self.vote.into_openraft(),
            last_log_id: self.last_log.into_openraft(),
            leadership_transfer: self.leadership_transfer,
        }
    }
}

impl IntoOurs<message::VoteResponse> for VoteResponse<TypeConfig> {
    fn into_ours(self) -> message::VoteResponse {
        message::VoteResponse {
            vote: self.vote.into_ours(),
            granted: self.vote_granted,
            last_log: self.last_log_id.into_ours(),
        }
    }
}

impl IntoOpenraft<VoteResponse<TypeConfig>> for message::VoteResponse {
    fn into_openraft(self) -> VoteResponse<TypeConfig> {
        VoteResponse {
            vote: self.vote.into_openraft(),
            vote_granted: self.granted,
            last_log_id: self.last_log.into_openraft(),
        }
    }
}

impl IntoOurs<TransferOutcome> for TransferLeaderResponse<TypeConfig> {
    fn into_ours(self) -> TransferOutcome {
        match self {
            Ok(()) => TransferOutcome::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                let (expected, actual) = (expected.into_ours(), actual.into_ours());
                TransferOutcome::VoteChanged { expected, actual }
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                let (expected, actual) = (expected.into_ours(), actual.into_ours());
                TransferOutcome::LogNotFlushed { expected, actual }
            }
        }
    }
}

impl IntoOpenraft<TransferLeaderResponse<TypeConfig>> for TransferOutcome {
    fn into_openraft(self) -> TransferLeaderResponse<TypeConfig> {
        Err(match self {
            Self::Accepted => return Ok(()),
            Self::VoteChanged { expected, actual } => {
                let (expected, actual) = (expected.into_openraft(), actual.into_openraft());
                TransferLeaderError::VoteChanged { expected, actual }
            }
            Self::LogNotFlushed { expected, actual } => {
                let (expected, actual) = (expected.into_openraft(), actual.into_openraft());
                TransferLeaderError::LogNotFlushed { expected, actual }
            }
        })
    }
}
