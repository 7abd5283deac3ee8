//! Why the leader does not do what it is asked. Nothing has changed then, unless the text says so.

use std::net::IpAddr;

use quorate_api::{Problem, ProblemType};
use quorate_peer::NodeId;

/// Another node leads, or none.
pub(crate) fn no_leader() -> Problem {
    let text = "no leader is known, or it has just changed";
    Problem::new(ProblemType::NoLeader, text)
}

/// Of so many voters these are silent, and with them a majority.
pub(crate) fn majority_lost(voters: usize, silent: &[String]) -> Problem {
    let text = format!(
        "no majority of the voters is left: {} of {voters} voters answer, and {} are needed. Silent: \
         {}. Until enough of them are back no leader is elected, and nothing can be changed, not by \
         --force either: start them, and read \"A lost majority\" in docs/OPERATIONS.md",
        voters - silent.len(),
        voters / 2 + 1,
        silent.join(", "),
    );
    Problem::new(ProblemType::MajorityLost, text)
}

pub(crate) fn unknown_node(name: &str) -> Problem {
    let text = format!(
        "no node is called {name:?}: name it by its key, the beginning of that, or its name, as \
         `quorate member list` has them"
    );
    Problem::new(ProblemType::UnknownNode, text)
}

pub(crate) fn ambiguous_node(name: &str, nodes: &[NodeId]) -> Problem {
    let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    let text = format!("{name:?} may be any of {}", nodes.join(", "));
    Problem::new(ProblemType::AmbiguousNode, text)
}

/// The change would leave too few voters that live: `live` of `voters`, where `needed` are needed.
pub(crate) fn no_live_quorum(live: usize, needed: usize, voters: usize) -> Problem {
    let text = format!(
        "{live} of {voters} voters would be alive: no PUT could be taken, and the change itself could \
         not be completed, until {needed} of them are; --force does it all the same"
    );
    Problem::new(ProblemType::NoLiveQuorum, text)
}

pub(crate) fn last_voter() -> Problem {
    let text = "it is the only voter: a cluster has at least one";
    Problem::new(ProblemType::LastVoter, text)
}

pub(crate) fn busy() -> Problem {
    let text = "another change of the members is under way: ask again";
    Problem::new(ProblemType::Busy, text)
}

/// It has not caught up, and cannot be waited for.
pub(crate) fn not_caught_up() -> Problem {
    let text = "it lacks entries and is not heard: start it, or mend its address";
    Problem::new(ProblemType::NotCaughtUp, text)
}

/// The node is not what the change is for.
pub(crate) fn unsuitable_node(text: impl Into<String>) -> Problem {
    Problem::new(ProblemType::UnsuitableNode, text)
}

/// No other node can dial that.
pub(crate) fn bad_address(address: &str) -> Problem {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_unspecified = |ip: IpAddr| ip.is_unspecified();
    let text = match host.parse().is_ok_and(is_unspecified) {
        true => format!(
            "{address:?} is another machine to each node: name the one where other nodes reach it"
        ),
        false => format!("{address:?} is no host:port that other nodes can dial"),
    };
    Problem::new(ProblemType::BadAddress, text)
}

/// Some member is too old a program.
pub(crate) fn unsupported() -> Problem {
    let text =
        "a member runs a version of Quorate that does not know this: upgrade all members first";
    Problem::new(ProblemType::UnsupportedLevel, text)
}

/// Learners ask the leader for nothing that concerns others.
pub(crate) fn not_a_voter() -> Problem {
    let text = "the node that was asked is a learner, and the leader takes that only through a voter: \
                ask one, `quorate member list` says who votes";
    Problem::new(ProblemType::NotVoter, text)
}

/// It could not be done now, and perhaps was: ask how the members are.
pub(crate) fn failed(text: impl Into<String>) -> Problem {
    Problem::new(ProblemType::Unavailable, text)
}

/// The zone would not be what a zone can be.
pub(crate) fn zone(rejection: impl ToString) -> Problem {
    Problem::new(ProblemType::RefusedZone, rejection.to_string())
}

/// Who may publish, or what was deleted, would not be what the cluster can keep.
pub(crate) fn publishing(rejection: impl ToString) -> Problem {
    Problem::new(ProblemType::RefusedPolicy, rejection.to_string())
}

/// This node was removed. Asking it again changes nothing.
pub(crate) fn not_a_member() -> Problem {
    let text = "the cluster does not know this node as a member any more: ask another member";
    Problem {
        retry: false,
        ..failed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_every_machine_is_told_from_a_malformed_one() {
        for address in ["0.0.0.0:7700", "[::]:7700", "0.0.0.0"] {
            let said = bad_address(address).to_string();
            assert!(said.contains("another machine to each node"), "{said}");
        }
        for address in ["", "node1", "node1:0", "::1:7700", "https://node1:7700"] {
            let said = bad_address(address).to_string();
            assert!(said.contains("no host:port"), "{said}");
        }
    }

    /// A change that is forced without a majority cannot be committed, whoever comes back or not.
    #[test]
    fn nobody_is_advised_to_force_a_change_that_cannot_be_completed() {
        assert_eq!(
            no_live_quorum(1, 2, 3).to_string(),
            "1 of 3 voters would be alive: no PUT could be taken, and the change itself could not be \
             completed, until 2 of them are; --force does it all the same"
        );
    }
}
