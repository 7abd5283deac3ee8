use std::{collections::BTreeMap, convert::Infallible};

use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey};

use super::*;

#[derive(Default)]
struct Map(BTreeMap<PublicKey, StoredPacket>);

impl StoredPackets for Map {
    type Error = Infallible;

    fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, Infallible> {
        Ok(self.0.get(key).cloned())
    }

    fn put(&mut self, stored: &StoredPacket) -> Result<(), Infallible> {
        self.0.insert(*stored.packet.key(), stored.clone());
        Ok(())
    }

    fn remove_received_before(
        &mut self,
        cutoff: UnixMillis,
        count_max: usize,
    ) -> Result<usize, Infallible> {
        let mut old: Vec<_> = self
            .0
            .values()
            .filter(|r| r.received < cutoff)
            .cloned()
            .collect();
        old.sort_by_key(|r| (r.received, *r.packet.key()));
        old.truncate(count_max);
        old.iter().for_each(|r| drop(self.0.remove(r.packet.key())));
        Ok(old.len())
    }
}

fn packet(key: u8, micros: u64, dns: &[u8]) -> SignedPacket {
    let mut payload = vec![0; PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&micros.to_be_bytes());
    payload.extend_from_slice(dns);
    SignedPacket::assume_verified(PublicKey::from_bytes([key; 32]), payload.into()).unwrap()
}

fn put(map: &mut Map, now: u64, packets: &[SignedPacket]) -> Vec<PutOutcome> {
    let batch = PutBatch {
        now: UnixMillis(now),
        packets: packets.to_vec(),
    };
    match apply(map, Command::PutBatch(batch).encode()) {
        Ok(Outcome::Put(outcomes)) => outcomes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_command_survives_its_encoding() {
    let commands = [
        Command::PutBatch(PutBatch {
            now: UnixMillis(5),
            packets: vec![],
        }),
        Command::PutBatch(PutBatch {
            now: UnixMillis(u64::MAX),
            packets: vec![packet(1, 2, b"x"), packet(2, u64::MAX, &[7; 1000])],
        }),
        Command::Expire {
            cutoff: UnixMillis(9),
            count_max: 3,
        },
    ];
    for command in commands {
        assert_eq!(Command::decode(command.encode()), Ok(command));
    }
}

#[test]
fn no_entry_makes_apply_fail() {
    let batch = PutBatch {
        now: UnixMillis(5),
        packets: vec![packet(1, 2, b"x")],
    };
    let good = Command::PutBatch(batch).encode();
    let mut map = Map::default();
    for len in 0..good.len() {
        // A batch may end behind its clock: that is the empty batch.
        if len != 10 {
            let outcome = apply(&mut map, good.slice(..len)).unwrap();
            assert!(
                matches!(outcome, Outcome::Rejected(_)),
                "{len}: {outcome:?}"
            );
        }
    }
    for entry in [
        &[2, 1][..],
        &[1, 9],
        &[1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0],
    ] {
        let outcome = apply(&mut map, Bytes::copy_from_slice(entry)).unwrap();
        assert!(
            matches!(outcome, Outcome::Rejected(_)),
            "{entry:?}: {outcome:?}"
        );
    }
    assert!(map.0.is_empty());
}

#[test]
fn the_newest_packet_of_a_key_stays() {
    use PutOutcome::*;
    let mut map = Map::default();
    let batch = [
        packet(1, 5, b"b"),
        packet(1, 4, b"z"),
        packet(1, 5, b"a"),
        packet(1, 5, b"c"),
    ];
    assert_eq!(
        put(&mut map, 1, &batch),
        [Stored, Superseded, Superseded, Stored]
    );
    assert_eq!(map.0[&PublicKey::from_bytes([1; 32])].packet, batch[3]);
}

#[test]
fn receiving_a_packet_again_renews_it_and_nothing_else() {
    let mut map = Map::default();
    let first = packet(1, 5, b"a");
    put(&mut map, 10, std::slice::from_ref(&first));
    assert_eq!(
        put(&mut map, 30, std::slice::from_ref(&first)),
        [PutOutcome::Unchanged]
    );
    let stored = |map: &Map| map.0[first.key()].clone();
    assert_eq!(
        stored(&map),
        StoredPacket {
            received: UnixMillis(30),
            packet: first.clone()
        }
    );
    put(&mut map, 20, std::slice::from_ref(&first));
    assert_eq!(
        stored(&map).received,
        UnixMillis(30),
        "a slow clock makes nothing older"
    );
}

#[test]
fn timestamps_too_far_ahead_are_refused() {
    let mut map = Map::default();
    let ahead_ms = u64::try_from(TIMESTAMP_AHEAD_MAX.as_millis()).unwrap();
    let latest = (1000 + ahead_ms) * 1000 + 999;
    let batch = [
        packet(1, latest, b""),
        packet(2, latest + 1, b""),
        packet(3, u64::MAX, b""),
    ];
    use PutOutcome::*;
    assert_eq!(
        put(&mut map, 1000, &batch),
        [Stored, TooFarAhead, TooFarAhead]
    );
}

#[test]
fn expiry_removes_the_oldest_first_and_no_more_than_asked() {
    let mut map = Map::default();
    for key in 1..=4 {
        put(&mut map, u64::from(key) * 10, &[packet(key, 1, b"")]);
    }
    let expire = Command::Expire {
        cutoff: UnixMillis(40),
        count_max: 2,
    }
    .encode();
    assert_eq!(apply(&mut map, expire.clone()), Ok(Outcome::Expired(2)));
    let left: Vec<_> = map.0.keys().map(|key| key.as_bytes()[0]).collect();
    assert_eq!(left, [3, 4]);
    assert_eq!(apply(&mut map, expire.clone()), Ok(Outcome::Expired(1)));
    assert_eq!(apply(&mut map, expire), Ok(Outcome::Expired(0)));
}

mod properties {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

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
        (0..200_000u64, vec(any_packet(), 0..6)).prop_map(|(now, packets)| {
            Command::PutBatch(PutBatch {
                now: UnixMillis(now),
                packets,
            })
        })
    }

    fn any_command() -> impl Strategy<Value = Command> {
        let expire = (0..200_000u64, 0..4u32).prop_map(|(cutoff, count_max)| Command::Expire {
            cutoff: UnixMillis(cutoff),
            count_max,
        });
        prop_oneof![3 => any_batch(), 1 => expire]
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
        let bytes = (0..3u8, 0..4u8, vec(any::<u8>(), 0..400));
        let bytes = bytes.prop_map(|(version, kind, rest)| [&[version, kind], &rest[..]].concat());
        prop_oneof![
            any_command().prop_map(|command| command.encode()),
            damaged.prop_map(Bytes::from),
            bytes.prop_map(Bytes::from),
        ]
    }

    fn applied(map: &mut Map, commands: &[Command]) -> Vec<Outcome> {
        let entries = commands.iter().map(Command::encode);
        entries.map(|entry| apply(map, entry).unwrap()).collect()
    }

    fn newest(map: &Map) -> Vec<&SignedPacket> {
        map.0.values().map(|stored| &stored.packet).collect()
    }

    proptest! {
        #![proptest_config(config())]

        /// The law of totality, and of what is rejected nothing stays.
        #[test]
        fn any_entry_is_applied_or_rejected_whole(entries in vec(any_entry(), 0..6)) {
            let mut map = Map::default();
            for entry in entries {
                let before = map.0.clone();
                let decoded = Command::decode(entry.clone());
                let outcome = apply(&mut map, entry).unwrap();
                prop_assert_eq!(decoded.err(), match outcome {
                    Outcome::Rejected(error) => Some(error),
                    _ => None,
                });
                if matches!(outcome, Outcome::Rejected(_)) {
                    prop_assert_eq!(&map.0, &before);
                }
            }
        }

        /// The law of determinism.
        #[test]
        fn equal_logs_give_equal_packets(entries in vec(any_entry(), 0..10)) {
            let mut maps = [Map::default(), Map::default()];
            for entry in entries {
                let [a, b] = maps.each_mut().map(|map| apply(map, entry.clone()));
                prop_assert_eq!(a, b);
            }
            prop_assert_eq!(&maps[0].0, &maps[1].0);
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
            let now = 90_000;
            let mut map = Map::default();
            for batch in shuffled.chunks(size) {
                put(&mut map, now, batch);
            }
            let in_time = |packet: &&SignedPacket| packet.timestamp().as_micros() < 690_000_000;
            let mut expected = BTreeMap::new();
            for packet in packets.iter().filter(in_time) {
                let newest = expected.entry(*packet.key()).or_insert(packet);
                if packet.recency(newest) == Ordering::Greater {
                    *newest = packet;
                }
            }
            prop_assert_eq!(newest(&map), expected.into_values().collect::<Vec<_>>());
        }

        /// A PUT whose outcome is unknown may be repeated: at once it changes nothing at all, and
        /// later no packet.
        #[test]
        fn a_batch_applied_again_changes_nothing(batch in any_batch(), later in vec(any_batch(), 0..4)) {
            let mut map = Map::default();
            applied(&mut map, std::slice::from_ref(&batch));
            let once = map.0.clone();
            applied(&mut map, std::slice::from_ref(&batch));
            prop_assert_eq!(&map.0, &once);

            applied(&mut map, &later);
            let mut again = Map(map.0.clone());
            applied(&mut again, &[batch]);
            prop_assert_eq!(newest(&map), newest(&again));
        }
    }
}
