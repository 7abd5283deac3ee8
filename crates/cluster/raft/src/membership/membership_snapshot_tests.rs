use quorate_packet::PublicKey;

use super::*;

const SILENCE_MAX: Duration = Duration::from_secs(1);

fn node(byte: u8) -> NodeId {
    NodeId(PublicKey::from_bytes([byte; 32]))
}

fn nodes(bytes: &[u8]) -> BTreeSet<NodeId> {
    bytes.iter().copied().map(node).collect()
}

/// Node 1 leads voters 1 to 3; 3 is silent. 4 is a learner that lacks 1,000 entries, and 5 is
/// registered.
fn membership_snapshot() -> MembershipSnapshot {
    let member = |byte| (node(byte), format!("node{byte}:7700"));
    let voter = |byte, match_index, silence_ms: Option<u64>| {
        let follower = Follower {
            node: node(byte),
            match_index: LogIndex(match_index),
            ack_age: silence_ms.map(Duration::from_millis),
        };
        (follower.node, follower)
    };
    let registration = |byte: u8| Registration {
        name: format!("n{byte}"),
        address: format!("new{byte}:7700"),
        ..Registration::default()
    };
    MembershipSnapshot {
        leader: node(1),
        membership: Membership {
            configs: vec![nodes(&[1, 2, 3])],
            nodes: (1..=4).map(member).collect(),
            ..Membership::default()
        },
        node_registry: Arc::new(NodeRegistry {
            registrations: [4, 5].map(|byte| (node(byte).0, registration(byte))).into(),
            ..NodeRegistry::default()
        }),
        last_log: LogIndex(2000),
        others: [
            voter(2, 1999, Some(10)),
            voter(3, 1999, Some(5_000)),
            voter(4, 1000, Some(10)),
        ]
        .into(),
        not_electable: BTreeMap::new(),
        silence_max: SILENCE_MAX,
    }
}

#[test]
fn members_are_listed_with_what_the_leader_knows() {
    use MemberState::{CatchingUp, Leader, Live, Pending, Silent};
    let snapshot = membership_snapshot();
    let nodes = snapshot.nodes().into_iter();
    let listed: Vec<_> = nodes.map(|node| snapshot.member(node)).collect();
    let states: Vec<_> = listed.iter().map(|member| member.state).collect();
    assert_eq!(states, [Leader, Live, Silent, CatchingUp, Pending]);
    let lags: Vec<_> = listed.iter().map(|member| member.lag).collect();
    assert_eq!(lags, [Some(0), Some(1), Some(1), Some(1000), None]);
    assert_eq!(
        listed[3].address, "node4:7700",
        "the address in the membership is used"
    );
    assert_eq!(listed[4].address, "new5:7700");
    assert_eq!(listed[4].name, "n5");
}

#[test]
fn a_node_is_found_by_its_key_a_prefix_of_it_or_its_name() {
    let snapshot = membership_snapshot();
    let key = node(4).to_string();
    for text in [key.as_str(), &key[..8], "n4"] {
        assert_eq!(snapshot.find_known(text), Ok(node(4)), "{text}");
    }
    let unknown = node(9);
    let text = unknown.to_string();
    assert_eq!(snapshot.find(&text), Ok(unknown));
    assert_eq!(snapshot.find_known(&text), Err(unknown_node(&text)));
    for text in ["", &key[..3], "n6"] {
        assert_eq!(snapshot.find(text), Err(unknown_node(text)));
    }
}

#[test]
fn a_prefix_that_two_nodes_share_is_ambiguous() {
    let mut snapshot = membership_snapshot();
    let mut twin = *node(4).0.as_bytes();
    twin[31] ^= 1;
    let twin = NodeId(PublicKey::from_bytes(twin));
    snapshot.membership.nodes.insert(twin, String::new());
    let begin = &node(4).to_string()[..8];
    let mut nodes = [node(4), twin];
    nodes.sort();
    assert_eq!(snapshot.find(begin), Err(ambiguous_node(begin, &nodes)));
}

#[test]
fn a_change_needs_a_live_majority() {
    let snapshot = membership_snapshot();
    assert_eq!(snapshot.check_quorum(&nodes(&[1, 2, 3])), Ok(()));
    assert_eq!(
        snapshot.check_quorum(&nodes(&[1, 3])),
        Err(no_live_quorum(1, 2, 2))
    );
    assert_eq!(snapshot.check_quorum(&BTreeSet::new()), Err(last_voter()));
}

#[test]
fn a_node_without_entries_has_not_caught_up_even_with_a_short_log() {
    let mut snapshot = membership_snapshot();
    snapshot.last_log = LogIndex(5);
    assert!(!snapshot.has_caught_up(node(5)));
    let other = snapshot.others.get_mut(&node(4)).unwrap();
    other.match_index = LogIndex(0);
    assert!(!snapshot.has_caught_up(node(4)));
    snapshot.others.get_mut(&node(4)).unwrap().match_index = LogIndex(4);
    assert!(snapshot.has_caught_up(node(4)));
    assert!(!snapshot.has_caught_up(node(3)), "it is silent");
}

#[test]
fn an_even_number_of_voters_causes_a_warning() {
    assert!(warnings(&nodes(&[1, 2, 3])).is_empty());
    assert_eq!(warnings(&nodes(&[1, 2])).len(), 1);
}
