//! The laws of `apply`, whatever the log holds.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{self, Index},
};
use strum::VariantArray;

use super::{
    capacity::{UNBOUNDED, capacity},
    *,
};
use crate::{KeyId, Renewal, SealedSecret, SecretKind, StoreSecret, SwitchKey, fixture::name};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    }
}

/// Packets of few keys, timestamps and contents, so that they meet. A timestamp of 700 s is too
/// far ahead of the first 100 s.
fn any_packet() -> impl Strategy<Value = SignedPacket> {
    let micros = prop_oneof![4 => 0..4u64, 1 => Just(700_000_000)];
    (0..3u8, micros, vec(0..2u8, 0..3)).prop_map(|(key, micros, dns)| packet(key, micros, &dns))
}

fn any_batch() -> impl Strategy<Value = Command> {
    let timestamp_max = prop::option::weighted(0.3, (0..900_000u64).prop_map(UnixMillis));
    (any_now(), timestamp_max, vec(any_packet(), 0..6)).prop_map(|(now, timestamp_max, packets)| {
        Command::PutBatch(PutBatch {
            now,
            timestamp_max: timestamp_max.unwrap_or(now.saturating_add(TIMESTAMP_AHEAD_MAX)),
            conditions: BatchConditions::default(),
            packets,
        })
    })
}

/// Of each condition one kind or more, of packets that may meet them.
fn any_conditions() -> impl Strategy<Value = Conditions> {
    let version = |(packet, has_signature): (SignedPacket, bool)| {
        let version = Version::of(&packet);
        let signature = version.signature.filter(|_| has_signature);
        Version {
            signature,
            ..version
        }
    };
    let versions = || vec((any_packet(), any::<bool>()).prop_map(version), 0..3);
    let condition = prop_oneof![
        Just(Condition::Stored),
        Just(Condition::NotStored),
        versions().prop_map(Condition::AnyOf),
        versions().prop_map(Condition::NoneOf),
        (0..2u64).prop_map(Condition::UnmodifiedSince),
        (0..2u8).prop_map(|byte| Condition::Token(TokenHash([byte; 32]))),
    ];
    vec(condition, 0..3).prop_map(|conditions| Conditions::new(conditions).unwrap())
}

/// The last of its packets has a condition.
fn any_conditional_batch() -> impl Strategy<Value = Command> {
    let conditions = vec(prop::option::of(any_conditions()), 5);
    let parts = (
        any_now(),
        0..900_000u64,
        vec(any_packet(), 1..6),
        conditions,
    );
    parts.prop_map(|(now, timestamp_max, packets, conditions)| {
        let mut of_batch = BatchConditions::default();
        let places = 0..packets.len() as u16;
        for (place, conditions) in places.zip(conditions) {
            of_batch.insert(place, conditions.unwrap_or_default());
        }
        let stored = Conditions::new(vec![Condition::Stored]).unwrap();
        of_batch.insert(packets.len() as u16 - 1, stored);
        Command::PutBatch(PutBatch {
            now,
            timestamp_max: UnixMillis(timestamp_max),
            conditions: of_batch,
            packets,
        })
    })
}

/// Few keys and tokens, so that they meet.
fn any_of_publishing() -> impl Strategy<Value = Command> {
    let key = || (0..3u8).prop_map(|byte| PublicKey::from_bytes([byte; 32]));
    let keys = || vec(key(), 0..3);
    let mode = prop_oneof![
        Just(PublishMode::Open),
        Just(PublishMode::AllowList),
        Just(PublishMode::Tokens)
    ];
    let token = ("[ab ]{0,2}", any::<u8>());
    let change = prop_oneof![
        mode.prop_map(PublishChange::SetMode),
        keys().prop_map(PublishChange::Allow),
        keys().prop_map(PublishChange::Disallow),
        keys().prop_map(PublishChange::Deny),
        keys().prop_map(PublishChange::Undeny),
        token.prop_map(|(name, hash)| PublishChange::AddToken {
            name,
            hash: TokenHash([hash; 32])
        }),
        "[ab]{1,2}".prop_map(PublishChange::RemoveToken),
    ];
    let delete = (key(), prop::option::of(any_now()), any_now());
    let delete = delete.prop_map(|(key, blocked_until, now)| Command::DeletePacket {
        key,
        blocked_until,
        now,
    });
    prop_oneof![change.prop_map(Command::ChangePublishing), delete]
}

/// Moments that are too near to each other for a packet to give way, and days.
fn any_now() -> impl Strategy<Value = UnixMillis> {
    let days = (0..4u64, 0..3u64).prop_map(|(day, ms)| day * 24 * 3600 * 1000 + ms);
    prop_oneof![3 => 0..200_000u64, 1 => days].prop_map(UnixMillis)
}

fn any_command() -> impl Strategy<Value = Command> {
    let expire = (0..200_000u64, 0..4u32).prop_map(|(cutoff, count_max)| Command::Expire {
        cutoff: UnixMillis(cutoff),
        count_max,
    });
    let raise = (0..2u16).prop_map(|level| Command::RaiseLevel(Level(level)));
    let tick = any_now().prop_map(|now| Command::Tick { now });
    let set_back = any_now().prop_map(|now| Command::SetBack { now });
    prop_oneof![
        1 => tick,
        1 => set_back,
        6 => any_batch(),
        3 => any_conditional_batch(),
        1 => expire,
        1 => raise,
        3 => any_of_members(),
        3 => any_of_zones(),
        3 => any_of_publishing()
    ]
}

/// Few nodes, invites and names, so that they meet.
fn any_of_members() -> impl Strategy<Value = Command> {
    let node = || (0..3u8).prop_map(|byte| PublicKey::from_bytes([byte; 32]));
    let id = || (0..2u8).prop_map(|byte| InviteId([byte; 16]));
    let time = || (0..4u64).prop_map(UnixMillis);
    let found = (0..3u8, 0..4u64, 0..700u64).prop_map(|(id, count_max, size_max)| {
        Command::Found(Found {
            id: ClusterId([id; 32]),
            voters: id.into(),
            invite: None,
            capacity: capacity(count_max, size_max),
        })
    });
    let invite = (id(), node(), time(), time(), any::<bool>());
    let invite = invite.prop_map(|(id, key, expires, now, stays_learner)| {
        let invite = Invite {
            key,
            expires,
            stays_learner,
            uses: 2,
            used_by: BTreeSet::new(),
        };
        Command::Invite { id, invite, now }
    });
    let join = (id(), node(), "[ab]{0,1}", "[a-z:]{0,8}", time());
    let join = join.prop_map(|(invite, node, name, address, now)| {
        Command::Join(Join {
            invite,
            node,
            name,
            address,
            now,
        })
    });
    let register = (node(), "[ab]{0,1}", "[a-z:]{0,8}", any::<[bool; 2]>());
    let register = register.prop_map(|(node, name, address, [stays_learner, has_data])| {
        let registration = Registration {
            name,
            address,
            stays_learner,
            has_data,
            index: LogIndex(0),
        };
        Command::Register { node, registration }
    });
    let deregister = node().prop_map(Command::Deregister);
    let vouch = (node(), 4..7u64, node()).prop_map(|(member, index, signer)| {
        Command::Vouch(Voucher {
            member: NodeId(member),
            index: LogIndex(index),
            signer: NodeId(signer),
            r: [0; 32],
            s: [0; 32],
        })
    });
    let drop = (4..7u64).prop_map(|index| Command::DropVouchers(LogIndex(index)));
    let form = Just(Command::FinishFounding);
    prop_oneof![found, form, invite, join, register, deregister, vouch, drop]
}

/// Few zones, names and types, so that they meet, and some that no zone can have.
fn any_of_zones() -> impl Strategy<Value = Command> {
    let zone = || "[ab]\\.";
    let owner = || "([xy]\\.)?[ab]\\.";
    let record_type = || prop_oneof![1..7u16, Just(39u16), Just(255u16)];
    let new = (
        owner(),
        record_type(),
        any::<u32>(),
        vec(vec(any::<u8>(), 0..3), 0..3),
    );
    let new = new.prop_map(|(owner, record_type, ttl_secs, rdata)| {
        let rdata = rdata.into_iter().map(Bytes::from).collect();
        let mut of = set(&owner, record_type, &[]);
        of.records = crate::RecordSet { ttl_secs, rdata };
        of
    });
    let unset = (owner(), prop::option::of(record_type()));
    let parts = (zone(), any::<bool>(), vec(unset, 0..3), vec(new, 0..3));
    let changed = parts.prop_map(|(zone, clear, unset, sets)| {
        let mut change = change(&zone, sets);
        change.clear = clear;
        let unset = unset.into_iter();
        change.unset = unset.map(|(owner, of)| (name(&owner), of)).collect();
        Command::ChangeZone(change)
    });
    prop_oneof![3 => changed, 1 => any_secret_change()]
}

fn any_secret_change() -> impl Strategy<Value = Command> {
    let kinds = sample::subsequence(SecretKind::VARIANTS, 0..=SecretKind::VARIANTS.len());
    let parts = (0..3_u8, any::<u8>(), kinds, any_now(), any::<Option<u8>>());
    (0..5_u8, parts).prop_map(
        |(choice, (key, byte, kinds, made, replaces))| match choice {
            0 => Command::DemandKey,
            1 => Command::SwitchKey(SwitchKey {
                key: KeyId([key; _]),
                made_after: LogIndex(byte.into()),
            }),
            2 => Command::DemandSecrets {
                kinds,
                renewal: Renewal::Requested,
            },
            3 => Command::DropSecrets(kinds),
            _ => Command::StoreSecret(StoreSecret {
                kind: SecretKind::DnsCookies,
                replaces: replaces.map(|index| LogIndex(index.into())),
                is_new: byte > 9,
                sealed: SealedSecret {
                    key: KeyId([key; _]),
                    bytes: vec![byte; byte.into()].into(),
                    made,
                },
            }),
        },
    )
}

/// Entries of every kind: commands, commands with a byte changed and the end cut off, and what
/// merely begins like one.
fn any_entry() -> impl Strategy<Value = Bytes> {
    let damaged = (any_command(), any::<(Index, u8, Index)>());
    let damaged = damaged.prop_map(|(command, (at, byte, end))| {
        let mut entry = command.encode().to_vec();
        let at = at.index(entry.len());
        entry[at] = byte;
        entry.truncate(end.index(entry.len() + 1));
        entry
    });
    let magic = prop_oneof![3 => Just(b'Q'), 1 => 1..3u8];
    let bytes = (magic, 0..5u8, 0..18u8, vec(any::<u8>(), 0..400));
    let bytes =
        bytes.prop_map(|(magic, level, kind, rest)| [&[magic, 0, level, kind], &rest[..]].concat());
    // Levels that only newer programs know.
    let raise = (0..5u16).prop_map(|level| Command::RaiseLevel(Level(level)));
    prop_oneof![
        3 => any_command().prop_map(|command| command.encode()),
        1 => raise.prop_map(|command| command.encode()),
        3 => damaged.prop_map(Bytes::from),
        3 => bytes.prop_map(Bytes::from),
    ]
}

fn applied(replica: &mut Replica, commands: &[Command]) {
    for command in commands {
        replica.apply(command);
    }
}

fn newest(replica: &Replica) -> Vec<&SignedPacket> {
    let stored = replica.map.0.values();
    stored.map(|stored| &stored.packet).collect()
}

proptest! {
    #![proptest_config(config())]

    /// The law of totality, and of what is not applied nothing stays.
    #[test]
    fn any_entry_is_applied_or_rejected_completely(
        supported in (1..4u16).prop_map(Level),
        entries in vec(any_entry(), 0..8),
    ) {
        let mut replica = Replica::default();
        for entry in entries {
            let before = replica.clone();
            let needed = Command::encoded_level(&entry);
            let decoded = Command::decode(entry.clone());
            match replica.try_apply(supported, entry) {
                Ok(Outcome::Rejected(Rejection::NoCommand(error))) => {
                    prop_assert_eq!(decoded.err(), Some(error));
                    prop_assert_eq!(&replica, &before);
                }
                Ok(Outcome::Rejected(Rejection::AboveCluster { needed, agreed })) => {
                    prop_assert!(needed > agreed && agreed == before.cluster.level);
                    prop_assert_eq!(&replica, &before);
                }
                Ok(Outcome::Rejected(_)) => prop_assert_eq!(&replica, &before),
                Ok(_) => {
                    prop_assert!(needed.unwrap() <= before.cluster.level);
                    prop_assert!(replica.cluster.level <= supported);
                }
                Err(error) => {
                    let raises = match decoded {
                        Ok(Command::RaiseLevel(level)) => level == error.needed,
                        _ => false,
                    };
                    prop_assert!(needed == Ok(error.needed) || raises);
                    prop_assert!(error.needed > supported);
                    prop_assert_eq!(&replica, &before);
                }
            }
        }
    }

    /// The law of determinism.
    #[test]
    fn equal_logs_give_equal_packets(entries in vec(any_entry(), 0..10)) {
        let mut replicas = [Replica::default(), Replica::default()];
        for entry in entries {
            let [a, b] = replicas
                .each_mut()
                .map(|replica| replica.try_apply(LEVEL_MAX, entry.clone()));
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(&replicas[0], &replicas[1]);
    }

    /// Old and new programs side by side: as long as the old one runs, they agree.
    #[test]
    fn programs_of_different_levels_agree_until_one_stops(
        older in 1..4u16,
        entries in vec(any_entry(), 0..10),
    ) {
        let [mut old, mut new] = [Replica::default(), Replica::default()];
        for entry in entries {
            let of_old = old.try_apply(Level(older), entry.clone());
            if of_old.is_err() {
                break;
            }
            prop_assert_eq!(of_old, new.try_apply(Level(older + 1), entry));
            prop_assert_eq!(&old, &new);
        }
    }

    /// What was deleted stays away, whatever stood there meanwhile.
    #[test]
    fn nothing_is_stored_that_is_not_newer_than_what_was_deleted(
        commands in vec(any_command(), 0..16),
    ) {
        let mut replica = Replica::default();
        for command in commands {
            let before = replica.clone();
            let outcome = replica.apply(&command);
            let deleted = &replica.cluster.publishing.deleted;
            for (key, stored) in &replica.map.0 {
                let is_newer = |it: &Deletion| stored.packet.timestamp() > it.timestamp;
                prop_assert!(deleted.get(key).is_none_or(is_newer));
            }
            for (key, deletion) in &before.cluster.publishing.deleted {
                prop_assert!(deleted[key].timestamp >= deletion.timestamp);
            }
            if let (Command::DeletePacket { key, .. }, Outcome::Deleted { existed }) =
                (&command, outcome)
            {
                let stored = before.map.0.get(key);
                prop_assert_eq!(existed, stored.is_some());
                let keeps_away = |old: &StoredPacket| {
                    deleted.get(key).is_some_and(|it| it.timestamp >= old.packet.timestamp())
                };
                prop_assert!(stored.is_none_or(keeps_away));
            }
        }
    }

    /// Who may not publish changes nothing of what is stored.
    #[test]
    fn a_forbidden_publisher_stores_nothing(
        commands in vec(any_command(), 0..10),
        batch in prop_oneof![any_batch(), any_conditional_batch()],
    ) {
        let mut replica = Replica::default();
        applied(&mut replica, &commands);
        let before = replica.clone();
        let Command::PutBatch(PutBatch { now, packets, .. }) = &batch else {
            panic!("a batch is put");
        };
        let Outcome::Put { outcomes, .. } = replica.apply(&batch) else {
            panic!("a batch is put");
        };
        let publishing = &before.cluster.publishing;
        for (packet, outcome) in packets.iter().zip(outcomes) {
            let key = packet.key();
            let is_blocked = publishing.blocked_until(key).is_some_and(|until| *now < until);
            if publishing.forbids(key) || is_blocked {
                let refused = [PutOutcome::Forbidden, PutOutcome::Blocked, PutOutcome::TooFarAhead];
                prop_assert!(refused.contains(&outcome), "{:?}", outcome);
                let stored = replica.map.0.get(key);
                prop_assert!(stored.is_none() || stored == before.map.0.get(key));
            }
        }
    }

    /// Whatever comes, no key that is unknown is taken beyond the capacity.
    #[test]
    fn the_number_of_packets_stays_within_the_capacity(
        count_max in 1..4u64,
        batches in vec(any_batch(), 0..12),
    ) {
        let mut replica = Replica::holding(capacity(count_max, UNBOUNDED), &[]);
        for batch in batches {
            let before = replica.clone();
            let Outcome::Put { outcomes, evicted_count } = replica.apply(&batch) else {
                panic!("a batch is put");
            };
            let count = replica.map.0.len() as u64;
            prop_assert!(count <= count_max);
            let gone = before.map.0.keys().filter(|key| !replica.map.0.contains_key(key));
            prop_assert!(gone.count() as u64 <= evicted_count);
            if outcomes.contains(&PutOutcome::Full) {
                prop_assert_eq!(count, count_max);
            }
        }
    }

    #[test]
    fn any_command_is_read_as_it_was_written(command in any_command()) {
        prop_assert_eq!(Command::decode(command.encode()), Ok(command));
    }

    /// However packets are put into batches, and in whatever order they come.
    #[test]
    fn the_newest_packet_wins_in_any_order(
        (packets, shuffled) in vec(any_packet(), 0..12)
            .prop_flat_map(|packets| (Just(packets.clone()), Just(packets).prop_shuffle())),
        size in 1..12usize,
    ) {
        let mut replica = Replica::default();
        for batch in shuffled.chunks(size) {
            replica.put(90_000, batch);
        }
        let in_time = |packet: &&SignedPacket| packet.timestamp().as_micros() < 690_000_000;
        let mut expected = BTreeMap::new();
        for packet in packets.iter().filter(in_time) {
            let newest = expected.entry(*packet.key()).or_insert(packet);
            if packet.recency(newest) == Ordering::Greater {
                *newest = packet;
            }
        }
        prop_assert_eq!(newest(&replica), expected.into_values().collect::<Vec<_>>());
    }

    /// A PUT whose outcome is unknown may be repeated: at once it changes nothing at all, and
    /// later no packet.
    #[test]
    fn a_batch_applied_again_changes_nothing(
        batch in any_batch(),
        later in vec(any_batch(), 0..4),
    ) {
        let mut replica = Replica::default();
        applied(&mut replica, std::slice::from_ref(&batch));
        let once = replica.clone();
        applied(&mut replica, std::slice::from_ref(&batch));
        prop_assert_eq!(&replica, &once);

        applied(&mut replica, &later);
        let mut again = replica.clone();
        applied(&mut again, &[batch]);
        prop_assert_eq!(newest(&replica), newest(&again));
    }
}
