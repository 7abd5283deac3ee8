use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use proptest::prelude::*;
use quorate_packet::{PAYLOAD_SIZE_MIN, SignedPacket};
use quorate_state::UnixMillis;

use super::*;

/// How many reads the tests with concurrent writers do.
const READ_COUNT: usize = 20_000;

/// How many changes the writers make meanwhile: enough that some happen between two reads.
const CHANGE_COUNT: u64 = 500;

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn stored(number: u8, received: u64) -> StoredPacket {
    let payload = Bytes::from_static(&[0; PAYLOAD_SIZE_MIN]);
    StoredPacket {
        received: UnixMillis(received),
        packet: SignedPacket::assume_verified(key(number), payload).unwrap(),
    }
}

fn indexed(number: u8, received: u64) -> Arc<IndexedPacket> {
    Arc::new(IndexedPacket::new(&stored(number, received)))
}

/// Replaces all packets by those of `numbers`, with the same received time.
fn install(index: &Index, numbers: RangeInclusive<u8>, received: u64) {
    let packets: Vec<_> = numbers.map(|number| stored(number, received)).collect();
    index.install(index.prepare(&packets));
}

fn received(index: &Index, number: u8) -> Option<u64> {
    let indexed = index.packet(&key(number))?;
    assert_eq!(*key_of(&indexed), key(number));
    Some(indexed.received.0)
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u64),
    Remove(u8),
    Install(Vec<u8>, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<u8>(), any::<u64>()).prop_map(|(number, received)| Step::Put(number, received)),
        4 => any::<u8>().prop_map(Step::Remove),
        1 => (prop::collection::vec(any::<u8>(), 0..64), any::<u64>())
            .prop_map(|(numbers, received)| Step::Install(numbers, received)),
    ];
    prop::collection::vec(step, 1..64)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    #[test]
    fn an_index_is_a_map(steps in steps()) {
        let index = Index::default();
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(number, received) => {
                    let old = index.put(indexed(number, received));
                    prop_assert_eq!(old.map(|old| old.received.0), model.insert(number, received));
                }
                Step::Remove(number) => {
                    let old = index.remove(&key(number));
                    prop_assert_eq!(old.map(|old| old.received.0), model.remove(&number));
                }
                Step::Install(numbers, received) => {
                    model = numbers.into_iter().map(|number| (number, received)).collect();
                    let packets: Vec<_> = model.keys().map(|number| stored(*number, received)).collect();
                    index.install(index.prepare(&packets));
                }
            }
            prop_assert_eq!(index.packet_count(), model.len());
            let mut visited = BTreeMap::new();
            index.for_each(|indexed| {
                visited.insert(key_of(indexed).as_bytes()[0], indexed.received.0);
            });
            prop_assert_eq!(&visited, &model);
        }
        for number in 0..=u8::MAX {
            prop_assert_eq!(received(&index, number), model.get(&number).copied());
        }
    }
}

/// Reads in a second thread while `change` is called with 1, 2, 3 and so on.
fn read_while_changing(change: impl Fn(u64), mut read: impl FnMut() + Send) {
    let change_count = AtomicU64::new(0);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read_count = 0;
            while read_count < READ_COUNT || change_count.load(Ordering::Relaxed) < CHANGE_COUNT {
                read();
                read_count += 1;
            }
        });
        while !reader.is_finished() {
            change(change_count.fetch_add(1, Ordering::Relaxed) + 1);
        }
    });
}

#[test]
fn reads_during_updates_never_go_back_in_time() {
    let index = Index::default();
    let numbers = 0..8;
    numbers
        .clone()
        .for_each(|number| drop(index.put(indexed(number, 0))));
    let update = |generation| {
        for number in numbers.clone() {
            index.put(indexed(number, generation));
        }
    };
    let mut seen = [0; 8];
    read_while_changing(update, || {
        // They are updated in order. A reader in the opposite order must see newer and newer ones.
        let mut previous = 0;
        for number in numbers.clone().rev() {
            let received = received(&index, number).expect("it is never removed");
            let last = &mut seen[usize::from(number)];
            assert!(
                received >= previous.max(*last),
                "{received}: {previous}, {last}"
            );
            (*last, previous) = (received, received);
        }
    });
}

#[test]
fn no_reader_sees_an_old_packet_after_a_new_one_of_an_installation() {
    let index = Index::default();
    install(&index, 0..=u8::MAX, 0);
    let mut seen = 0;
    read_while_changing(
        |generation| install(&index, 0..=u8::MAX, generation),
        || {
            let received = received(&index, fastrand::u8(..)).expect("it is never removed");
            assert!(received >= seen, "{received} after {seen}");
            seen = received;
        },
    );
}

#[test]
fn an_installation_removes_the_old_packets_and_returns_them() {
    let index = Index::default();
    install(&index, 1..=3, 1);
    let old = index.install(index.prepare(&[stored(3, 2), stored(4, 2)]));
    let found = [1, 2, 3, 4].map(|number| received(&index, number));
    assert_eq!(found, [None, None, Some(2), Some(2)]);
    let old_count: usize = old.shards.iter().map(|shard| read(shard).len()).sum();
    assert_eq!(old_count, 3);
}
