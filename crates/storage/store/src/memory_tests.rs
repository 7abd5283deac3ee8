use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_disk::Disk;
use quorate_sim::SimDisk;

use super::*;
use crate::{CheckpointScope, IoSpeed, PacketsSummary, Store, fixture::*};

#[test]
fn packets_are_listed_in_the_order_of_keys_page_by_page() {
    let memory = Memory::new(Contents::default());
    let numbers = (0..200u8).map(|number| number.wrapping_mul(7));
    for number in numbers {
        memory.index.put(Arc::new(IndexedPacket::new(&StoredPacket {
            received: UnixMillis(1),
            packet: quorate_packet::SignedPacket::assume_verified(
                PublicKey::from_bytes([number; 32]),
                vec![0; quorate_packet::PAYLOAD_SIZE_MIN].into(),
            )
            .unwrap(),
        })));
    }
    let mut listed: Vec<PublicKey> = Vec::new();
    loop {
        let page = memory.packets_after(listed.last(), 30);
        assert!(page.len() <= 30);
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(key_of));
    }
    assert_eq!(listed.len(), 200);
    assert!(listed.is_sorted());
    assert!(memory.packets_after(None, 0).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Put {
        number: u32,
        received: u64,
        size: usize,
    },
    Expire {
        cutoff: u64,
        count_max: usize,
    },
    Checkpoint {
        everything: bool,
    },
    DropCheckpoint {
        everything: bool,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (0..12u32, 0..40u64, 72..400usize).prop_map(|(number, received, size)| Step::Put {
        number,
        received,
        size,
    });
    let expire =
        (0..40u64, 0..6usize).prop_map(|(cutoff, count_max)| Step::Expire { cutoff, count_max });
    let step = prop_oneof![
        8 => put,
        2 => expire,
        2 => any::<bool>().prop_map(|everything| Step::Checkpoint { everything }),
        1 => any::<bool>().prop_map(|everything| Step::DropCheckpoint { everything }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

/// The expected content of a store: packets and the index of the last entry.
#[derive(Debug, Clone, Default)]
struct Model {
    packets: BTreeMap<PublicKey, StoredPacket>,
    index: u64,
}

impl Model {
    fn expire(&mut self, cutoff: u64, count_max: usize) -> usize {
        let packets = self.packets.values();
        let mut by_age: Vec<_> = packets
            .map(|stored| (stored.received, key_of(stored)))
            .collect();
        by_age.sort_unstable();
        by_age.retain(|(received, _)| *received < UnixMillis(cutoff));
        by_age.truncate(count_max);
        for (_, key) in &by_age {
            self.packets.remove(key);
        }
        by_age.len()
    }

    fn expect(&self, store: &Store) {
        let expected: Vec<_> = self.packets.values().cloned().collect();
        assert_eq!(packets(store), expected);
        let mut summary = PacketsSummary::default();
        expected.iter().for_each(|stored| summary.insert(stored));
        let meta = store.meta();
        assert_eq!(meta.packets, summary);
        assert_eq!(meta.applied_index().0, self.index);
        let state = store.shared().memory.state();
        let by_age = expected
            .iter()
            .map(|stored| (stored.received, key_of(stored)));
        assert_eq!(state.by_age, by_age.collect());
    }
}

fn key_of(stored: &StoredPacket) -> PublicKey {
    *stored.packet.key()
}

fn scope(everything: bool) -> CheckpointScope {
    match everything {
        true => CheckpointScope::Everything,
        false => CheckpointScope::Changes,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    })]

    /// Memory contains what was put and not expired. A start restores the last checkpoint.
    #[test]
    fn the_store_is_a_map_and_a_restart_restores_its_checkpoint(steps in steps()) {
        let mut disk = SimDisk::new();
        disk.create_dir("/data".as_ref()).unwrap();
        let config = |disk: &SimDisk| config_on(disk.clone(), "/data/packets.redb");
        let mut store = open(&config(&disk));
        let (mut model, mut durable) = (Model::default(), Model::default());
        for step in steps {
            match step {
                Step::Put { number, received, size } => {
                    model.index += 1;
                    put(&store, model.index, [stored(number, received, size)]);
                    model.packets.insert(key(number), stored(number, received, size));
                }
                Step::Expire { cutoff, count_max } => {
                    assert_eq!(expire(&store, cutoff, count_max), model.expire(cutoff, count_max));
                }
                Step::Checkpoint { everything } => {
                    let checkpoint = store.begin_checkpoint(scope(everything));
                    checkpoint.commit(IoSpeed::Fast).unwrap();
                    durable = model.clone();
                    let changes = &store.shared().memory.state().changes;
                    assert!(changes.is_empty(), "they are not written again");
                }
                Step::DropCheckpoint { everything } => {
                    drop(store.begin_checkpoint(scope(everything)));
                }
                Step::Restart => {
                    disk = disk.kill();
                    store = open(&config(&disk));
                    model = durable.clone();
                }
            }
            model.expect(&store);
        }
    }
}
