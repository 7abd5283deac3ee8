use quorate_disk::Disk;
use quorate_sim::{Call, PowerLoss, SimDisk};
use quorate_state::StoredPacket;

use super::*;
use crate::IoSpeed;
use crate::fixture::*;

/// How many images of each boundary are checked.
const IMAGE_COUNT: usize = 3;

type Contents = (Meta, Vec<StoredPacket>);

fn contents(store: &Store) -> Contents {
    (store.meta(), packets(store))
}

/// A disk with only a directory.
fn empty_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir("/data".as_ref()).unwrap();
    disk.make_durable();
    disk
}

fn config_of(disk: &SimDisk) -> StoreConfig {
    config_on(disk.clone(), "/data/packets.redb")
}

/// Simulates a power loss at each boundary after `first`. The store must contain `before` or
/// `after`.
fn expect_one_or_the_other(disk: &SimDisk, first: usize, before: &Contents, after: &Contents) {
    let last = disk.boundaries();
    assert!(first < last, "there are operations on the disk");
    for boundary in first..=last {
        for (loss, image) in disk.images(boundary, IMAGE_COUNT, boundary as u64) {
            let store = try_open(&config_of(&image));
            let store = store.unwrap_or_else(|error| panic!("{boundary} {loss:?}: {error}"));
            let found = contents(&store);
            assert!(
                (found == *before && boundary < last) || found == *after,
                "{boundary} of {last}, {loss:?}: {:?}",
                found.0
            );
        }
    }
}

#[test]
fn a_partly_created_store_opens_empty() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    let empty = contents(&store);
    expect_one_or_the_other(&disk, 0, &empty, &empty);
}

#[test]
fn a_power_loss_leaves_one_checkpoint_or_the_next() {
    for scope in [CheckpointScope::Changes, CheckpointScope::Everything] {
        let disk = empty_disk();
        let store = open(&config_of(&disk));
        put(&store, 1, (0..20).map(|n| stored(n, 10, 1000)));
        checkpoint(&store);
        let before = contents(&store);
        put(&store, 2, (10..30).map(|n| stored(n, 20, 1000)));
        expire(&store, 11, 5);
        let after = contents(&store);
        disk.make_durable();
        store.begin_checkpoint(scope).commit(IoSpeed::Fast).unwrap();
        expect_one_or_the_other(&disk, 0, &before, &after);
    }
}

#[test]
fn a_power_loss_leaves_the_old_packets_or_the_received_ones() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    put(&store, 7, (0..20).map(|n| stored(n, 10, 1000)));
    checkpoint(&store);
    let (snapshot, after) = (store.snapshot().unwrap(), contents(&store));
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    put(&store, 1, [stored(999, 1, 100)]);
    checkpoint(&store);
    let before = contents(&store);

    disk.make_durable();
    let mut receiver = Store::receiver(&store.shared.config).unwrap();
    let mut chunks = snapshot.chunks().unwrap();
    while let Some(chunk) = chunks.next_chunk().unwrap() {
        receiver.push(&chunk).unwrap();
    }
    store
        .install(receiver.complete().unwrap(), snapshot.meta().clone())
        .unwrap();
    assert_eq!(contents(&store), after);
    expect_one_or_the_other(&disk, 0, &before, &after);
}

#[test]
fn nothing_reaches_the_disk_before_the_commit() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    disk.make_durable();
    put(&store, 1, (0..60).map(|n| stored(n, 10, 1000)));
    let checkpoint = store.begin_checkpoint(CheckpointScope::Changes);
    assert_eq!(checkpoint.meta().applied, store.meta().applied);
    assert_eq!(disk.boundaries(), 0, "the log can still be synced first");
    checkpoint.commit(IoSpeed::Fast).unwrap();
    assert!(disk.boundaries() > 0);
}

#[test]
fn after_a_failed_commit_all_commits_fail_and_the_last_checkpoint_stays() {
    let calls = [Call::Write, Call::Sync];
    for (call, nth) in calls
        .into_iter()
        .flat_map(|call| (1..=12).map(move |nth| (call, nth)))
    {
        let disk = empty_disk();
        let store = open(&config_of(&disk));
        put(&store, 1, (0..20).map(|n| stored(n, 10, 1000)));
        checkpoint(&store);
        let before = contents(&store);
        put(&store, 2, [stored(5, 20, 500)]);
        let after = contents(&store);

        disk.fail(call, "/data/packets.redb", nth);
        let failed = store
            .begin_checkpoint(CheckpointScope::Changes)
            .commit(IoSpeed::Fast)
            .is_err();
        disk.clear_faults();
        assert_eq!(contents(&store), after, "memory is not affected");
        if failed {
            let later = store
                .begin_checkpoint(CheckpointScope::Changes)
                .commit(IoSpeed::Fast);
            assert!(later.is_err(), "{call:?} {nth}: it was retried");
        }
        let last = disk.boundaries();
        for (loss, image) in disk.images(last, IMAGE_COUNT, 1) {
            let found = contents(&open(&config_of(&image)));
            assert!(
                found == after || (failed && found == before),
                "{call:?} {nth} {loss:?}: {:?}",
                found.0
            );
        }
        assert!(failed || nth > 1, "{call:?} {nth}: no call failed");
    }
}

#[test]
fn a_failed_sync_in_the_middle_of_a_commit_fails_the_commit() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    let before = contents(&store);
    put(&store, 1, (0..8000).map(|n| stored(n, 10, 1000)));
    disk.fail(Call::Sync, "/data", 1);
    let failed = store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast);
    assert!(matches!(failed, Err(StoreError::Redb(_))), "{failed:?}");
    disk.clear_faults();
    let image = disk.image(disk.boundaries(), PowerLoss::Everything);
    assert_eq!(contents(&open(&config_of(&image))), before);
}

#[test]
fn after_a_failed_sync_of_the_directory_all_checkpoints_fail() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    put(&store, 1, [stored(1, 10, 100)]);
    disk.fail(Call::SyncDir, "/data", 1);
    let failed = store
        .begin_checkpoint(CheckpointScope::Everything)
        .commit(IoSpeed::Fast);
    assert!(matches!(failed, Err(StoreError::File { .. })), "{failed:?}");
    let later = store
        .begin_checkpoint(CheckpointScope::Changes)
        .commit(IoSpeed::Fast);
    assert!(
        later.is_err(),
        "it wrote to a file whose name is not durable"
    );
}

#[test]
fn a_read_error_of_the_disk_is_reported_as_damage() {
    let disk = empty_disk();
    let store = open(&config_of(&disk));
    put(&store, 1, (0..20).map(|n| stored(n, 10, 1000)));
    checkpoint(&store);
    let expected = contents(&store);
    disk.fail(Call::Read, "/data", 5);
    let error = scrub(&store).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(contents(&store), expected);
    drop(store);

    for nth in 1..20 {
        disk.fail(Call::Read, "/data", nth);
        let error = try_open(&config_of(&disk)).err().unwrap();
        assert!(matches!(error, StoreError::Damaged(_)), "{nth}: {error}");
        disk.clear_faults();
    }
    assert_eq!(contents(&open(&config_of(&disk))), expected);
}
