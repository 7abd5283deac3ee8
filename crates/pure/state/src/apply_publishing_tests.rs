//! Conditions of PUTs, who may publish, and what was deleted.

use quorate_packet::Timestamp;

use super::*;
use crate::{DELETION_COUNT_MAX, PublishRejection};

fn key(byte: u8) -> PublicKey {
    PublicKey::from_bytes([byte; 32])
}

fn change(replica: &mut Replica, change: PublishChange) {
    let outcome = replica.apply(&Command::ChangePublishing(change));
    assert_eq!(outcome, Outcome::Agreed);
}

/// Deletes the packet of key 1, and says whether there was one.
fn delete(replica: &mut Replica, now: u64, blocked_until: Option<u64>) -> bool {
    let command = Command::DeletePacket {
        key: key(1),
        blocked_until: blocked_until.map(UnixMillis),
        now: UnixMillis(now),
    };
    match replica.apply(&command) {
        Outcome::Deleted { existed } => existed,
        other => panic!("{other:?}"),
    }
}

/// What becomes of a packet of key 1 on this condition.
fn put_if(replica: &mut Replica, condition: Condition, packet: SignedPacket) -> PutOutcome {
    let beside = self::packet(9, 1, b"");
    match replica.apply(&conditional(1, condition, [beside, packet])) {
        Outcome::Put { outcomes, .. } => outcomes[1],
        other => panic!("{other:?}"),
    }
}

fn put(replica: &mut Replica, now: u64, packet: &SignedPacket) -> PutOutcome {
    replica.put(now, std::slice::from_ref(packet))[0]
}

#[test]
fn a_condition_is_encoded_before_its_packet() {
    let [old, new, later] = [(2, b"x"), (3, b"y"), (4, b"z")].map(|(at, dns)| packet(1, at, dns));
    let any_of = |packet: &SignedPacket| Condition::AnyOf(vec![Version::of(packet)]);
    let none_of = |packet: &SignedPacket| Condition::NoneOf(vec![Version::of(packet)]);
    let mut replica = Replica::default();
    let failed = PutOutcome::ConditionFailed;
    assert_eq!(put_if(&mut replica, Condition::Stored, old.clone()), failed);
    let stored = put_if(&mut replica, Condition::NotStored, old.clone());
    assert_eq!(stored, PutOutcome::Stored);
    let failing = [
        Condition::NotStored,
        any_of(&new),
        none_of(&old),
        Condition::AnyOf(Vec::new()),
    ];
    for condition in failing {
        let outcome = put_if(&mut replica, condition.clone(), new.clone());
        assert_eq!(outcome, failed, "{condition:?}");
        // The very bytes that are stored meet any.
        let repeated = put_if(&mut replica, condition, old.clone());
        assert_eq!(repeated, PutOutcome::Unchanged);
    }
    let replaced = put_if(&mut replica, any_of(&old), new.clone());
    assert_eq!(replaced, PutOutcome::Stored);
    // The condition comes before the timestamp.
    assert_eq!(put_if(&mut replica, any_of(&old), old.clone()), failed);
    let older = put_if(&mut replica, any_of(&new), old);
    assert_eq!(older, PutOutcome::Superseded);
    let none = put_if(&mut replica, none_of(&later), later.clone());
    assert_eq!(none, PutOutcome::Stored);

    // Packets of 1.9 s: dates have whole seconds.
    let fraction = packet(1, 1_900_000, b"");
    assert_eq!(put(&mut replica, 1, &fraction), PutOutcome::Stored);
    let next = packet(1, 2_000_000, b"");
    let since = Condition::UnmodifiedSince;
    assert_eq!(put_if(&mut replica, since(0), next.clone()), failed);
    assert_eq!(put_if(&mut replica, since(1), next), PutOutcome::Stored);
}

/// Of two in one batch that replace the same, the first does.
#[test]
fn packets_of_one_batch_see_each_other() {
    let [old, one, other] = [2, 3, 4].map(|at| packet(1, at, b""));
    let mut conditions = BatchConditions::default();
    let if_match = Conditions::new(vec![Condition::AnyOf(vec![Version::of(&old)])]).unwrap();
    conditions.insert(0, if_match.clone());
    conditions.insert(1, if_match);
    let mut replica = Replica::default();
    put(&mut replica, 1, &old);
    let batch = Command::PutBatch(PutBatch {
        now: UnixMillis(1),
        timestamp_max: UnixMillis(9),
        conditions,
        packets: vec![one, other],
    });
    let Outcome::Put { outcomes, .. } = replica.apply(&batch) else {
        panic!("a batch is put");
    };
    assert_eq!(outcomes, [PutOutcome::Stored, PutOutcome::ConditionFailed]);
}

#[test]
fn a_deleted_packet_stays_away_and_a_newer_one_is_accepted() {
    let [older, deleted, newer] = [2, 3, 4].map(|at| packet(1, at, b""));
    let mut replica = Replica::default();
    assert_eq!(put(&mut replica, 1, &deleted), PutOutcome::Stored);
    assert!(delete(&mut replica, 2, None));
    assert_eq!(replica.keys(), []);
    for packet in [&older, &deleted] {
        assert_eq!(put(&mut replica, 3, packet), PutOutcome::Superseded);
    }
    let known = replica.clone();
    assert!(!delete(&mut replica, 4, None), "it is gone");
    assert_eq!(replica, known);

    assert_eq!(put(&mut replica, 5, &newer), PutOutcome::Stored);
    assert_eq!(put(&mut replica, 6, &deleted), PutOutcome::Superseded);
    assert!(!delete(&mut Replica::default(), 1, None));
}

#[test]
fn a_block_lasts_until_its_end_by_the_time_of_the_cluster() {
    let [deleted, newer] = [3, 4].map(|at| packet(1, at, b""));
    let mut replica = Replica::default();
    put(&mut replica, 1, &deleted);
    assert!(delete(&mut replica, 2, Some(100)));
    for now in [3, 99] {
        assert_eq!(put(&mut replica, now, &newer), PutOutcome::Blocked);
        assert_eq!(put(&mut replica, now, &deleted), PutOutcome::Blocked);
    }
    // Another deletion leaves the block.
    assert!(!delete(&mut replica, 4, None));
    assert_eq!(put(&mut replica, 99, &newer), PutOutcome::Blocked);
    assert_eq!(put(&mut replica, 100, &deleted), PutOutcome::Superseded);
    assert_eq!(put(&mut replica, 100, &newer), PutOutcome::Stored);

    // One that is over at once lifts it.
    assert!(delete(&mut replica, 101, Some(1_000)));
    assert!(!delete(&mut replica, 102, Some(102)));
    assert_eq!(
        put(&mut replica, 103, &packet(1, 5, b"")),
        PutOutcome::Stored
    );
}

/// What was signed before is not stored when the block is over, be it known here or not.
#[test]
fn a_key_without_a_packet_can_be_blocked() {
    let mut replica = Replica::default();
    assert!(!delete(&mut replica, 50, Some(100)));
    assert_eq!(
        put(&mut replica, 60, &packet(1, 9, b"")),
        PutOutcome::Blocked
    );
    let before = packet(1, 50_000, b"");
    assert_eq!(put(&mut replica, 100, &before), PutOutcome::Superseded);
    let after = packet(1, 50_001, b"");
    assert_eq!(put(&mut replica, 100, &after), PutOutcome::Stored);
    // Nothing to lift, nothing to keep.
    let mut replica = Replica::default();
    assert!(!delete(&mut replica, 50, Some(50)));
    assert!(replica.cluster.publishing.deleted.is_empty());
}

/// As many deletions as there is room for, each of a packet that is newer than the one before.
fn fill_deletions(replica: &mut Replica, blocked_until: Option<UnixMillis>) -> PublicKey {
    let deletion = |number: u32| {
        let mut bytes = [7; 32];
        // The oldest is not the first in the order of keys.
        bytes[..4].copy_from_slice(&(u32::MAX - number).to_be_bytes());
        let deletion = Deletion {
            timestamp: Timestamp::from_micros(number.into()),
            blocked_until,
        };
        (PublicKey::from_bytes(bytes), deletion)
    };
    let publishing = Arc::make_mut(&mut replica.cluster.publishing);
    publishing.deleted = (0..DELETION_COUNT_MAX as u32).map(deletion).collect();
    deletion(0).0
}

#[test]
fn at_the_limit_the_deletion_of_the_oldest_packet_is_dropped() {
    let mut replica = Replica::default();
    put(&mut replica, 1, &packet(1, 3, b""));
    let oldest = fill_deletions(&mut replica, Some(UnixMillis(2)));
    assert!(delete(&mut replica, 2, None));
    let deleted = &replica.cluster.publishing.deleted;
    assert_eq!(deleted.len(), DELETION_COUNT_MAX);
    assert!(deleted.contains_key(&key(1)) && !deleted.contains_key(&oldest));
}

#[test]
fn nothing_more_can_be_deleted_while_all_deletions_block() {
    let mut replica = Replica::default();
    put(&mut replica, 1, &packet(1, 3, b""));
    fill_deletions(&mut replica, Some(UnixMillis(3)));
    let full = replica.clone();
    let command = Command::DeletePacket {
        key: key(1),
        blocked_until: None,
        now: UnixMillis(2),
    };
    let rejection = Rejection::Publishing(PublishRejection::DeletionCount);
    assert_eq!(replica.apply(&command), Outcome::Rejected(rejection));
    assert_eq!(replica, full, "the packet stays, rather than come back");
}

#[test]
fn a_deleted_packet_stays_away_when_its_successor_is_gone() {
    let mut replica = Replica::default();
    let [deleted, newer] = [3, 4].map(|at| packet(1, at, b""));
    put(&mut replica, 1, &deleted);
    assert!(delete(&mut replica, 2, None));
    assert_eq!(put(&mut replica, 3, &newer), PutOutcome::Stored);
    let expire = Command::Expire {
        cutoff: UnixMillis(4),
        count_max: 1,
    };
    assert_eq!(replica.apply(&expire), Outcome::Expired(1));
    assert_eq!(put(&mut replica, 5, &deleted), PutOutcome::Superseded);
    assert_eq!(put(&mut replica, 6, &newer), PutOutcome::Stored);
}

/// A node that does not know yet that a token is needed lets packets without one through.
#[test]
fn the_log_advises_to_set_a_known_token() {
    let mut replica = Replica::default();
    let [good, gone] = [1, 2].map(|byte| TokenHash([byte; 32]));
    for (name, hash) in [("good", good), ("gone", gone)] {
        let name = name.to_owned();
        change(&mut replica, PublishChange::AddToken { name, hash });
    }
    change(&mut replica, PublishChange::RemoveToken("gone".to_owned()));
    change(&mut replica, PublishChange::SetMode(PublishMode::Tokens));
    let packet = packet(1, 3, b"");
    assert_eq!(put(&mut replica, 1, &packet), PutOutcome::Forbidden);
    let refused = put_if(&mut replica, Condition::Token(gone), packet.clone());
    assert_eq!(refused, PutOutcome::Forbidden);
    let stored = put_if(&mut replica, Condition::Token(good), packet.clone());
    assert_eq!(stored, PutOutcome::Stored);
    change(&mut replica, PublishChange::Allow(vec![key(1)]));
    assert_eq!(put(&mut replica, 2, &packet), PutOutcome::Unchanged);
}

/// A rejection comes before the condition, which may tell what is stored.
#[test]
fn a_forbidden_publisher_is_rejected_whatever_the_condition() {
    let mut replica = Replica::default();
    let [stored, newer] = [3, 4].map(|at| packet(1, at, b""));
    put(&mut replica, 1, &stored);
    change(&mut replica, PublishChange::Deny(vec![key(1)]));
    let before = replica.clone();
    for packet in [&stored, &newer] {
        assert_eq!(put(&mut replica, 9, packet), PutOutcome::Forbidden);
    }
    assert_eq!(
        replica.map, before.map,
        "what is stored stays and is not renewed"
    );
    let refused = put_if(&mut replica, Condition::NotStored, newer.clone());
    assert_eq!(refused, PutOutcome::Forbidden);
    change(&mut replica, PublishChange::Undeny(vec![key(1)]));
    assert_eq!(put(&mut replica, 9, &newer), PutOutcome::Stored);

    let set_mode = |mode| PublishChange::SetMode(mode);
    change(&mut replica, set_mode(PublishMode::AllowList));
    let later = packet(1, 5, b"");
    assert_eq!(put(&mut replica, 9, &later), PutOutcome::Forbidden);
    change(&mut replica, PublishChange::Allow(vec![key(1)]));
    assert_eq!(put(&mut replica, 9, &later), PutOutcome::Stored);
    change(&mut replica, set_mode(PublishMode::Tokens));
    change(&mut replica, PublishChange::Deny(vec![key(1)]));
    assert_eq!(
        put(&mut replica, 9, &packet(1, 6, b"")),
        PutOutcome::Forbidden
    );
}

#[test]
fn a_batch_is_its_times_then_conditions_then_packets() {
    let mut packets = crate::EncodedPackets::default();
    let stored = packet(1, 2, b"x");
    assert!(packets.push(&stored, &Conditions::default()));
    let header = [
        b'Q', 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6,
    ];
    let entry = PutBatch::encode(UnixMillis(5), UnixMillis(6), &packets);
    assert_eq!(entry[..20], header);
    assert_eq!(entry[20..], *packets.encode());
    assert_eq!(entry[20..22], [0, 0]);

    let not_stored = Conditions::new(vec![Condition::NotStored]).unwrap();
    assert!(packets.push(&packet(2, 2, b"x"), &not_stored));
    let entry = PutBatch::encode(UnixMillis(5), UnixMillis(6), &packets);
    assert_eq!(entry[..20], header);
    assert_eq!(entry[20..29], [0, 1, 0, 1, 0, 0, 0, 1, 2]);
    assert_eq!(entry[29..], packets.bytes);
}

/// Imports a packet of key 1 that was received at `received`.
fn import(
    replica: &mut Replica,
    now: u64,
    received: Option<u64>,
    packet: SignedPacket,
) -> PutOutcome {
    let command = Command::Import(Import {
        received: vec![received.map(UnixMillis)],
        batch: PutBatch {
            now: UnixMillis(now),
            timestamp_max: UnixMillis(u64::MAX),
            conditions: BatchConditions::default(),
            packets: vec![packet],
        },
    });
    match replica.apply(&command) {
        Outcome::Put { outcomes, .. } => outcomes[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_import_keeps_the_time_of_receipt_that_it_names() {
    let received = |replica: &Replica| replica.map.0[&key(1)].received;
    for (named, expected) in [
        (None, 5_000),
        (Some(3_000), 3_000),
        // Nothing was received in the future.
        (Some(9_000), 5_000),
    ] {
        let mut replica = Replica::default();
        let outcome = import(&mut replica, 5_000, named, packet(1, 7, b"x"));
        assert_eq!(outcome, PutOutcome::Stored);
        assert_eq!(received(&replica), UnixMillis(expected));
    }
    let mut replica = Replica::default();
    put(&mut replica, 4_000, &packet(1, 7, b"x"));
    for (at, outcome) in [(7, PutOutcome::Unchanged), (8, PutOutcome::Stored)] {
        let imported = import(&mut replica, 5_000, Some(1_000), packet(1, at, b"x"));
        assert_eq!(imported, outcome);
        // It was received later by this cluster.
        assert_eq!(received(&replica), UnixMillis(4_000));
    }
}

#[test]
fn an_import_obeys_deletions_blocks_the_policy_and_newer_packets() {
    let mut replica = Replica::default();
    put(&mut replica, 1, &packet(1, 7, b""));
    let older = import(&mut replica, 2, None, packet(1, 6, b""));
    assert_eq!(older, PutOutcome::Superseded);
    assert!(delete(&mut replica, 3, Some(9)));
    let blocked = import(&mut replica, 4, None, packet(1, 8, b""));
    assert_eq!(blocked, PutOutcome::Blocked);
    let deleted = import(&mut replica, 10, None, packet(1, 7, b""));
    assert_eq!(deleted, PutOutcome::Superseded);
    change(&mut replica, PublishChange::SetMode(PublishMode::AllowList));
    let forbidden = import(&mut replica, 11, None, packet(1, 9, b""));
    assert_eq!(forbidden, PutOutcome::Forbidden);
}

#[test]
fn an_import_needs_no_publish_token_and_evicts_nothing_that_was_received_later() {
    let mut replica = Replica::default();
    change(&mut replica, PublishChange::SetMode(PublishMode::Tokens));
    let day = crate::millis(EVICTION_AGE_MIN) / 2;
    let imported = import(&mut replica, 10 * day, Some(3 * day), packet(1, 8, b""));
    assert_eq!(imported, PutOutcome::Stored);
    let change = Command::ChangeSettings(crate::SettingsChange {
        count_max: Some(1),
        ..crate::SettingsChange::default()
    });
    replica.apply(&change);
    for (received, outcome) in [
        (Some(2 * day), PutOutcome::Full),
        (Some(4 * day), PutOutcome::Stored),
    ] {
        let imported = import(&mut replica, 10 * day, received, packet(2, 8, b""));
        assert_eq!(imported, outcome, "{received:?}");
    }
}

#[test]
fn a_restored_cluster_evicts_nothing_on_its_first_day() {
    let hour = 3_600_000;
    for (now, outcome) in [(1, PutOutcome::Full), (30 * hour, PutOutcome::Stored)] {
        let mut replica = Replica::default();
        replica.cluster.time = crate::ClusterTime::starting_at(UnixMillis(1_000_000 * hour));
        replica.cluster.restored = Some(UnixMillis(1_000_000 * hour));
        let start = 1_000_000 * hour + 1;
        let old = start - crate::millis(EVICTION_AGE_MIN) - 3 * hour;
        let imported = import(&mut replica, start, Some(old), packet(1, 8, b""));
        assert_eq!(imported, PutOutcome::Stored);
        let change = Command::ChangeSettings(crate::SettingsChange {
            count_max: Some(1),
            ..crate::SettingsChange::default()
        });
        replica.apply(&change);
        let mut at = start;
        while at < start + now {
            at += crate::millis(crate::TICK_INTERVAL);
            replica.apply(&Command::Tick {
                now: UnixMillis(at),
            });
        }
        let answer = import(&mut replica, start + now, None, packet(2, 8, b""));
        assert_eq!(answer, outcome, "{now}");
    }
}
