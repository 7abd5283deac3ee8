use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};

use strum::VariantArray;

use super::*;
use crate::{
    BatchConditions, Capacity, ClusterId, CommandError, Condition, Conditions, Deletion,
    EVICTION_AGE_MIN, EVICTION_COUNT_MAX, Found, Invite, InviteId, Join, JoinRejection, KeyId,
    LEVEL_MAX, NodeId, PublishChange, PublishMode, PutBatch, PutOutcome, Registration, Renewal,
    SealedSecret, SecretKind, SettingsChange, StoreSecret, StoredPacket, SwitchKey, TICK_INTERVAL,
    TIMESTAMP_AHEAD_MAX, TokenHash, Usage, Version, Voucher,
    fixture::{change, set},
    millis,
};

#[derive(Debug, Clone, Default, PartialEq)]
struct Map(BTreeMap<PublicKey, StoredPacket>);

impl StoredPackets for Map {
    fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket> {
        self.0.get(key).cloned()
    }

    fn put(&mut self, stored: &StoredPacket) {
        self.0.insert(*stored.packet.key(), stored.clone());
    }

    fn usage(&self) -> Usage {
        Usage {
            count: self.0.len() as u64,
            size: self.0.values().map(StoredPacket::size).sum(),
        }
    }

    fn oldest(&self) -> Option<(UnixMillis, PublicKey)> {
        let by_age = self.0.values().map(|r| (r.received, *r.packet.key()));
        by_age.min()
    }

    fn remove(&mut self, key: &PublicKey) {
        self.0.remove(key);
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Replica {
    map: Map,
    cluster: ClusterState,
}

/// The entry that is applied, where that matters.
const AT: LogIndex = LogIndex(5);

impl Replica {
    /// A full one: each of the packets was received at its moment.
    fn holding(capacity: Capacity, packets: &[(u64, SignedPacket)]) -> Self {
        let mut replica = Self::default();
        for (received, packet) in packets {
            let outcomes = replica.put(*received, std::slice::from_ref(packet));
            assert_eq!(outcomes, [PutOutcome::Stored]);
        }
        replica.apply(&found(1, 1, capacity));
        replica
    }

    fn try_apply(&mut self, supported: Level, entry: Bytes) -> Result<Outcome, UnsupportedLevel> {
        apply(&mut self.map, &mut self.cluster, supported, AT, entry)
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        self.try_apply(LEVEL_MAX, command.encode()).unwrap()
    }

    fn put(&mut self, now: u64, packets: &[SignedPacket]) -> Vec<PutOutcome> {
        self.put_and_evict(now, packets).0
    }

    fn put_and_evict(&mut self, now: u64, packets: &[SignedPacket]) -> (Vec<PutOutcome>, u64) {
        self.pass(now);
        match self.apply(&batch(now, packets)) {
            Outcome::Put {
                outcomes,
                evicted_count,
            } => (outcomes, evicted_count),
            other => panic!("{other:?}"),
        }
    }

    /// Has the log tell the time until then, so that it passes and does not step.
    fn pass(&mut self, now: u64) {
        while let Some(last) = self.cluster.time.last_in_log().filter(|last| last.0 < now) {
            let next = last.saturating_add(TICK_INTERVAL).min(UnixMillis(now));
            self.apply(&Command::Tick { now: next });
        }
    }

    /// The first bytes of the keys that it holds.
    fn keys(&self) -> Vec<u8> {
        self.map.0.keys().map(|key| key.as_bytes()[0]).collect()
    }
}

fn batch(now: u64, packets: &[SignedPacket]) -> Command {
    Command::PutBatch(PutBatch {
        now: UnixMillis(now),
        timestamp_max: UnixMillis(now).saturating_add(TIMESTAMP_AHEAD_MAX),
        conditions: BatchConditions::default(),
        packets: packets.to_vec(),
    })
}

/// A packet that is stored on this condition, behind one that is stored on none.
fn conditional(now: u64, condition: Condition, packets: [SignedPacket; 2]) -> Command {
    let mut conditions = BatchConditions::default();
    conditions.insert(1, Conditions::new(vec![condition]).unwrap());
    Command::PutBatch(PutBatch {
        now: UnixMillis(now),
        timestamp_max: UnixMillis(u64::MAX),
        conditions,
        packets: packets.into(),
    })
}

fn packet(key: u8, micros: u64, dns: &[u8]) -> SignedPacket {
    let mut payload = vec![0; PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&micros.to_be_bytes());
    payload.extend_from_slice(dns);
    SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload.into()).unwrap()
}

#[test]
fn every_command_survives_its_encoding() {
    let commands = [
        batch(5, &[]),
        Command::Tick { now: UnixMillis(7) },
        Command::SetBack {
            now: UnixMillis(u64::MAX),
        },
        Command::PutBatch(PutBatch {
            now: UnixMillis(u64::MAX),
            timestamp_max: UnixMillis(7),
            conditions: BatchConditions::default(),
            packets: vec![packet(1, 2, b"x"), packet(2, u64::MAX, &[7; 1000])],
        }),
        conditional(
            5,
            Condition::AnyOf(vec![Version::of(&packet(1, 2, b"x"))]),
            [packet(1, 2, b"x"), packet(2, 3, b"")],
        ),
        conditional(
            5,
            Condition::UnmodifiedSince(u64::MAX),
            [packet(1, 2, b"x"), packet(2, 3, b"")],
        ),
        conditional(
            5,
            Condition::Token(TokenHash([8; 32])),
            [packet(1, 2, b"x"), packet(2, 3, b"")],
        ),
        Command::Expire {
            cutoff: UnixMillis(9),
            count_max: 3,
        },
        Command::RaiseLevel(Level(u16::MAX)),
        found(
            1,
            3,
            Capacity {
                count_max: 1,
                size_max: 1,
            },
        ),
        Command::FinishFounding,
        Command::Vouch(Voucher {
            member: NodeId(PublicKey::from_bytes([1; 32])),
            index: LogIndex(u64::MAX),
            signer: NodeId(PublicKey::from_bytes([2; 32])),
            r: [3; 32],
            s: [4; 32],
        }),
        Command::DropVouchers(LogIndex(9)),
        register(1, "name"),
        Command::Deregister(PublicKey::from_bytes([3; 32])),
        Command::ChangeZone(change("a.", vec![set("w.a.", 1, &[b"1111"])])),
        Command::DemandKey,
        Command::SwitchKey(SwitchKey {
            key: KeyId([4; _]),
            made_after: LogIndex(u64::MAX),
        }),
        Command::StoreSecret(StoreSecret {
            kind: SecretKind::AcmeOrder,
            replaces: Some(LogIndex(5)),
            is_new: true,
            sealed: SealedSecret {
                key: KeyId([4; _]),
                bytes: Bytes::from_static(b"sealed"),
                made: UnixMillis(8),
            },
        }),
        Command::DropSecrets(vec![SecretKind::Certificate]),
        Command::DeregisterCompromised(PublicKey::from_bytes([3; 32])),
        Command::DemandSecrets {
            kinds: SecretKind::VARIANTS.to_vec(),
            renewal: Renewal::Compromised,
        },
        Command::ChangePublishing(PublishChange::SetMode(PublishMode::AllowList)),
        Command::ChangeSettings(SettingsChange {
            count_max: Some(7),
            size_max: None,
            retention_secs: Some(u64::MAX),
        }),
        Command::Import(Import {
            received: vec![Some(UnixMillis(3)), None],
            batch: PutBatch {
                now: UnixMillis(5),
                timestamp_max: UnixMillis(7),
                conditions: BatchConditions::default(),
                packets: vec![packet(1, 2, b"x"), packet(2, 3, b"")],
            },
        }),
        Command::DeletePacket {
            key: PublicKey::from_bytes([3; 32]),
            blocked_until: Some(UnixMillis(u64::MAX)),
            now: UnixMillis(8),
        },
    ];
    for command in commands {
        let entry = command.encode();
        assert_eq!(Command::encoded_level(&entry), Ok(Level::FIRST));
        assert_eq!(Command::decode(entry), Ok(command));
    }
}

/// Nodes of every version know these bytes.
#[test]
fn the_forms_of_the_first_level_are_these() {
    let stored = packet(1, 2, b"x");
    let put = batch(5, std::slice::from_ref(&stored)).encode();
    assert_eq!(put[..12], [b'Q', 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 5]);
    assert_eq!(put[12..22], [0, 0, 0, 0, 0, 9, 0x27, 0xc5, 0, 0]);
    assert_eq!(put[22..54], *stored.key().as_bytes());
    assert_eq!(put[56..], *stored.payload());
    let raise = Command::RaiseLevel(Level(0x0203)).encode();
    assert_eq!(raise[..], [b'Q', 0, 1, 3, 2, 3]);
    let expire = Command::Expire {
        cutoff: UnixMillis(7),
        count_max: 8,
    };
    assert_eq!(
        expire.encode()[..],
        [b'Q', 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8]
    );
}

#[test]
fn no_entry_makes_apply_fail() {
    let good = batch(5, &[packet(1, 2, b"x")]).encode();
    let mut replica = Replica::default();
    let before = replica.clone();
    for len in 0..good.len() {
        // A batch may end behind its conditions: that is the empty batch.
        if len != 22 {
            let outcome = replica.try_apply(LEVEL_MAX, good.slice(..len)).unwrap();
            assert!(
                matches!(outcome, Outcome::Rejected(Rejection::NoCommand(_))),
                "{len}: {outcome:?}"
            );
        }
    }
    for entry in [
        // As commands began before.
        &[1, 1][..],
        &[2, 0, 1, 3, 0, 1],
        &[b'Q', 0, 0, 1],
        &[b'Q', 0, 1, 0],
        &[b'Q', 0, 1, 18],
        &[b'Q', 0, 1, 3, 0, 1, 0],
    ] {
        let entry = Bytes::copy_from_slice(entry);
        let outcome = replica.try_apply(LEVEL_MAX, entry.clone()).unwrap();
        assert!(
            matches!(outcome, Outcome::Rejected(Rejection::NoCommand(_))),
            "{entry:?}: {outcome:?}"
        );
    }
    assert_eq!(replica, before);
}

#[test]
fn an_entry_above_a_programs_level_stops_it_before_it_is_applied() {
    let mut replica = Replica::default();
    let before = replica.clone();
    // A command of a level, and of a kind, that nobody knows yet.
    let unknown = Bytes::from_static(&[b'Q', 0, 9, 200, 1, 2, 3]);
    for (supported, needed, entry) in [
        (1, 2, Bytes::from_static(&[b'Q', 0, 2, 4])),
        (1, 2, Bytes::from_static(&[b'Q', 0, 2])),
        (2, 9, unknown.clone()),
        (1, 2, Command::RaiseLevel(Level(2)).encode()),
        (2, 3, Command::RaiseLevel(Level(3)).encode()),
    ] {
        let error = replica.try_apply(Level(supported), entry).unwrap_err();
        let (needed, supported) = (Level(needed), Level(supported));
        assert_eq!(error, UnsupportedLevel { needed, supported });
        assert_eq!(replica, before);
    }
    let error = replica.try_apply(LEVEL_MAX, unknown).unwrap_err();
    assert_eq!(
        error.to_string(),
        "feature level 9 is needed, and this program knows 1: run a newer version of Quorate"
    );
}

#[test]
fn a_command_above_the_level_of_the_cluster_is_rejected_by_all() {
    let newer = Level(2);
    let mut replica = Replica::default();
    // Which commands the second level has, no program knows yet.
    let of_second = Bytes::from_static(&[b'Q', 0, 2, 1]);
    let early = Outcome::Rejected(Rejection::AboveCluster {
        needed: newer,
        agreed: Level(1),
    });
    let outcome = replica.try_apply(newer, of_second.clone()).unwrap();
    assert_eq!(outcome, early);
    assert_eq!(replica, Replica::default());

    for level in [2, 1, 0, 2] {
        let raise = Command::RaiseLevel(Level(level)).encode();
        let outcome = replica.try_apply(newer, raise).unwrap();
        assert_eq!(outcome, Outcome::Agreed);
        assert_eq!(replica.cluster.level, newer, "no level is taken back");
    }
    let outcome = replica.try_apply(newer, of_second).unwrap();
    let kind = CommandError::Kind {
        level: newer,
        kind: 1,
    };
    let unknown = Outcome::Rejected(Rejection::NoCommand(kind));
    assert_eq!(outcome, unknown);
}

fn found(id: u8, voters: u32, capacity: Capacity) -> Command {
    Command::Found(Found {
        id: ClusterId([id; 32]),
        voters,
        invite: Some(FoundingInvite {
            id: InviteId([id; 16]),
            invite: invite(),
        }),
        capacity,
    })
}

fn invite() -> Invite {
    Invite {
        key: PublicKey::from_bytes([8; 32]),
        expires: UnixMillis(2),
        stays_learner: true,
        uses: 1,
        used_by: BTreeSet::new(),
    }
}

#[test]
fn only_the_first_command_names_the_cluster() {
    let mut replica = Replica::default();
    let capacity = |count_max| Capacity {
        count_max,
        size_max: 1,
    };
    let first = found(1, 1, capacity(1));
    assert_eq!(replica.apply(&first), Outcome::Agreed);
    let cluster = replica.cluster.clone();
    assert_eq!(cluster.capacity, Some(capacity(1)));
    assert_eq!(cluster.id, Some(ClusterId([1; 32])));
    assert!(
        cluster
            .node_registry
            .invites
            .contains_key(&InviteId([1; 16]))
    );
    let founded = replica.clone();
    assert_eq!(replica.apply(&found(2, 3, capacity(2))), Outcome::Agreed);
    assert_eq!(replica, founded);
}

#[test]
fn a_cluster_waits_for_its_voters_once() {
    let mut replica = Replica::default();
    let capacity = Capacity {
        count_max: 1,
        size_max: 1,
    };
    replica.apply(&found(1, 3, capacity));
    assert_eq!(replica.cluster.forming, Some(3));
    replica.apply(&Command::FinishFounding);
    assert_eq!(replica.cluster.forming, None);
    replica.apply(&found(1, 3, capacity));
    assert_eq!(replica.cluster.forming, None, "never again");
}

#[test]
fn vouchers_are_kept_until_they_are_dropped() {
    let mut replica = Replica::default();
    replica.apply(&register(1, "a"));
    let node = |byte| NodeId(PublicKey::from_bytes([byte; 32]));
    let voucher = Voucher {
        member: node(1),
        index: AT,
        signer: node(2),
        r: [1; 32],
        s: [2; 32],
    };
    replica.apply(&Command::Vouch(voucher));
    assert_eq!(
        replica.cluster.node_registry.vouchers.chain(node(1)),
        [voucher]
    );
    replica.apply(&Command::DropVouchers(LogIndex(AT.0 - 1)));
    assert_eq!(replica.cluster.node_registry.vouchers.kept.len(), 1);
    replica.apply(&Command::DropVouchers(AT));
    assert!(replica.cluster.node_registry.vouchers.kept.is_empty());
}

fn register(node: u8, name: &str) -> Command {
    Command::Register {
        node: PublicKey::from_bytes([node; 32]),
        registration: Registration {
            name: name.to_owned(),
            ..Registration::default()
        },
    }
}

#[test]
fn a_node_is_registered_by_its_invite_and_forgotten_by_order() {
    let mut replica = Replica::default();
    let node = PublicKey::from_bytes([1; 32]);
    let id = InviteId([5; 16]);
    let join = Command::Join(Join {
        invite: id,
        node,
        name: "a".to_owned(),
        address: "here:1".to_owned(),
        now: UnixMillis(1),
    });
    let refused = Outcome::Joined(Err(JoinRejection::Unknown));
    assert_eq!(replica.apply(&join), refused);
    let invited = replica.apply(&Command::Invite {
        id,
        invite: invite(),
        now: UnixMillis(1),
    });
    assert_eq!(invited, Outcome::Agreed);
    assert_eq!(replica.apply(&join), Outcome::Joined(Ok(())));
    let registration = &replica.cluster.node_registry.registrations[&node];
    assert!(registration.stays_learner && registration.address == "here:1");
    assert_eq!(replica.apply(&Command::Deregister(node)), Outcome::Agreed);
    assert!(replica.cluster.node_registry.registrations.is_empty());
    let used = Outcome::Joined(Err(JoinRejection::Used));
    assert_eq!(replica.apply(&join), used);
}

#[test]
fn a_registration_beyond_its_bounds_changes_nothing() {
    let mut replica = Replica::default();
    replica.apply(&register(1, "a"));
    let before = replica.clone();
    let long = register(2, &"n".repeat(crate::NAME_SIZE_MAX + 1));
    let rejected = Outcome::Rejected(Rejection::Registration);
    assert_eq!(replica.apply(&long), rejected);
    assert_eq!(replica, before);
    assert_eq!(replica.apply(&register(1, "b")), Outcome::Agreed);
}

#[test]
fn the_newest_packet_of_a_key_stays() {
    use PutOutcome::*;
    let mut replica = Replica::default();
    let batch = [
        packet(1, 5, b"b"),
        packet(1, 4, b"z"),
        packet(1, 5, b"a"),
        packet(1, 5, b"c"),
    ];
    assert_eq!(
        replica.put(1, &batch),
        [Stored, Superseded, Superseded, Stored]
    );
    assert_eq!(
        replica.map.0[&PublicKey::from_bytes([1; 32])].packet,
        batch[3]
    );
}

#[test]
fn receiving_a_packet_again_renews_it_and_nothing_else() {
    let mut replica = Replica::default();
    let first = packet(1, 5, b"a");
    let stored = |replica: &Replica| replica.map.0[first.key()].clone();
    replica.put(10, std::slice::from_ref(&first));
    assert_eq!(
        replica.put(30, std::slice::from_ref(&first)),
        [PutOutcome::Unchanged]
    );
    let renewed = StoredPacket {
        received: UnixMillis(30),
        packet: first.clone(),
    };
    assert_eq!(stored(&replica), renewed);
    replica.put(20, std::slice::from_ref(&first));
    assert_eq!(
        stored(&replica),
        renewed,
        "a slow clock makes nothing older"
    );
}

#[test]
fn timestamps_too_far_ahead_are_rejected() {
    use PutOutcome::*;
    let latest_ms = 1000 + millis(TIMESTAMP_AHEAD_MAX);
    let latest = latest_ms * 1000 + 999;
    let packets = [
        packet(1, latest, b""),
        packet(2, latest + 1, b""),
        packet(3, u64::MAX, b""),
    ];
    let expected = [Stored, TooFarAhead, TooFarAhead];
    assert_eq!(Replica::default().put(1000, &packets), expected);

    // The batch says so itself, whatever its time.
    for now in [0, 1000, u64::MAX] {
        let outcome = Replica::default().apply(&Command::PutBatch(PutBatch {
            now: UnixMillis(now),
            timestamp_max: UnixMillis(latest_ms),
            conditions: BatchConditions::default(),
            packets: packets.to_vec(),
        }));
        let outcomes = expected.to_vec();
        assert_eq!(
            outcome,
            Outcome::Put {
                outcomes,
                evicted_count: 0
            }
        );
    }
}

#[test]
fn expiry_removes_the_oldest_first_and_no_more_than_asked() {
    let mut replica = Replica::default();
    for key in 1..=4 {
        replica.put(u64::from(key) * 10, &[packet(key, 1, b"")]);
    }
    let expire = Command::Expire {
        cutoff: UnixMillis(40),
        count_max: 2,
    };
    assert_eq!(replica.apply(&expire), Outcome::Expired(2));
    assert_eq!(replica.keys(), [3, 4]);
    assert_eq!(replica.apply(&expire), Outcome::Expired(1));
    assert_eq!(replica.apply(&expire), Outcome::Expired(0));
}

#[path = "apply_capacity_tests.rs"]
mod capacity;

#[path = "apply_time_tests.rs"]
mod time;

#[path = "apply_publishing_tests.rs"]
mod publishing;

#[path = "apply_properties.rs"]
mod properties;

/// In one entry: a leader that fails between two would leave the secrets of a stolen machine in use.
#[test]
fn the_removal_of_a_compromised_node_demands_all_secrets_anew() {
    let mut replica = Replica::default();
    let key = PublicKey::from_bytes([3; 32]);
    replica.apply(&Command::DeregisterCompromised(key));
    let secrets = &replica.cluster.secrets;
    assert!(secrets.key_due.is_some());
    let due: Vec<_> = secrets
        .due
        .iter()
        .map(|(kind, why)| (*kind, *why))
        .collect();
    let expected = SecretKind::of_operators().into_iter();
    assert_eq!(
        due,
        expected
            .map(|kind| (kind, Renewal::Compromised))
            .collect::<Vec<_>>()
    );
    assert!(replica.cluster.node_registry.removed.contains_key(&key));
}
