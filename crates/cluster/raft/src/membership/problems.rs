//! The errors of administration requests. Nothing has changed when one is returned, unless its text
//! says so.

use std::net::IpAddr;

use quorate_api::{Problem, ProblemType};
use quorate_peer::NodeId;

/// This node does not lead: another one does, or none.
pub(crate) fn no_leader() -> Problem {
    let text = "no leader is known, or it has just changed: retry";
    Problem::new(ProblemType::NoLeader, text)
}

/// No majority answers: these of `voters` voters are silent.
pub(crate) fn majority_lost(voters: usize, silent: &[String]) -> Problem {
    let text = format!(
        "no majority of the voters is left: {} of {voters} voters answer, {} are needed, silent: {}. No \
         change is possible until enough of them are started again, not even with --force. If their disks \
         are gone for good, `quorate recover` makes a new cluster of what is left: read \
         docs/trouble/lost-majority.md",
        voters - silent.len(),
        voters / 2 + 1,
        silent.join(", "),
    );
    Problem::new(ProblemType::MajorityLost, text)
}

pub(crate) fn unknown_node(name: &str) -> Problem {
    let text = format!(
        "no node is called {name:?}: use its name, its key, or the beginning of its key, as listed by \
         `quorate member list`"
    );
    Problem::new(ProblemType::UnknownNode, text)
}

pub(crate) fn ambiguous_node(name: &str, nodes: &[NodeId]) -> Problem {
    let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    let text = format!(
        "{name:?} matches several nodes: {}. Use more of the key",
        nodes.join(", ")
    );
    Problem::new(ProblemType::AmbiguousNode, text)
}

/// The change would leave too few live voters: `live` of `voters`, where `needed` are needed.
pub(crate) fn no_live_quorum(live: usize, needed: usize, voters: usize) -> Problem {
    let text = format!(
        "only {live} of {voters} voters would be alive: no PUT could be accepted, and the change itself \
         could not be completed, until {needed} are; --force starts it nevertheless"
    );
    Problem::new(ProblemType::NoLiveQuorum, text)
}

pub(crate) fn last_voter() -> Problem {
    let text = "it is the only voter, and a cluster needs at least one: promote another node first";
    Problem::new(ProblemType::LastVoter, text)
}

pub(crate) fn busy() -> Problem {
    let text = "another change of the members is in progress: retry";
    Problem::new(ProblemType::Busy, text)
}

/// The node has not caught up, and is silent, so that waiting does not help.
pub(crate) fn not_caught_up() -> Problem {
    let text = "it lacks entries and does not answer: start it, or correct its address";
    Problem::new(ProblemType::NotCaughtUp, text)
}

/// The change is not possible for this node.
pub(crate) fn unsuitable_node(text: impl Into<String>) -> Problem {
    Problem::new(ProblemType::UnsuitableNode, text)
}

/// No other node can dial that address.
pub(crate) fn bad_address(address: &str) -> Problem {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_unspecified = |ip: IpAddr| ip.is_unspecified();
    let text = match host.parse().is_ok_and(is_unspecified) {
        true => format!(
            "{address:?} means another machine on each node: use the address at which other nodes reach it"
        ),
        false => format!("{address:?} is not a valid host:port that other nodes can dial"),
    };
    Problem::new(ProblemType::BadAddress, text)
}

/// A member runs a version that is too old.
pub(crate) fn unsupported() -> Problem {
    let text =
        "a member runs a version of Quorate that does not know this: upgrade all members first";
    Problem::new(ProblemType::UnsupportedLevel, text)
}

/// A learner may not forward requests that concern other nodes.
pub(crate) fn not_a_voter() -> Problem {
    let text = "the node that was asked is a learner, and the leader accepts this only through a voter: ask \
                a voter, as listed by `quorate member list`";
    Problem::new(ProblemType::NotVoter, text)
}

/// The request failed now, and may have taken effect: list the members to see.
pub(crate) fn failed(text: impl Into<String>) -> Problem {
    Problem::new(ProblemType::Unavailable, text)
}

/// The zone would not be valid.
pub(crate) fn zone(rejection: impl ToString) -> Problem {
    Problem::new(ProblemType::RefusedZone, rejection.to_string())
}

/// The policy for publishing or deleting would exceed what the cluster can keep.
pub(crate) fn publishing(rejection: impl ToString) -> Problem {
    Problem::new(ProblemType::RefusedPolicy, rejection.to_string())
}

/// This node was removed. A retry does not help.
pub(crate) fn not_a_member() -> Problem {
    let text = "this node is not a member of the cluster any more: ask another member";
    Problem {
        retry: false,
        ..failed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_and_a_malformed_one_have_different_texts() {
        for address in ["0.0.0.0:7700", "[::]:7700", "0.0.0.0"] {
            let text = bad_address(address).to_string();
            assert!(text.contains("another machine on each node"), "{text}");
        }
        for address in ["", "node1", "node1:0", "::1:7700", "https://node1:7700"] {
            let text = bad_address(address).to_string();
            assert!(text.contains("not a valid host:port"), "{text}");
        }
    }

    /// A change that is forced without a majority is not committed until enough voters are back.
    #[test]
    fn the_text_states_that_a_forced_change_is_not_completed_without_a_majority() {
        assert_eq!(
            no_live_quorum(1, 2, 3).to_string(),
            "only 1 of 3 voters would be alive: no PUT could be accepted, and the change itself could not \
             be completed, until 2 are; --force starts it nevertheless"
        );
    }
}
