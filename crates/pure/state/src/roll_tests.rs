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

fn invited() -> Roll {
    let mut roll = Roll::default();
    assert!(roll.invite(TOKEN, invite(), NOW));
    roll
}

#[test]
fn an_invite_lets_one_node_in_and_the_same_one_again() {
    let mut roll = invited();
    assert_eq!(roll.join(join(1, "", NOW), AT), Ok(()));
    let registered = roll.clone();
    assert_eq!(
        roll.join(join(1, "other", LATER), AT),
        Ok(()),
        "after a crash"
    );
    assert_eq!(roll, registered);
    assert_eq!(roll.join(join(2, "", NOW), AT), Err(JoinRefusal::Used));
    roll.registrations.remove(&key(1));
    let removed = roll.join(join(1, "", NOW), AT);
    assert_eq!(removed, Err(JoinRefusal::Used), "it was removed");
}

#[test]
fn an_invite_that_is_unknown_or_too_old_lets_nobody_in() {
    assert_eq!(
        invited().join(join(1, "", LATER), AT),
        Err(JoinRefusal::Expired)
    );
    let unknown = Roll::default().join(join(1, "", NOW), AT);
    assert_eq!(unknown, Err(JoinRefusal::Unknown));
}

#[test]
fn a_name_is_of_one_node() {
    let mut roll = invited();
    roll.join(join(1, "a", NOW), AT).unwrap();
    roll.invite(TOKEN, invite(), NOW);
    assert_eq!(
        roll.join(join(2, "a", NOW), AT),
        Err(JoinRefusal::NameTaken)
    );
    assert_eq!(roll.join(join(2, "", NOW), AT), Ok(()));
}

#[test]
fn what_is_beyond_its_bounds_is_refused() {
    let name = "n".repeat(NAME_SIZE_MAX + 1);
    assert_eq!(
        invited().join(join(1, &name, NOW), AT),
        Err(JoinRefusal::Bounds)
    );
    let mut roll = invited();
    for number in 0..REGISTRATION_COUNT_MAX {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let node = PublicKey::from_bytes(bytes);
        roll.registrations.insert(node, Registration::default());
    }
    assert_eq!(roll.join(join(1, "", NOW), AT), Err(JoinRefusal::Bounds));
}

#[test]
fn open_invites_stay_and_closed_ones_give_way() {
    let mut roll = Roll::default();
    for number in 0..INVITE_COUNT_MAX {
        assert!(roll.invite(InviteId([number as u8; 16]), invite(), NOW));
    }
    let another = InviteId([255; 16]);
    assert!(!roll.invite(another, invite(), NOW));
    roll.join(join(1, "", NOW), AT).unwrap();
    assert!(roll.invite(another, invite(), NOW));
    assert!(!roll.invites.contains_key(&TOKEN), "the used one went");
    assert!(
        roll.invite(InviteId([254; 16]), invite(), LATER),
        "all are too old by now"
    );
    assert_eq!(roll.invites.len(), INVITE_COUNT_MAX);
}

#[test]
fn an_invite_for_several_lets_so_many_in() {
    let mut roll = Roll::default();
    let several = Invite {
        uses: 2,
        ..invite()
    };
    roll.invite(TOKEN, several, NOW);
    for node in [1, 2, 1] {
        assert_eq!(roll.join(join(node, "", NOW), AT), Ok(()));
    }
    assert_eq!(roll.join(join(3, "", NOW), AT), Err(JoinRefusal::Used));
}

#[test]
fn the_entry_that_registered_a_node_stays_until_it_is_removed() {
    let mut roll = invited();
    roll.join(join(1, "", NOW), AT).unwrap();
    assert!(roll.register(key(1), Registration::default(), LogIndex(9)));
    assert_eq!(roll.registrations[&key(1)].index, AT);
    roll.deregister(key(1), LogIndex(10));
    assert_eq!(roll.removed[&key(1)], LogIndex(10));
    assert!(roll.register(key(1), Registration::default(), LogIndex(11)));
    assert_eq!(roll.registrations[&key(1)].index, LogIndex(11));
    assert!(roll.removed.is_empty(), "it is a member again");
}

#[test]
fn nodes_that_were_removed_are_remembered_up_to_a_bound() {
    let mut roll = Roll::default();
    for number in 0..=REMOVED_COUNT_MAX as u64 {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        roll.deregister(PublicKey::from_bytes(bytes), LogIndex(number));
    }
    assert_eq!(roll.removed.len(), REMOVED_COUNT_MAX);
    assert!(roll.removed.values().all(|index| *index > LogIndex(0)));
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
    let mut roll = invited();
    roll.join(join(1, "", NOW), AT).unwrap();
    let leader = NodeId(key(2));
    assert_eq!(roll.unvouched(leader), Some((NodeId(key(1)), AT)));
    assert_eq!(roll.unvouched(NodeId(key(1))), None, "none for itself");
    roll.vouch(voucher(6));
    assert!(roll.vouchers.kept.is_empty(), "of another registration");
    roll.vouch(voucher(AT.0));
    assert_eq!(roll.unvouched(leader), None);
    roll.deregister(key(1), LogIndex(8));
    assert!(
        !roll.vouchers.kept.is_empty(),
        "others may need it to know whom it registered"
    );
}
