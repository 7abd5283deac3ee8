use std::{panic, sync::Once};

use quorate_disk::Disk;
use quorate_sim::SimDisk;
use quorate_state::StoredPacket;

use super::*;
use crate::{
    CheckpointScope, IoSpeed, Meta, Store, StoreConfig, StoreError,
    fixture::*,
    schema::{Key, PACKETS, encode_value},
    single_file_disk::SingleFileDisk,
};

/// The size of redb's pages, in bytes.
const PAGE_SIZE: usize = 4096;

/// The size of the header of a redb file, in bytes.
const HEADER_SIZE: usize = 320;

const PATH: &str = "/data/packets.redb";

/// The contents of a checkpoint.
type Contents = (Meta, Vec<StoredPacket>);

fn contents(store: &Store) -> Contents {
    (store.meta(), packets(store))
}

fn small_store(disk: &SimDisk) -> (StoreConfig, Store) {
    disk.create_dir("/data".as_ref()).unwrap();
    let config = config_on(disk.clone(), PATH);
    let store = open(&config);
    put(&store, 1, (0..200).map(|n| stored(n, 10, 300)));
    checkpoint(&store);
    (config, store)
}

/// A file with two checkpoints, after it was closed and as a crash leaves it. Then the contents of
/// the checkpoints, the newer one first.
fn small_files() -> (Vec<u8>, Vec<u8>, [Contents; 2]) {
    let disk = SimDisk::new();
    let (_, store) = small_store(&disk);
    let older = contents(&store);
    put(&store, 2, (100..220).map(|n| stored(n, 20, 400)));
    expire(&store, 11, 50);
    checkpoint(&store);
    let newer = contents(&store);
    let left_open = disk.read(PATH).unwrap();
    drop(store);
    (disk.read(PATH).unwrap(), left_open, [newer, older])
}

fn disk_with(content: &[u8]) -> (SingleFileDisk, StoreConfig) {
    let disk = SingleFileDisk::new(PATH, content);
    (disk.clone(), config_on(disk, PATH))
}

/// Opens a damaged file. Either the store has the contents of one of the checkpoints and is
/// returned, or the file is reported as damaged and is unchanged.
fn correct_or_damaged(
    content: &[u8],
    checkpoints: &[Contents],
    what: &str,
) -> Option<(StoreConfig, Store)> {
    let (disk, config) = disk_with(content);
    match try_open(&config) {
        Ok(store) => {
            assert!(
                checkpoints.contains(&contents(&store)),
                "{what}: wrong packets"
            );
            Some((config, store))
        }
        Err(StoreError::Damaged(damage)) => {
            assert!(damage.to_string().contains(PATH), "{what}: {damage}");
            assert!(*disk.content() == content, "{what}: the file was written");
            None
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

/// A store that opens although a bit was flipped must stay undamaged when it is written.
fn expect_undamaged_after_writes(config: &StoreConfig, store: Store, what: &str) {
    put(&store, 9, (0..50).map(|n| stored(n * 7, 30, 500)));
    checkpoint(&store);
    scrub(&store).unwrap_or_else(|error| panic!("{what}: {error}"));
    let expected = contents(&store);
    drop(store);
    assert_eq!(contents(&open(config)), expected, "{what}");
}

/// Flips each of these bits alone. Returns how many of the files were reported as damaged.
fn flip_each(
    content: &[u8],
    checkpoints: &[Contents],
    bits: impl IntoIterator<Item = usize>,
) -> usize {
    let mut damaged_count = 0;
    for (number, bit) in bits.into_iter().enumerate() {
        let what = format!("bit {} of byte {}", bit % 8, bit / 8);
        let mut flipped = content.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match correct_or_damaged(&flipped, checkpoints, &what) {
            Some((config, store)) if number % 32 == 0 => {
                expect_undamaged_after_writes(&config, store, &what);
            }
            Some(_) => {}
            None => damaged_count += 1,
        }
    }
    damaged_count
}

/// Suppresses the output of redb's panics on damaged files, which are expected.
fn silence_redb() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !panic
                .location()
                .is_some_and(|at| at.file().contains("redb-"))
            {
                print(panic);
            }
        }));
    });
}

fn used_pages(content: &[u8]) -> Vec<usize> {
    let pages = content.chunks(PAGE_SIZE).enumerate();
    let used = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    used.map(|(number, _)| number).collect()
}

#[test]
fn a_flipped_bit_of_the_header_never_yields_wrong_packets() {
    silence_redb();
    let (closed, left_open, checkpoints) = small_files();
    let bits = 0..HEADER_SIZE * 8;
    let damaged_count = flip_each(&left_open, &checkpoints, bits.clone());
    assert!(damaged_count > bits.len() / 4, "only {damaged_count}");
    flip_each(&closed, &checkpoints, bits.step_by(3));
}

#[test]
fn a_flipped_bit_of_a_page_never_yields_wrong_packets() {
    silence_redb();
    let (closed, left_open, checkpoints) = small_files();
    let mut random = fastrand::Rng::with_seed(6);
    for content in [closed, left_open] {
        // The tree data is at the start of a page, packets are anywhere in it.
        let pages = used_pages(&content);
        let starts = pages.iter().map(|page| (*page, 64));
        let bits: Vec<usize> = starts
            .chain(pages.iter().map(|page| (*page, PAGE_SIZE)))
            .flat_map(|(page, size)| [(page, size); 16])
            .map(|(page, size)| page * PAGE_SIZE * 8 + random.usize(0..size * 8))
            .collect();
        let count = bits.len();
        let damaged_count = flip_each(&content, &checkpoints, bits);
        assert!(damaged_count > count / 4, "only {damaged_count} of {count}");
    }
}

#[test]
fn a_zeroed_garbled_exchanged_or_truncated_page_never_yields_wrong_packets() {
    silence_redb();
    let (closed, left_open, checkpoints) = small_files();
    let mut random = fastrand::Rng::with_seed(6);
    for content in [closed, left_open] {
        let pages = used_pages(&content);
        let mut damaged_count = 0;
        for page in &pages {
            let at = page * PAGE_SIZE;
            let mut zeroed = content.clone();
            zeroed[at..at + PAGE_SIZE].fill(0);
            let mut exchanged = content.clone();
            let other = pages[random.usize(0..pages.len())] * PAGE_SIZE;
            exchanged[at..at + PAGE_SIZE].copy_from_slice(&content[other..other + PAGE_SIZE]);
            exchanged[other..other + PAGE_SIZE].copy_from_slice(&content[at..at + PAGE_SIZE]);
            let mut garbled = content.clone();
            let start = random.usize(0..PAGE_SIZE - 64);
            let garbage = &mut garbled[at + start..at + start + 64];
            garbage.fill_with(|| random.u8(..));
            let cut = content[..at + random.usize(1..PAGE_SIZE)].to_vec();
            for (damage, content) in [
                ("zeros", zeroed),
                ("exchanged", exchanged),
                ("garbled", garbled),
                ("cut", cut),
            ] {
                let what = format!("page {page} {damage}");
                damaged_count +=
                    usize::from(correct_or_damaged(&content, &checkpoints, &what).is_none());
            }
        }
        assert!(damaged_count > pages.len(), "only {damaged_count}");
    }
}

/// Damages the value of a packet on the disk, wherever it is in the file.
fn damage_value(disk: &SimDisk, stored: &StoredPacket) {
    let content = disk.read(PATH).unwrap();
    let value = encode_value(stored.packet.key().as_bytes(), &stored.encode());
    let offsets = 0..content.len() - value.len();
    for at in offsets.filter(|at| content[*at..].starts_with(&value)) {
        disk.flip_bit(PATH, (at + value.len() - 1) * 8).unwrap();
    }
}

#[test]
fn a_scrub_finds_damage_and_a_checkpoint_of_everything_repairs_it() {
    let disk = SimDisk::new();
    let (config, store) = small_store(&disk);
    put(&store, 2, [stored(77, 20, 999), stored(78, 20, 999)]);
    checkpoint(&store);
    let expected = contents(&store);
    scrub(&store).unwrap();

    for number in [77, 78] {
        damage_value(&disk, &stored(number, 20, 999));
    }
    assert_eq!(contents(&store), expected, "reads are not affected");
    let Err(StoreError::Damaged(damage)) = scrub(&store) else {
        panic!("the scrub did not find the damage");
    };
    assert_eq!(damage.keys, [key(77), key(78)]);
    assert_eq!((damage.damaged_count, damage.missing_count), (2, 0));
    assert_eq!(store.shared().metrics.damaged_packets.get(), 2);

    put(&store, 3, [stored(1, 30, 100)]);
    let repaired = store
        .begin_checkpoint(CheckpointScope::Everything)
        .commit(IoSpeed::Fast)
        .unwrap();
    assert_eq!(repaired, store.meta());
    scrub(&store).unwrap();
    assert_eq!(store.shared().metrics.damaged_packets.get(), 0);
    let expected = contents(&store);
    drop(store);
    assert_eq!(contents(&open(&config)), expected);
}

#[test]
fn a_damaged_packet_is_not_sent() {
    let disk = SimDisk::new();
    let (config, store) = small_store(&disk);
    drop(store);
    let without_cache = StoreConfig {
        cache_size: 0,
        ..config
    };
    let store = open(&without_cache);
    damage_value(&disk, &stored(150, 10, 300));
    let mut chunks = store.snapshot().unwrap().chunks().unwrap();
    chunks
        .next_chunk()
        .unwrap()
        .expect("the first chunk has no packets");
    let error = chunks.next_chunk().unwrap_err();
    let StoreError::Damaged(damage) = error else {
        panic!("{error}");
    };
    assert_eq!(damage.keys, [key(150)]);
}

/// Changes packets as a bug of redb would: the pages are undamaged but have other packets.
fn with_redb(path: &Path, change: impl FnOnce(&mut redb::Table<'_, &'static Key, &'static [u8]>)) {
    let database = redb::Database::create(path).unwrap();
    let mut transaction = database.begin_write().unwrap();
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    change(&mut transaction.open_table(PACKETS).unwrap());
    transaction.commit().unwrap();
}

#[test]
fn a_missing_packet_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store = open(&config);
    put(&store, 1, (0..20).map(|n| stored(n, 10, 300)));
    checkpoint(&store);

    let copy = dir.path().join("copy");
    std::fs::copy(&config.path, &copy).unwrap();
    with_redb(&copy, |table| {
        table.remove(key(7).as_bytes()).unwrap().unwrap();
    });
    std::fs::write(&config.path, std::fs::read(&copy).unwrap()).unwrap();
    let Err(StoreError::Damaged(by_scrub)) = scrub(&store) else {
        panic!("the scrub did not detect it");
    };
    assert_eq!(by_scrub.missing_count, 1);
    assert!(by_scrub.to_string().contains("1 missing"), "{by_scrub}");

    let at_start = StoreConfig {
        path: copy,
        ..config.clone()
    };
    let Err(StoreError::Damaged(damage)) = try_open(&at_start) else {
        panic!("the start did not detect it");
    };
    assert_eq!(damage.missing_count, 1);
}

#[test]
fn a_packet_that_replaces_another_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store = open(&config);
    put(&store, 1, (0..20).map(|n| stored(n, 10, 300)));
    checkpoint(&store);
    drop(store);
    with_redb(&config.path, |table| {
        let older = encode_value(key(7).as_bytes(), &stored(7, 9, 300).encode());
        table.insert(key(7).as_bytes(), older.as_slice()).unwrap();
    });
    let error = try_open(&config).err().unwrap();
    assert!(error.to_string().contains("packets differ"), "{error}");
    with_redb(&config.path, |table| {
        let of_another = encode_value(key(8).as_bytes(), &stored(8, 10, 300).encode());
        table
            .insert(key(7).as_bytes(), of_another.as_slice())
            .unwrap();
    });
    let error = try_open(&config).err().unwrap();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_checkpoint_of_everything_repairs_damage_that_fails_one_of_changes() {
    silence_redb();
    let disk = SimDisk::new();
    let (config, store) = small_store(&disk);
    drop(store);
    let without_cache = StoreConfig {
        cache_size: 0,
        ..config.clone()
    };
    let store = open(&without_cache);
    for page in used_pages(&disk.read(PATH).unwrap()).into_iter().skip(1) {
        let at = page * PAGE_SIZE;
        disk.zero(PATH, at..at + PAGE_SIZE).unwrap();
    }
    put(&store, 2, [stored(5, 20, 100)]);
    let error = store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast)
        .unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    put(&store, 3, [stored(6, 20, 100)]);
    store
        .begin_checkpoint(CheckpointScope::Everything)
        .commit(IoSpeed::Fast)
        .unwrap();
    scrub(&store).unwrap();
    let expected = contents(&store);
    drop(store);
    assert_eq!(contents(&open(&config)), expected);
}

/// No checksum covers which of redb's two slots is the newer one. The store cannot detect that, but
/// its caller can: it knows the first entry of its log.
#[test]
fn one_flipped_bit_can_restore_the_checkpoint_before_the_last() {
    let (_, mut content, [_, older]) = small_files();
    content[9] ^= 1;
    let (_disk, config) = disk_with(&content);
    assert_eq!(contents(&open(&config)), older);
}

/// Flips bits of the file of a received snapshot: either the installed packets are those that were
/// sent, or the file is not used.
#[test]
fn a_flipped_bit_of_a_received_file_never_yields_wrong_packets() {
    const RECEIVED: &str = "/data/packets.incoming";

    silence_redb();
    let (_, from) = small_store(&SimDisk::new());
    let sent = from.snapshot().unwrap();
    let (meta, mut chunks) = (sent.meta().clone(), Vec::new());
    let mut stream = sent.chunks().unwrap();
    while let Some(chunk) = stream.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    let mut damaged_count = 0;
    for round in 0..60 {
        let disk = SimDisk::new();
        disk.create_dir("/data".as_ref()).unwrap();
        let config = config_on(disk.clone(), PATH);
        let to = open(&config);
        put(&to, 1, [stored(9999, 1, 100)]);
        let before = packets(&to);
        let mut receiver = Store::receiver(&config).unwrap();
        for chunk in &chunks {
            receiver.push(chunk).unwrap();
        }
        let received = receiver.complete().unwrap();
        let size = disk.read(RECEIVED).unwrap().len() * 8;
        let bit = (round * 7919 + round * size / 60) % size;
        disk.flip_bit(RECEIVED, bit).unwrap();
        let expected = match to.install(received, meta.clone()) {
            Ok(()) => packets(&from),
            Err(_) => before,
        };
        assert_eq!(packets(&to), expected, "bit {bit}");
        drop(to);
        match try_open(&config) {
            Ok(store) => assert!(
                packets(&store) == packets(&from) || store.meta().applied.is_none(),
                "bit {bit}: wrong packets"
            ),
            Err(StoreError::Damaged(_)) => damaged_count += 1,
            Err(error) => panic!("bit {bit}: {error}"),
        }
    }
    assert!(damaged_count < 60, "most of the file is not in use");
}
