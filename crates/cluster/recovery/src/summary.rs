//! What a survivor has, in a form that can be copied to another machine.

use quorate_state::LogPosition;
use serde::{Deserialize, Serialize};

/// What a node of the old cluster has. It travels as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// The version of this form: 1.
    pub version: u32,
    /// The data directory, on the machine where it was read.
    pub dir: String,
    /// The id of the node, if its key file is readable.
    pub node: Option<String>,
    /// The id of its cluster, in hex; empty if nothing readable has it.
    pub cluster: String,
    pub vote: Option<SummaryVote>,
    /// The last entry in the packets on disk.
    pub applied: Option<LogPosition>,
    /// The number of those packets.
    pub packet_count: u64,
    /// The hash of those packets, in hex; empty if they cannot be read.
    pub packets_hash: String,
    /// The last entry that the node knew to be committed.
    pub committed: Option<LogPosition>,
    /// The last entry that can be read, in the log or in the packets.
    pub last: Option<LogPosition>,
    /// The last entry that is in the files but cannot be used, because something before it is damaged or
    /// missing.
    pub unreachable: Option<LogPosition>,
    /// How many packets are in readable entries after the committed one. Their publishers may have been told
    /// that they are stored, or not.
    pub uncommitted_packets: u64,
    /// The cluster time of the last readable command that has one, in milliseconds since 1970.
    pub cluster_time_ms: Option<u64>,
    /// What is wrong with the log.
    pub log_damage: Option<String>,
    /// What is wrong with the packets on disk.
    pub store_damage: Option<String>,
    /// The voters by the last membership that the node knew: one set, or two during a change of the members
    /// (Raft paper, section 6).
    pub voters: Vec<Vec<String>>,
}

/// The vote of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SummaryVote {
    pub term: u64,
    /// The node that it voted for.
    pub node: String,
    /// Whether that node won the election.
    pub committed: bool,
}

impl Summary {
    /// The version that this program writes and reads.
    pub const VERSION: u32 = 1;

    /// Whether nothing of it is damaged.
    pub fn is_intact(&self) -> bool {
        self.log_damage.is_none() && self.store_damage.is_none()
    }

    /// The highest term that the node knows.
    pub fn term_max(&self) -> u64 {
        let of = |position: Option<LogPosition>| position.map_or(0, |position| position.term.0);
        let vote = self.vote.as_ref().map_or(0, |vote| vote.term);
        [self.last, self.unreachable, self.committed]
            .map(of)
            .into_iter()
            .fold(vote, u64::max)
    }

    /// The highest index that the node knows.
    pub fn index_max(&self) -> u64 {
        let of = |position: Option<LogPosition>| position.map_or(0, |position| position.index.0);
        let known = [self.last, self.unreachable, self.committed];
        known.map(of).into_iter().max().unwrap_or_default()
    }
}
