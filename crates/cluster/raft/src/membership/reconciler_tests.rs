use std::collections::{BTreeMap, BTreeSet};

use quorate_packet::PublicKey;
use quorate_state::NodeRegistry;

use super::*;
use crate::adapters::{Follower, Membership};

fn node(byte: u8) -> NodeId {
    NodeId(PublicKey::from_bytes([byte; 32]))
}

fn nodes(bytes: &[u8]) -> BTreeSet<NodeId> {
    bytes.iter().copied().map(node).collect()
}

/// Node 1 leads these voters and learners. All are alive, have all entries, and are registered.
fn membership_snapshot(voters: &[u8], learners: &[u8]) -> MembershipSnapshot {
    let members = || voters.iter().chain(learners).copied();
    let others = members().filter(|byte| *byte != 1).map(|byte| {
        let other = Follower {
            node: node(byte),
            match_index: LogIndex(100),
            ack_age: Some(Duration::ZERO),
        };
        (other.node, other)
    });
    let registered = members().map(|byte| {
        let registration = Registration {
            address: format!("node{byte}:7700"),
            has_data: true,
            stays_learner: learners.contains(&byte),
            ..Registration::default()
        };
        (node(byte).0, registration)
    });
    MembershipSnapshot {
        leader: node(1),
        membership: Membership {
            is_committed: true,
            configs: vec![nodes(voters)],
            nodes: members()
                .map(|byte| (node(byte), format!("node{byte}:7700")))
                .collect(),
            ..Membership::default()
        },
        node_registry: Arc::new(NodeRegistry {
            registrations: registered.collect(),
            ..NodeRegistry::default()
        }),
        last_log: LogIndex(100),
        others: others.collect::<BTreeMap<_, _>>(),
        not_electable: BTreeMap::new(),
        silence_max: Duration::from_secs(1),
    }
}

impl MembershipSnapshot {
    fn registered(mut self, byte: u8, change: impl FnOnce(&mut Registration)) -> Self {
        let node_registry = Arc::make_mut(&mut self.node_registry);
        change(node_registry.registrations.entry(node(byte).0).or_default());
        self
    }

    fn unregistered(mut self, byte: u8) -> Self {
        let node_registry = Arc::make_mut(&mut self.node_registry);
        node_registry.registrations.remove(&node(byte).0);
        self
    }

    fn silent(mut self, byte: u8, secs: u64) -> Self {
        let other = self.others.get_mut(&node(byte)).unwrap();
        other.ack_age = Some(Duration::from_secs(secs));
        self
    }
}

fn step(snapshot: &MembershipSnapshot) -> Option<Step> {
    membership_step(snapshot, true)
}

#[test]
fn the_desired_membership_needs_no_step() {
    assert_eq!(step(&membership_snapshot(&[1, 2, 3], &[4])), None);
}

#[test]
fn an_unfinished_change_is_completed_first() {
    let mut half = membership_snapshot(&[1, 2, 3], &[4]).unregistered(4);
    half.membership.configs.push(nodes(&[1, 2]));
    assert_eq!(membership_step(&half, false), Some(Step::LeaveJoint));
    half.membership.is_committed = false;
    assert_eq!(step(&half), None, "it may be committed yet");
}

#[test]
fn a_registered_node_becomes_a_learner_and_then_a_voter() {
    let pending =
        membership_snapshot(&[1], &[]).registered(2, |it| it.address = "new:7700".to_owned());
    let taken_in = Step::AddLearner(node(2), "new:7700".to_owned());
    assert_eq!(step(&pending), Some(taken_in));
    let wants = |it: &mut Registration| it.stays_learner = false;
    let mut learner = membership_snapshot(&[1], &[2]).registered(2, wants);
    assert_eq!(step(&learner), Some(Step::Promote(node(2))));
    learner.last_log = LogIndex(1000);
    assert_eq!(step(&learner), None, "it lacks entries");
    learner.last_log = LogIndex(100);
    assert_eq!(step(&learner.silent(2, 5)), None, "it does not answer");
}

#[test]
fn a_node_is_vouched_for_before_it_is_a_member() {
    let joins = |it: &mut Registration| it.index = LogIndex(50);
    let pending = membership_snapshot(&[1], &[]).registered(2, joins);
    assert_eq!(step(&pending), Some(Step::Vouch(node(2), LogIndex(50))));
    let leader = membership_snapshot(&[1], &[]).registered(1, joins);
    assert_eq!(step(&leader), None, "no node vouches for itself");
}

#[test]
fn no_learner_is_promoted_without_a_live_quorum() {
    let wants = |it: &mut Registration| it.stays_learner = false;
    let learner = membership_snapshot(&[1, 2, 3], &[4]).registered(4, wants);
    assert_eq!(step(&learner), Some(Step::Promote(node(4))));
    let silent = learner.silent(2, 5).silent(3, 5);
    assert_eq!(step(&silent), None);
}

#[test]
fn founders_are_registered_once_they_have_entries() {
    let mut founded = membership_snapshot(&[1, 2], &[]).unregistered(2);
    let Some(Step::RecordData(known, registration)) = step(&founded) else {
        panic!("{:?}", step(&founded));
    };
    assert_eq!(known, node(2));
    assert!(registration.has_data && !registration.stays_learner);
    assert_eq!(registration.address, "node2:7700");
    founded.others.get_mut(&node(2)).unwrap().match_index = LogIndex(0);
    assert_eq!(step(&founded), None);
    assert_eq!(membership_step(&founded, false), None);
}

#[test]
fn the_rest_of_an_unfinished_removal_is_removed() {
    let left = membership_snapshot(&[1, 2, 3], &[4]).unregistered(4);
    assert_eq!(step(&left), Some(Step::RemoveUnregistered(node(4))));
}

const CLEANUP: Cleanup = Cleanup {
    after: Duration::from_secs(60),
    voters_min: 3,
};

#[test]
fn a_silent_voter_is_removed_while_enough_stay() {
    let gone = membership_snapshot(&[1, 2, 3, 4], &[]).silent(4, 61);
    let hour = Duration::from_secs(3600);
    assert_eq!(
        silent_voter_step(&gone, CLEANUP, hour),
        Some(Step::RemoveSilent(node(4)))
    );
    let young = Duration::from_secs(59);
    assert_eq!(
        silent_voter_step(&gone, CLEANUP, young),
        None,
        "it became leader only now"
    );
    let enough = membership_snapshot(&[1, 2, 3], &[]).silent(3, 61);
    assert_eq!(silent_voter_step(&enough, CLEANUP, hour), None);
    let no_quorum = gone.silent(3, 61).silent(2, 61);
    assert_eq!(silent_voter_step(&no_quorum, CLEANUP, hour), None);
}
