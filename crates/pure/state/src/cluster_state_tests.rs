use quorate_packet::{PUBLIC_KEY_SIZE, PublicKey};

use super::*;
use crate::{
    ClusterId, InviteId, LogIndex, NodeId, TICK_INTERVAL, UnixMillis, Vouchers,
    fixture::{publish_state, secret_state, zone_state},
};

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; PUBLIC_KEY_SIZE])
}

fn node_registry() -> NodeRegistry {
    let registration = |name: &str, stays_learner| Registration {
        name: name.to_owned(),
        address: format!("{name}.example.org:7700"),
        stays_learner,
        has_data: !stays_learner,
        index: LogIndex(3),
    };
    let invite = |used_by: &[PublicKey]| Invite {
        key: key(9),
        expires: UnixMillis(u64::MAX),
        stays_learner: true,
        uses: 2,
        used_by: used_by.iter().copied().collect(),
    };
    let voucher = Voucher {
        member: NodeId(key(1)),
        index: LogIndex(3),
        signer: NodeId(key(2)),
        r: [4; 32],
        s: [5; 32],
    };
    NodeRegistry {
        registrations: [
            (key(1), registration("a", true)),
            (key(2), registration("", false)),
        ]
        .into(),
        invites: [
            (InviteId([1; 16]), invite(&[])),
            (InviteId([2; 16]), invite(&[key(1), key(2)])),
        ]
        .into(),
        vouchers: Vouchers {
            kept: [(LogIndex(3), voucher)].into(),
            dropped: LogIndex(2),
        },
        removed: [(key(6), LogIndex(4))].into(),
    }
}

/// Set back after a step.
fn time() -> ClusterTime {
    let mut time = ClusterTime::default();
    for now in [5, u64::MAX, 9] {
        time.advance(UnixMillis(now));
    }
    assert!(time.set_back(UnixMillis(9)).is_some());
    time
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let capacity = Capacity {
        count_max: 1,
        size_max: u64::MAX,
    };
    let full = ClusterState {
        level: Level(u16::MAX),
        capacity: Some(capacity),
        id: Some(ClusterId([7; 32])),
        forming: Some(3),
        node_registry: node_registry().into(),
        zones: zone_state().into(),
        publishing: publish_state().into(),
        time: time(),
        retention_secs: Some(9),
        last_backup: crate::LastBackup::default(),
        restored: Some(UnixMillis(8)),
        secrets: secret_state().into(),
    };
    for state in [ClusterState::default(), full] {
        let encoded = state.encode();
        let bytes = [&encoded[..], b"more"].concat();
        assert_eq!(ClusterState::decode(&bytes), Ok((state, &b"more"[..])));
        for size in 0..encoded.len() {
            let cut = ClusterState::decode(&bytes[..size]);
            assert_eq!(cut, Err(CommandError::Truncated));
        }
    }
}

#[test]
fn fields_that_an_older_program_did_not_write_are_empty() {
    let state = ClusterState {
        node_registry: node_registry().into(),
        ..ClusterState::default()
    };
    let mut bytes = state.encode();
    const TIME_SIZE: usize = 8 + 8 + 4 + 8 + 1;
    const SECRETS_SIZE: usize = 1 + 1 + 4 + 4;
    bytes.truncate(bytes.len() - TIME_SIZE - 1 - SECRETS_SIZE);
    assert!(ABSENT.len() > TIME_SIZE + 1 + SECRETS_SIZE);
    let size = u32::try_from(bytes.len() - SIZE_SIZE).unwrap();
    bytes[..SIZE_SIZE].copy_from_slice(&size.to_be_bytes());
    assert_eq!(ClusterState::decode(&bytes), Ok((state, &b""[..])));
}

#[test]
fn fields_of_a_newer_program_are_skipped() {
    let mut bytes = ClusterState::default().encode();
    bytes[3] += 3;
    bytes.extend(b"newmore");
    let expected = (ClusterState::default(), &b"more"[..]);
    assert_eq!(ClusterState::decode(&bytes), Ok(expected));
}

#[test]
fn nothing_that_prints_or_digests_has_a_secret() {
    let state = ClusterState {
        zones: zone_state().into(),
        publishing: publish_state().into(),
        ..ClusterState::default()
    };
    let mut others = state.clone();
    let tokens = &mut Arc::make_mut(&mut others.publishing).tokens;
    tokens.insert("tenant".to_owned(), TokenHash([0x13; 32]));
    assert_ne!(state, others);
    assert_eq!(format!("{state:?}"), format!("{others:?}"));
    let public = state.encode_public();
    assert_eq!(public, others.encode_public());
    assert!(!public.windows(32).any(|bytes| bytes == [0xab; 32]));
}

#[test]
fn a_new_cluster_gets_all_but_what_belongs_to_the_old_one() {
    let full = ClusterState {
        capacity: Some(Capacity {
            count_max: 1,
            size_max: 2,
        }),
        id: Some(ClusterId([7; 32])),
        forming: Some(3),
        node_registry: node_registry().into(),
        zones: zone_state().into(),
        publishing: publish_state().into(),
        time: time(),
        secrets: secret_state().into(),
        ..ClusterState::default()
    };
    let kept = full.without_secrets();
    assert_eq!((kept.id, kept.forming), (None, None));
    assert_eq!(*kept.node_registry, NodeRegistry::default());
    assert_eq!(kept.zones.zones, full.zones.zones);
    assert_eq!(*kept.secrets, SecretState::default());
    assert_eq!(kept.publishing, full.publishing);
    assert_eq!((kept.capacity, kept.time), (full.capacity, full.time));
}

#[test]
fn nothing_expires_in_the_first_day_of_a_restored_cluster_however_late_that_begins() {
    for pause in [Duration::from_secs(60), 9 * RESTORED_GRACE] {
        let last = UnixMillis(1_700_000_000_000);
        let mut state = ClusterState {
            time: ClusterTime::starting_at(last),
            restored: Some(last),
            ..ClusterState::default()
        };
        let start = last.saturating_add(pause);
        let mut age = Duration::ZERO;
        while age <= RESTORED_GRACE + 4 * STEP_MIN {
            let stamp = state.time.advance(start.saturating_add(age));
            let is_new = state.is_newly_restored(stamp);
            assert!(is_new || age > RESTORED_GRACE, "{pause:?} {age:?}");
            assert!(
                !is_new || age < RESTORED_GRACE + 2 * STEP_MIN,
                "{pause:?} {age:?}"
            );
            age += TICK_INTERVAL;
        }
    }
}
