use super::*;

const NOW: UnixMillis = UnixMillis(1_000);
const LATER: UnixMillis = UnixMillis(2_000);
const TOKEN: InviteId = InviteId([1; 16]);

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn invite() -> Invite {
    Invite {
        key: key(200),
        expires: LATER,
        stays_learner: false,
        used_by: None,
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
    assert_eq!(roll.join(join(1, "", NOW)), Ok(()));
    let registered = roll.clone();
    assert_eq!(roll.join(join(1, "other", LATER)), Ok(()), "after a crash");
    assert_eq!(roll, registered);
    assert_eq!(roll.join(join(2, "", NOW)), Err(JoinRefusal::Used));
    roll.registrations.remove(&key(1));
    let removed = roll.join(join(1, "", NOW));
    assert_eq!(removed, Err(JoinRefusal::Used), "it was removed");
}

#[test]
fn an_invite_that_is_unknown_or_too_old_lets_nobody_in() {
    assert_eq!(
        invited().join(join(1, "", LATER)),
        Err(JoinRefusal::Expired)
    );
    let unknown = Roll::default().join(join(1, "", NOW));
    assert_eq!(unknown, Err(JoinRefusal::Unknown));
}

#[test]
fn a_name_is_of_one_node() {
    let mut roll = invited();
    roll.join(join(1, "a", NOW)).unwrap();
    roll.invite(TOKEN, invite(), NOW);
    assert_eq!(roll.join(join(2, "a", NOW)), Err(JoinRefusal::NameTaken));
    assert_eq!(roll.join(join(2, "", NOW)), Ok(()));
}

#[test]
fn what_is_beyond_its_bounds_is_refused() {
    let name = "n".repeat(NAME_SIZE_MAX + 1);
    assert_eq!(
        invited().join(join(1, &name, NOW)),
        Err(JoinRefusal::Bounds)
    );
    let mut roll = invited();
    for number in 0..REGISTRATION_COUNT_MAX {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let node = PublicKey::from_bytes(bytes);
        roll.registrations.insert(node, Registration::default());
    }
    assert_eq!(roll.join(join(1, "", NOW)), Err(JoinRefusal::Bounds));
}

#[test]
fn open_invites_stay_and_closed_ones_give_way() {
    let mut roll = Roll::default();
    for number in 0..INVITE_COUNT_MAX {
        assert!(roll.invite(InviteId([number as u8; 16]), invite(), NOW));
    }
    let another = InviteId([255; 16]);
    assert!(!roll.invite(another, invite(), NOW));
    roll.join(join(1, "", NOW)).unwrap();
    assert!(roll.invite(another, invite(), NOW));
    assert!(!roll.invites.contains_key(&TOKEN), "the used one went");
    assert!(
        roll.invite(InviteId([254; 16]), invite(), LATER),
        "all are too old by now"
    );
    assert_eq!(roll.invites.len(), INVITE_COUNT_MAX);
}
