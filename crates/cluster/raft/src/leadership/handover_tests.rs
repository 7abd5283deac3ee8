use quorate_replica::Role;
use quorate_state::LogIndex;

use super::*;

const SILENCE_MAX: Duration = Duration::from_millis(200);

/// A leader's view of followers: the last entry that each has, and how many milliseconds ago it
/// answered.
fn view(followers: &[(u64, Option<u64>)]) -> RaftView {
    let followers = (2..).zip(followers);
    RaftView {
        role: Role::Leader,
        term: Term(1),
        leader: None,
        last_log: LogIndex(100),
        committed: LogIndex(100),
        applied: LogIndex(100),
        checkpoint: LogIndex(0),
        purged: LogIndex(0),
        voters: (1..=10).map(NodeId::from).collect(),
        followers: followers
            .map(|(number, (match_index, ack_age_ms))| Follower {
                node: NodeId::from(number),
                match_index: LogIndex(*match_index),
                ack_age: ack_age_ms.map(Duration::from_millis),
            })
            .collect(),
        quorum_ack_age: None,
        knows_committed: false,
        leader_contact_age: Duration::ZERO,
        failure: None,
    }
}

fn node_ids(numbers: &[u64]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId::from).collect()
}

#[test]
fn the_voter_with_most_of_the_log_is_asked_first() {
    let view = view(&[(98, Some(0)), (100, Some(0)), (99, Some(0))]);
    let all = successors(&view, SILENCE_MAX, |_| true);
    assert_eq!(all, node_ids(&[3, 4, 2]));
}

#[test]
fn a_silent_voter_is_not_asked() {
    let view = view(&[(100, None), (100, Some(200)), (90, Some(199))]);
    let alive = successors(&view, SILENCE_MAX, |_| true);
    assert_eq!(alive, node_ids(&[4]));
}

#[test]
fn a_voter_that_may_not_lead_is_not_asked() {
    let view = view(&[(100, Some(0)), (90, Some(0))]);
    let chosen = successors(&view, SILENCE_MAX, |follower| follower.match_index.0 < 95);
    assert_eq!(chosen, node_ids(&[3]));
    assert!(successors(&view, SILENCE_MAX, |_| false).is_empty());
}
