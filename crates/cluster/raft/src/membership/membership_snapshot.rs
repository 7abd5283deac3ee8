//! The members as their leader knows them at one time: a plain value, from which it decides which
//! changes are possible.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use quorate_api::{Member, MemberRole, MemberState, Problem};
use quorate_peer::{NodeId, NotElectable};
use quorate_state::{LogIndex, NodeRegistry, Registration, millis};

use super::problems::{ambiguous_node, last_voter, no_live_quorum, unknown_node};
use crate::adapters::{Follower, Membership};

/// The most entries that a learner may lack to become a voter: as many as fit in one message. So a
/// quorum that needs the new voter does not wait long.
pub(crate) const CAUGHT_UP_LAG_MAX: u64 = 256;

/// The shortest beginning of a key that identifies a node.
const PREFIX_LEN_MIN: usize = 4;

/// The members as their leader knows them at one time.
#[derive(Debug, Clone)]
pub(crate) struct MembershipSnapshot {
    pub(crate) leader: NodeId,
    pub(crate) membership: Membership,
    pub(crate) node_registry: Arc<NodeRegistry>,
    pub(crate) last_log: LogIndex,
    /// All members but the leader.
    pub(crate) others: BTreeMap<NodeId, Follower>,
    /// Why some nodes should not lead, as they report.
    pub(crate) not_electable: BTreeMap<NodeId, NotElectable>,
    /// A member counts as alive if it was last heard from no longer ago than this.
    pub(crate) silence_max: Duration,
}

impl MembershipSnapshot {
    /// The node that `text` identifies: its key, the beginning of its key, or its name. Only a complete
    /// key finds a node that is not [known](Self::knows). Fails if no node matches, or several.
    pub(crate) fn find(&self, text: &str) -> Result<NodeId, Problem> {
        if let Ok(node) = text.parse() {
            return Ok(node);
        }
        let known = self.nodes();
        let is_named = |node: &&NodeId| !text.is_empty() && self.name(**node) == text;
        let mut nodes: Vec<_> = known.iter().filter(is_named).copied().collect();
        if nodes.is_empty() && text.len() >= PREFIX_LEN_MIN {
            // A removal that is repeated finds the node that is removed already.
            let removed = self.node_registry.removed.keys();
            let keys = known.iter().copied().chain(removed.map(|key| NodeId(*key)));
            let has_prefix = |node: &NodeId| node.to_string().starts_with(text);
            nodes = keys
                .filter(has_prefix)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        match nodes.as_slice() {
            [] => Err(unknown_node(text)),
            [node] => Ok(*node),
            nodes => Err(ambiguous_node(text, nodes)),
        }
    }

    /// Like [`find`](Self::find), but fails if the node is not known.
    pub(crate) fn find_known(&self, text: &str) -> Result<NodeId, Problem> {
        let node = self.find(text)?;
        match self.knows(node) {
            true => Ok(node),
            false => Err(unknown_node(text)),
        }
    }

    /// Whether `node` is a member or registered.
    pub(crate) fn knows(&self, node: NodeId) -> bool {
        self.is_member(node) || self.registration(node).is_some()
    }

    pub(crate) fn registration(&self, node: NodeId) -> Option<&Registration> {
        self.node_registry.registrations.get(&node.0)
    }

    /// The address of `node`; empty if it is not known.
    pub(crate) fn address(&self, node: NodeId) -> String {
        let known = self.membership.nodes.get(&node);
        let registered = || self.registration(node).map(|node| &node.address);
        known.or_else(registered).cloned().unwrap_or_default()
    }

    pub(crate) fn is_member(&self, node: NodeId) -> bool {
        self.membership.nodes.contains_key(&node)
    }

    /// How many entries `node` lacks.
    pub(crate) fn lag(&self, node: NodeId) -> u64 {
        match node == self.leader {
            true => 0,
            false => self.match_index(node).lag_behind(self.last_log),
        }
    }

    /// Whether `node` was heard from recently.
    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        let silence = self.silence(node);
        node == self.leader || silence.is_some_and(|silence| silence <= self.silence_max)
    }

    /// How long ago `node` last acknowledged a heartbeat of this leader.
    pub(crate) fn silence(&self, node: NodeId) -> Option<Duration> {
        self.others.get(&node)?.ack_age
    }

    /// The last entry that the log of `node` shares with the leader's; 0 if none is known.
    pub(crate) fn match_index(&self, node: NodeId) -> LogIndex {
        let other = self.others.get(&node);
        other.map_or(LogIndex(0), |other| other.match_index)
    }

    /// The registration of `node`, or a new one if it is not registered.
    pub(crate) fn registration_to_change(&self, node: NodeId) -> Registration {
        let known = self.registration(node).cloned();
        known.unwrap_or_else(|| Registration {
            address: self.address(node),
            has_data: self.has_entries(node),
            ..Registration::default()
        })
    }

    /// Whether `node` is alive and lacks only a few entries.
    pub(crate) fn has_caught_up(&self, node: NodeId) -> bool {
        self.has_entries(node) && self.lag(node) <= CAUGHT_UP_LAG_MAX && self.is_live(node)
    }

    /// Whether `node` is known to have entries in its log.
    pub(crate) fn has_entries(&self, node: NodeId) -> bool {
        node == self.leader || self.match_index(node) > LogIndex(0)
    }

    /// Fails if no majority of `voters` is alive.
    pub(crate) fn check_quorum(&self, voters: &BTreeSet<NodeId>) -> Result<(), Problem> {
        let live = voters.iter().filter(|node| self.is_live(**node)).count();
        let needed = voters.len() / 2 + 1;
        match voters.len() {
            0 => Err(last_voter()),
            _ if live >= needed => Ok(()),
            voters => Err(no_live_quorum(live, needed, voters)),
        }
    }

    /// All members and all registered nodes, in the order of their keys.
    pub(crate) fn nodes(&self) -> BTreeSet<NodeId> {
        let members = self.membership.nodes.keys().copied();
        let registered = self
            .node_registry
            .registrations
            .keys()
            .map(|key| NodeId(*key));
        members.chain(registered).collect()
    }

    /// The name of `node` for operators; the beginning of its key if it has no name.
    pub(crate) fn label(&self, node: NodeId) -> String {
        match self.name(node) {
            "" => node.to_string().chars().take(2 * PREFIX_LEN_MIN).collect(),
            name => name.to_owned(),
        }
    }

    fn name(&self, node: NodeId) -> &str {
        let registration = self.registration(node);
        registration.map_or("", |registration| &registration.name)
    }

    pub(crate) fn member(&self, node: NodeId) -> Member {
        Member {
            node: node.to_string(),
            name: self.name(node).to_owned(),
            address: self.address(node),
            role: match self.membership.is_voter(node) {
                true => MemberRole::Voter,
                false => MemberRole::Learner,
            },
            state: self.state(node),
            lag: self.is_member(node).then(|| self.lag(node)),
            last_heard_ms: match node == self.leader {
                true => Some(0),
                false => self.silence(node).map(millis),
            },
            level: None,
            level_hold: false,
            not_electable: self
                .not_electable(node)
                .reasons()
                .map(|(word, _)| word.to_owned())
                .collect(),
        }
    }

    /// Why `node` should not lead.
    pub(crate) fn not_electable(&self, node: NodeId) -> NotElectable {
        self.not_electable.get(&node).copied().unwrap_or_default()
    }

    fn state(&self, node: NodeId) -> MemberState {
        if node == self.leader {
            MemberState::Leader
        } else if !self.is_member(node) {
            MemberState::Pending
        } else if !self.is_live(node) {
            MemberState::Silent
        } else if !self.has_caught_up(node) {
            MemberState::CatchingUp
        } else {
            MemberState::Live
        }
    }
}

/// Warnings for the operator about this number of voters.
pub(crate) fn warnings(voters: &BTreeSet<NodeId>) -> Vec<String> {
    let count = voters.len();
    match count % 2 {
        0 => vec![format!(
            "{count} voters survive the loss of no more nodes than {} would: use an odd number",
            count - 1
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "membership_snapshot_tests.rs"]
mod tests;
