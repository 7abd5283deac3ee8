//! What operators ask of a cluster, and what it answers. Any node takes it and asks the leader.
//!
//! An operator names a node by its key, by the beginning of its key, or by its name.

use std::net::IpAddr;

use bytes::Bytes;
use quorate_state::{InviteId, Join, JoinRefusal, Level, LogIndex, UnixMillis};
use serde::{Deserialize, Serialize};

use quorate_state::NodeId;

/// What an operator asks of the leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// How the members are.
    Members,
    /// Let a node join that proves to have the secret of this public key.
    Invite {
        /// What names the invite.
        id: InviteId,
        /// The public key.
        key: [u8; 32],
        /// How long it is good for, in seconds.
        valid_secs: u64,
        /// Whether the node stays a learner.
        stays_learner: bool,
    },
    /// A node has proved that it has a token: register it.
    Join(JoinCall),
    /// Change the members.
    Change {
        /// How.
        change: Change,
        /// Also if no live quorum is left.
        force: bool,
    },
    /// Hand leadership to this node, or to the fittest.
    Transfer(Option<String>),
    /// A member says what its operator calls it.
    Name {
        /// The member.
        node: NodeId,
        /// The name.
        name: String,
    },
    /// Change the replicated records of a zone: an encoded `quorate_state::ZoneChange`.
    ChangeZone(Bytes),
    /// Change who may publish: an encoded `quorate_state::PublishChange`.
    ChangePublishing(Bytes),
    /// Delete the packet of a key.
    DeletePacket {
        /// The key.
        key: [u8; 32],
        /// For how long it may not publish then, in milliseconds. Zero lifts a block, and `None` leaves
        /// it as it is.
        block_ms: Option<u64>,
    },
}

impl Request {
    /// The feature level that a leader must support to know it.
    pub fn level(&self) -> Level {
        match self {
            Self::ChangeZone(_) => Level::ZONES,
            Self::ChangePublishing(_) | Self::DeletePacket { .. } => Level::PUBLISHING,
            _ => Level::MEMBERS,
        }
    }
}

/// A node that joins, as the member tells the leader that has verified its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinCall {
    /// The invite.
    pub invite: InviteId,
    /// The node.
    pub node: NodeId,
    /// What its operator calls it.
    pub name: String,
    /// Where it is.
    pub address: String,
}

impl JoinCall {
    /// The command, at the cluster's time.
    pub fn at(self, now: UnixMillis) -> Join {
        Join {
            invite: self.invite,
            node: self.node.0,
            name: self.name,
            address: self.address,
            now,
        }
    }
}

/// A change of the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Make a learner a voter once it has caught up.
    Promote(String),
    /// Make a voter a learner, which it stays.
    Demote(String),
    /// Have it be no member any more.
    Remove(String),
    /// Put a node in the place of a voter, in one step once it has caught up, and remove the voter.
    Replace {
        /// The voter.
        old: String,
        /// Registered, a learner or a voter already.
        new: String,
    },
    /// It is elsewhere now.
    Move {
        /// The node.
        node: String,
        /// A `host:port`.
        address: String,
    },
}

/// What the leader answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Members`].
    Members(Members),
    /// To [`Request::Invite`]: when it expires.
    Invited(UnixMillis),
    /// To [`Request::Join`].
    Joined(Result<(), JoinRefusal>),
    /// To [`Request::Change`].
    Changed(Changed),
    /// To [`Request::Transfer`]: who leads now.
    Transferred(NodeId),
    /// It does not do it.
    Refused(Refusal),
    /// To [`Request::Name`].
    Named,
    /// To [`Request::ChangeZone`]: the zone is so from this entry on.
    ZoneChanged(LogIndex),
    /// To [`Request::ChangePublishing`]: it is so from this entry on.
    PublishingChanged(LogIndex),
    /// To [`Request::DeletePacket`].
    PacketDeleted {
        /// From this entry on it is gone.
        index: LogIndex,
        /// Whether there was one.
        existed: bool,
    },
}

/// All members, and nodes that shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The leader that says it.
    pub leader: NodeId,
    /// In the order of their keys.
    pub members: Vec<Member>,
}

/// A member, or a node that shall be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its key.
    pub node: NodeId,
    /// What its operator calls it, or nothing.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Its part.
    pub role: MemberRole,
    /// How it is.
    pub state: MemberState,
    /// How many entries it lacks, if the leader knows.
    pub lag: Option<u64>,
    /// How long ago the leader last heard of it, in milliseconds, if it has.
    pub silent_ms: Option<u64>,
}

/// The part that a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRole {
    /// It votes.
    Voter,
    /// It has all entries and does not vote.
    Learner,
}

/// How a member is, as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// It leads.
    Leader,
    /// It is heard, and has what the leader has.
    Live,
    /// It is heard, and gets what it lacks.
    CatchingUp,
    /// It was not heard for three of the longest election timeouts.
    Silent,
    /// It is registered, and no member yet.
    Pending,
}

/// What has come of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The node that it was about; of a replacement the new one.
    pub node: NodeId,
    /// How many entries it lacks yet: the change waits for that, and should be asked for again. `None`
    /// when the change is made.
    pub lag: Option<u64>,
    /// What an operator should know, such as an even number of voters.
    pub warnings: Vec<String>,
}

/// Why the leader does not do what is asked. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Another node leads, or none.
    #[error("no leader is known, or it has just changed")]
    NoLeader,
    /// No node is called so.
    #[error(
        "no node is called {0:?}: name it by its key, the beginning of that, or its name, as \
         `quorate member list` has them"
    )]
    UnknownNode(String),
    /// Several are.
    #[error("{name:?} may be any of {}", list(nodes))]
    AmbiguousNode {
        /// What was asked for.
        name: String,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// The change would leave too few voters that live.
    #[error(
        "{live} of {voters} voters would be alive: no PUT could be taken, and the change itself could \
         not be completed, until {needed} of them are; --force does it all the same"
    )]
    NoLiveQuorum {
        /// How many voters would be alive.
        live: usize,
        /// How many would be needed.
        needed: usize,
        /// How many voters there would be.
        voters: usize,
    },
    /// It is the only voter.
    #[error("it is the only voter: a cluster has at least one")]
    LastVoter,
    /// Another change is under way.
    #[error("another change of the members is under way: ask again")]
    Busy,
    /// It has not caught up, and cannot be waited for.
    #[error("it lacks entries and is not heard: start it, or mend its address")]
    NotCaughtUp,
    /// The node is not what the change is for.
    #[error("{0}")]
    Unfit(String),
    /// No other node can dial that.
    #[error("{}", fault(.0))]
    BadAddress(String),
    /// As many invites are open as the cluster keeps.
    #[error("as many tokens are open as the cluster keeps: wait until some have expired")]
    InviteCount,
    /// Some member is too old a program.
    #[error(
        "a member runs a version of Quorate that does not know this: upgrade all members first"
    )]
    Unsupported,
    /// It could not be done now, and perhaps was: ask how the members are.
    #[error("{0}")]
    Failed(String),
    /// The zone would not be what a zone can be.
    #[error("{0}")]
    Zone(String),
    /// Who may publish, or what was deleted, would not be what the cluster can keep.
    #[error("{0}")]
    Publishing(String),
}

/// Why nobody dials this address.
fn fault(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_unspecified = |ip: IpAddr| ip.is_unspecified();
    match host.parse().is_ok_and(is_unspecified) {
        true => format!(
            "{address:?} is another machine to each node: name the one where other nodes reach it"
        ),
        false => format!("{address:?} is no host:port that other nodes can dial"),
    }
}

fn list(nodes: &[NodeId]) -> String {
    let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    nodes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_every_machine_is_told_from_a_malformed_one() {
        for address in ["0.0.0.0:7700", "[::]:7700", "0.0.0.0"] {
            let said = Refusal::BadAddress(address.to_owned()).to_string();
            assert!(said.contains("another machine to each node"), "{said}");
        }
        for address in ["", "node1", "node1:0", "::1:7700", "https://node1:7700"] {
            let said = Refusal::BadAddress(address.to_owned()).to_string();
            assert!(said.contains("no host:port"), "{said}");
        }
    }

    /// A change that is forced without a majority cannot be committed, whoever comes back or not.
    #[test]
    fn nobody_is_advised_to_force_a_change_that_cannot_be_completed() {
        let refusal = Refusal::NoLiveQuorum {
            live: 1,
            needed: 2,
            voters: 3,
        };
        assert_eq!(
            refusal.to_string(),
            "1 of 3 voters would be alive: no PUT could be taken, and the change itself could not be \
             completed, until 2 of them are; --force does it all the same"
        );
    }
}
