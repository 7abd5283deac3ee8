use super::*;

const NOW: UnixMillis = UnixMillis(1_000);
const LATER: UnixMillis = UnixMillis(2_000);
/// The entry by which nodes join.
const AT: LogIndex = LogIndex(7);
const TOKEN: InviteId = InviteId([1; 16]);

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn invite() -> Invite {
    Invite {
        key: key(200),
        expires: LATER,
        stays_learner: false,
        uses: 1,
        used_by: BTreeSet::new(),
    }
}

fn join(node: u8, name: &str, now: UnixMillis) -> Join {
    Join {
        invite: TOKEN,
        node: key(node),
        name: name.to_owned(),
        address: "here:7700".to_owned(),
        now,
    }
}

fn invited() -> NodeRegistry {
    let mut node_registry = NodeRegistry::default();
    assert!(node_registry.invite(TOKEN, invite(), NOW));
    node_registry
}

#[test]
fn an_invite_admits_one_node_and_the_same_one_again() {
    let mut node_registry = invited();
    assert_eq!(node_registry.join(join(1, "", NOW), AT), Ok(()));
    let registered = node_registry.clone();
    assert_eq!(
        node_registry.join(join(1, "other", LATER), AT),
        Ok(()),
        "after a crash"
    );
    assert_eq!(node_registry, registered);
    assert_eq!(
        node_registry.join(join(2, "", NOW), AT),
        Err(JoinRejection::Used)
    );
    node_registry.registrations.remove(&key(1));
    let removed = node_registry.join(join(1, "", NOW), AT);
    assert_eq!(removed, Err(JoinRejection::Used), "it was removed");
}

#[test]
fn an_unknown_or_expired_invite_admits_no_node() {
    assert_eq!(
        invited().join(join(1, "", LATER), AT),
        Err(JoinRejection::Expired)
    );
    let unknown = NodeRegistry::default().join(join(1, "", NOW), AT);
    assert_eq!(unknown, Err(JoinRejection::Unknown));
}

#[test]
fn a_name_is_of_one_node() {
    let mut node_registry = invited();
    node_registry.join(join(1, "a", NOW), AT).unwrap();
    node_registry.invite(TOKEN, invite(), NOW);
    assert_eq!(
        node_registry.join(join(2, "a", NOW), AT),
        Err(JoinRejection::NameTaken)
    );
    assert_eq!(node_registry.join(join(2, "", NOW), AT), Ok(()));
}

#[test]
fn values_out_of_bounds_are_rejected() {
    let name = "n".repeat(NAME_SIZE_MAX + 1);
    assert_eq!(
        invited().join(join(1, &name, NOW), AT),
        Err(JoinRejection::Bounds)
    );
    let mut node_registry = invited();
    for number in 0..REGISTRATION_COUNT_MAX {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let node = PublicKey::from_bytes(bytes);
        node_registry
            .registrations
            .insert(node, Registration::default());
    }
    assert_eq!(
        node_registry.join(join(1, "", NOW), AT),
        Err(JoinRejection::Bounds)
    );
}

#[test]
fn open_invites_stay_and_closed_ones_give_way() {
    let mut node_registry = NodeRegistry::default();
    for number in 0..INVITE_COUNT_MAX {
        assert!(node_registry.invite(InviteId([number as u8; 16]), invite(), NOW));
    }
    let another = InviteId([255; 16]);
    assert!(!node_registry.invite(another, invite(), NOW));
    node_registry.join(join(1, "", NOW), AT).unwrap();
    assert!(node_registry.invite(another, invite(), NOW));
    assert!(
        !node_registry.invites.contains_key(&TOKEN),
        "the used one went"
    );
    assert!(
        node_registry.invite(InviteId([254; 16]), invite(), LATER),
        "all are too old by now"
    );
    assert_eq!(node_registry.invites.len(), INVITE_COUNT_MAX);
}

#[test]
fn an_invite_for_several_admits_that_many() {
    let mut node_registry = NodeRegistry::default();
    let several = Invite {
        uses: 2,
        ..invite()
    };
    node_registry.invite(TOKEN, several, NOW);
    for node in [1, 2, 1] {
        assert_eq!(node_registry.join(join(node, "", NOW), AT), Ok(()));
    }
    assert_eq!(
        node_registry.join(join(3, "", NOW), AT),
        Err(JoinRejection::Used)
    );
}

#[test]
fn the_entry_that_registered_a_node_stays_until_it_is_removed() {
    let mut node_registry = invited();
    node_registry.join(join(1, "", NOW), AT).unwrap();
    assert!(node_registry.register(key(1), Registration::default(), LogIndex(9)));
    assert_eq!(node_registry.registrations[&key(1)].index, AT);
    node_registry.deregister(key(1), LogIndex(10));
    assert_eq!(node_registry.removed[&key(1)], LogIndex(10));
    assert!(node_registry.register(key(1), Registration::default(), LogIndex(11)));
    assert_eq!(node_registry.registrations[&key(1)].index, LogIndex(11));
    assert!(node_registry.removed.is_empty(), "it is a member again");
}

#[test]
fn nodes_that_were_removed_are_remembered_up_to_a_bound() {
    let mut node_registry = NodeRegistry::default();
    for number in 0..=REMOVED_COUNT_MAX as u64 {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        node_registry.deregister(PublicKey::from_bytes(bytes), LogIndex(number));
    }
    assert_eq!(node_registry.removed.len(), REMOVED_COUNT_MAX);
    assert!(
        node_registry
            .removed
            .values()
            .all(|index| *index > LogIndex(0))
    );
}

#[test]
fn a_node_is_vouched_for_as_it_is_registered() {
    let voucher = |index| Voucher {
        member: NodeId(key(1)),
        index: LogIndex(index),
        signer: NodeId(key(2)),
        r: [0; 32],
        s: [0; 32],
    };
    let mut node_registry = invited();
    node_registry.join(join(1, "", NOW), AT).unwrap();
    let leader = NodeId(key(2));
    assert_eq!(node_registry.unvouched(leader), Some((NodeId(key(1)), AT)));
    assert_eq!(
        node_registry.unvouched(NodeId(key(1))),
        None,
        "none for itself"
    );
    node_registry.vouch(voucher(6));
    assert!(
        node_registry.vouchers.kept.is_empty(),
        "of another registration"
    );
    node_registry.vouch(voucher(AT.0));
    assert_eq!(node_registry.unvouched(leader), None);
    node_registry.deregister(key(1), LogIndex(8));
    assert!(
        !node_registry.vouchers.kept.is_empty(),
        "others may need it to know whom it registered"
    );
}
