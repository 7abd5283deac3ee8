//! Requests and responses in postcard, version 1 of the wire.

mod join;
mod join_token;
mod link;
mod metadata;
mod voucher;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use bytes::Bytes;
use quorate_secrets::ClusterKey;
pub use quorate_state::LogPosition;
use quorate_state::{KeyId, LogIndex, PutOutcome, Term};
use serde::{Deserialize, Serialize};

use crate::NodeId;

pub use join::{JoinAnswer, JoinRequest, Joined};
pub use join_token::{JoinToken, JoinTokenError};
pub use link::{
    Acknowledgements, Admission, DataLoss, Frame, Introduce, Introduction, Link, LinkError,
    LogSummary, Removal, RequestSink, Service, StreamKind, Transport, chain,
};
pub use metadata::{FrameMetadata, NotElectable};
pub use voucher::{is_vouched_for, vouch};

/// The versions of these structs that this node supports. Two nodes use the highest version that both
/// support.
pub const WIRE_VERSIONS: RangeInclusive<u16> = 1..=1;

/// A vote: the term and the node that may lead in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    pub term: Term,
    pub node: NodeId,
    /// Whether a quorum granted it: the node leads.
    pub committed: bool,
}

/// The members of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// One set of voters, or two during a change (joint consensus).
    pub configs: Vec<BTreeSet<NodeId>>,
    /// Every member, voters and learners, with its address.
    pub nodes: BTreeMap<NodeId, String>,
}

/// A membership and its log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMembership {
    /// The entry, or `None` for the empty membership of a pristine node.
    pub position: Option<LogPosition>,
    pub membership: Membership,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub position: LogPosition,
    pub payload: Payload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a new leader's first entry.
    Blank,
    /// An encoded command of `quorate-state`.
    Command(Bytes),
    Membership(Membership),
}

/// From the node that opened a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// AppendEntries; without entries it is a heartbeat.
    Append(Append),
    Vote(VoteRequest),
    /// Asks whether a vote would be granted (Raft thesis, section 9.6).
    PreVote(VoteRequest),
    TransferLeader(TransferLeader),
    /// Propose these packets, with the conditions of some, encoded as in a batch
    /// (`quorate_state::EncodedPackets`).
    Propose(Bytes),
    /// Asks for the index that a linearizable read must have applied.
    ReadIndex,
    /// A snapshot follows, in [`Request::SnapshotChunk`]s. The receiver may have a part of it.
    SnapshotBegin(SnapshotBegin),
    /// The next piece of the snapshot stream. Each is acknowledged; a few may be sent before that.
    SnapshotChunk(Bytes),
    /// The snapshot is complete: install it.
    SnapshotEnd,
    /// Offer a snapshot that reflects at least this entry. Sent by a member whose packets are
    /// damaged.
    PullSnapshot(LogIndex),
    /// The next piece of the snapshot that was offered.
    PullChunk,
    /// On the stream [`Admin`](crate::StreamKind::Admin): a request for the leader, as JSON of
    /// `quorate_api::ForwardedRequest`.
    Admin(Bytes),
    /// On the stream [`Admin`](crate::StreamKind::Admin), from the leader: keep this cluster key, because the
    /// cluster may switch to it.
    KeepKey(ClusterKey),
    /// On the stream [`Admin`](crate::StreamKind::Admin): asks for a cluster key that opens a secret, or that is
    /// in use.
    Key(KeyId),
}

/// To the node that opened the link, one for each request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Append`].
    Append(Appended),
    /// To [`Request::Vote`] and [`Request::PreVote`].
    Vote(VoteResponse),
    /// To [`Request::TransferLeader`].
    TransferLeader(TransferOutcome),
    /// To [`Request::Propose`].
    Proposed(Proposed),
    /// To [`Request::ReadIndex`]: the index, or `None` from a node that does not lead.
    ReadIndex(Option<LogIndex>),
    /// To [`Request::SnapshotBegin`]: the number of pieces that the receiver already has. The next
    /// piece follows them.
    SnapshotBegun(u64),
    /// To [`Request::SnapshotChunk`]: continue.
    SnapshotProgress,
    /// To [`Request::SnapshotEnd`], or early to any part of a snapshot: the receiver's vote.
    SnapshotInstalled(Vote),
    /// The request could not be handled; the text says why.
    Failed(String),
    /// To [`Request::PullSnapshot`].
    SnapshotOffer(SnapshotOffer),
    /// To [`Request::PullChunk`]: a piece of the snapshot stream, or `None` after the last.
    PulledChunk(Option<Bytes>),
    /// To [`Request::Admin`]: an answer or a problem, as JSON.
    Admin(Bytes),
    /// To [`Request::KeepKey`]: the key is on disk.
    KeyKept,
    /// To [`Request::Key`]: the key, if this node has it and the other one may have it.
    Key(Option<ClusterKey>),
}

/// AppendEntries (Raft paper, figure 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    pub vote: Vote,
    /// The entry before `entries`.
    pub previous: Option<LogPosition>,
    pub entries: Vec<Entry>,
    /// The last entry that the leader knows to be committed.
    pub leader_commit: Option<LogPosition>,
}

/// Answer to [`Append`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Appended {
    /// The log is on disk up to this position.
    Flushed(Option<LogPosition>),
    /// The follower has no such entry: send earlier ones.
    Conflict(LogPosition),
    /// The follower has seen a higher vote.
    HigherVote(Vote),
}

/// RequestVote (Raft paper, figure 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRequest {
    pub vote: Vote,
    /// The candidate's last entry.
    pub last_log: Option<LogPosition>,
    /// The leader asked the candidate to start the election.
    pub leadership_transfer: bool,
}

/// Answer to [`VoteRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteResponse {
    pub vote: Vote,
    pub granted: bool,
    /// The voter's last entry.
    pub last_log: Option<LogPosition>,
}

/// A leader hands over (Raft thesis, section 3.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLeader {
    pub from: Vote,
    pub to: NodeId,
    /// The leader's last entry.
    pub last_log: Option<LogPosition>,
}

/// Answer to [`TransferLeader`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferOutcome {
    /// The node starts an election, or does not oppose that of the other node.
    Accepted,
    /// The node follows another vote.
    VoteChanged {
        /// The vote of the request.
        expected: Vote,
        actual: Vote,
    },
    /// The node's log on disk ends earlier.
    LogNotFlushed {
        /// The leader's last entry.
        expected: Option<LogPosition>,
        /// The node's last entry on disk.
        actual: Option<LogPosition>,
    },
}

/// The outcome of a proposal, and the answer to [`Request::Propose`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proposed<T = Vec<PutOutcome>> {
    /// Committed, and applied by the leader.
    Applied {
        position: LogPosition,
        /// The outcome of each packet.
        outcomes: T,
    },
    /// Not appended: this node does not lead, or is stopping.
    Rejected,
    /// Appended, and then leadership was lost: it may or may not be committed.
    Unknown,
}

/// Describes a snapshot. Two from one node with the same last entry are the same, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotBegin {
    pub vote: Vote,
    /// The last entry it reflects.
    pub last_log: Option<LogPosition>,
    /// The members as of that entry.
    pub membership: StoredMembership,
    /// The size of its packets, in bytes. It takes more space on a disk.
    pub packets_size: u64,
}

/// Describes an offered snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotOffer {
    /// The last entry it reflects.
    pub last_log: LogPosition,
    /// The members as of that entry.
    pub membership: StoredMembership,
}

impl Payload {
    const BLANK: u8 = 0;
    const COMMAND: u8 = 1;
    const MEMBERSHIP: u8 = 2;

    /// The payload on disk: `DISK_VERSION`, kind, and either the command's own bytes or the
    /// membership in postcard.
    pub fn encode(&self) -> Bytes {
        let (kind, body) = match self {
            Self::Blank => (Self::BLANK, Bytes::new()),
            Self::Command(bytes) => (Self::COMMAND, bytes.clone()),
            Self::Membership(membership) => (Self::MEMBERSHIP, to_postcard(membership).into()),
        };
        [&[DISK_VERSION, kind], body.as_ref()].concat().into()
    }

    /// Reads what [`encode`](Self::encode) wrote. A command shares the memory of `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        match bytes.get(..2) {
            Some([DISK_VERSION, Self::BLANK]) => Ok(Self::Blank),
            Some([DISK_VERSION, Self::COMMAND]) => Ok(Self::Command(bytes.slice(2..))),
            Some([DISK_VERSION, Self::MEMBERSHIP]) => {
                from_postcard(&bytes[2..]).map(Self::Membership)
            }
            head => Err(DecodeError(format!(
                "an entry begins with {head:?}, which is unknown"
            ))),
        }
    }
}

impl StoredMembership {
    /// The membership on disk: `DISK_VERSION` and postcard.
    pub fn encode(&self) -> Bytes {
        [&[DISK_VERSION], to_postcard(self).as_slice()]
            .concat()
            .into()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((&DISK_VERSION, body)) => from_postcard(body),
            head => Err(DecodeError(format!("a membership begins with {head:?}"))),
        }
    }
}

/// The version of these formats on disk.
const DISK_VERSION: u8 = 1;

fn to_postcard<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain structs always serialise into memory")
}

fn from_postcard<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    postcard::from_bytes(bytes).map_err(|error| DecodeError(error.to_string()))
}

/// Bytes from disk or from a peer that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable: {0}")]
pub struct DecodeError(pub String);

impl From<DecodeError> for std::io::Error {
    fn from(error: DecodeError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
