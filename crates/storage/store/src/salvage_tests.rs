use std::collections::BTreeMap;

use quorate_disk::Disk;
use quorate_sim::SimDisk;

use super::*;
use crate::{CheckpointScope, IoSpeed, Store, fixture::*, single_file_disk::SingleFileDisk};

const PATH: &str = "/data/packets.redb";
const COUNT: u32 = 2_000;

fn packet(number: u32) -> StoredPacket {
    stored(number, 10, 200 + number as usize % 700)
}

fn checkpointed() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir("/data".as_ref()).unwrap();
    let store = open(&config_on(disk.clone(), PATH));
    put(&store, 1, (0..COUNT).map(packet));
    checkpoint(&store);
    disk
}

/// The latest packet of each key, and whether the meta was readable.
fn salvaged(config: &StoreConfig) -> (BTreeMap<PublicKey, StoredPacket>, bool) {
    let mut found = BTreeMap::<PublicKey, StoredPacket>::new();
    let meta = salvage(config, |stored| {
        let known = found
            .entry(*stored.packet.key())
            .or_insert_with(|| stored.clone());
        if known.received < stored.received {
            *known = stored;
        }
    });
    (found, meta.unwrap().is_some())
}

#[test]
fn all_packets_of_an_undamaged_file_are_found_and_nothing_is_written() {
    let disk = checkpointed();
    let before = disk.digest();
    let (found, has_meta) = salvaged(&config_on(disk.clone(), PATH));
    assert!(has_meta);
    assert!(found.into_values().eq((0..COUNT).map(packet)));
    assert_eq!(disk.digest(), before);
}

#[test]
fn a_file_whose_root_is_lost_loses_only_the_damaged_pages() {
    let content = checkpointed().read(PATH).unwrap();
    for damaged_pages in [0..1, 0..4, 40..80] {
        let mut damaged = content.clone();
        for page in damaged_pages.clone() {
            damaged[page * PAGE_ALIGNMENT..][..PAGE_ALIGNMENT].fill(0xa5);
        }
        let disk = SingleFileDisk::new(PATH, &damaged);
        let config = config_on(disk.clone(), PATH);
        assert!(try_open(&config).is_err(), "{damaged_pages:?}");
        let (found, _) = salvaged(&config);
        // A page has at most 20 of these packets.
        let lost = COUNT as usize - found.len();
        assert!(
            lost <= 20 * damaged_pages.len(),
            "{damaged_pages:?}: {lost}"
        );
        assert!(
            found
                .values()
                .all(|stored| (0..COUNT).map(packet).any(|it| it == *stored))
        );
        assert!(*disk.content() == damaged, "nothing is written");
    }
}

#[test]
fn any_bytes_can_be_read() {
    let mut bytes = vec![0; 3 * PAGE_ALIGNMENT + 17];
    for _ in 0..200 {
        bytes.iter_mut().for_each(|byte| *byte = fastrand::u8(..));
        for page in bytes.chunks_mut(PAGE_ALIGNMENT) {
            page[0] = LEAF;
        }
        let disk = SingleFileDisk::new(PATH, &bytes);
        assert_eq!(salvaged(&config_on(disk, PATH)), (BTreeMap::new(), false));
    }
}

#[test]
fn a_copy_has_what_the_other_store_has_and_leaves_it_unchanged() {
    let disk = checkpointed();
    let before = disk.read(PATH).unwrap();
    let from = config_on(disk.clone(), PATH);
    let to = config_on(disk.clone(), "/data/copy.redb");
    let copy = Store::copy_of(&from, to.clone(), metrics()).unwrap();
    put(&copy, 2, [stored(COUNT, 20, 300)]);
    let everything = copy.begin_checkpoint(CheckpointScope::Everything);
    everything.commit(IoSpeed::Fast).unwrap();
    drop(copy);
    assert_eq!(packets(&open(&to)).len(), COUNT as usize + 1);
    assert_eq!(open(&to).meta().applied_index().0, 2);
    assert!(disk.read(PATH).unwrap() == before);
    assert_eq!(packets(&open(&from)).len(), COUNT as usize);
}

#[test]
fn a_damaged_store_is_not_copied() {
    let mut content = checkpointed().read(PATH).unwrap();
    content[40 * PAGE_ALIGNMENT..][..PAGE_ALIGNMENT].fill(0xa5);
    let from = config_on(SingleFileDisk::new(PATH, &content), PATH);
    let to = SimDisk::new();
    to.create_dir("/data".as_ref()).unwrap();
    let copied = Store::copy_of(&from, config_on(to, PATH), metrics());
    assert!(matches!(copied.map(drop), Err(StoreError::Damaged(_))));
}
