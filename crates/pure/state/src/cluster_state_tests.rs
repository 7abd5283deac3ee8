use super::*;
use crate::fixture::{publish_state, zone_state};

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; PUBLIC_KEY_SIZE])
}

fn roll() -> Roll {
    let registration = |name: &str, stays_learner| Registration {
        name: name.to_owned(),
        address: format!("{name}.example.org:7700"),
        stays_learner,
        has_data: !stays_learner,
    };
    let invite = |used_by| Invite {
        key: key(9),
        expires: UnixMillis(u64::MAX),
        stays_learner: true,
        used_by,
    };
    Roll {
        registrations: [
            (key(1), registration("a", true)),
            (key(2), registration("", false)),
        ]
        .into(),
        invites: [
            (InviteId([1; 16]), invite(None)),
            (InviteId([2; 16]), invite(Some(key(1)))),
        ]
        .into(),
    }
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let capacity = Capacity {
        count_max: 1,
        size_max: u64::MAX,
    };
    let names = ClusterNames {
        id: Some(ClusterId([7; 32])),
        founding: None,
    };
    let full = ClusterState {
        level: Level(u16::MAX),
        capacity: Some(capacity),
        names,
        roll: roll().into(),
        zones: zone_state().into(),
        publishing: publish_state().into(),
    };
    for state in [ClusterState::default(), full] {
        let encoded = state.encode();
        let bytes = [&encoded[..], b"more"].concat();
        assert_eq!(ClusterState::decode(&bytes), Some((state, &b"more"[..])));
        for size in 0..encoded.len() {
            assert_eq!(ClusterState::decode(&bytes[..size]), None);
        }
    }
}

#[test]
fn what_a_newer_program_adds_is_skipped() {
    let mut bytes = ClusterState::default().encode();
    bytes[22] += 3;
    bytes.extend(b"newmore");
    let expected = (ClusterState::default(), &b"more"[..]);
    assert_eq!(ClusterState::decode(&bytes), Some(expected));
}

/// Programs that know no zones, or not who may publish, send and digest nothing of that, and are to find
/// the same here.
#[test]
fn below_their_level_zones_and_publishing_are_not_written() {
    let of_members = ClusterState {
        level: Level::MEMBERS,
        ..ClusterState::default()
    };
    let of_zones = ClusterState {
        level: Level::ZONES,
        zones: zone_state().into(),
        ..ClusterState::default()
    };
    for old in [of_members, of_zones] {
        let with_more = ClusterState {
            zones: zone_state().into(),
            publishing: publish_state().into(),
            ..old.clone()
        };
        assert_eq!(with_more.encode(), old.encode());
        assert_eq!(with_more.encode_public(), old.encode_public());
        assert_eq!(ClusterState::decode(&old.encode()), Some((old, &b""[..])));
    }
}
