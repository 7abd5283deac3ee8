//! A store on a full disk.

use std::path::PathBuf;

use quorate_disk::Disk;
use quorate_sim::{Call, PowerLoss, SimDisk};
use quorate_state::StoredPacket;

use super::*;
use crate::{IoSpeed, fixture::*};

const PATH: &str = "/data/packets.redb";

type Contents = (Meta, Vec<StoredPacket>);

fn contents(store: &Store) -> Contents {
    (store.meta(), packets(store))
}

fn config_of(disk: &SimDisk) -> StoreConfig {
    config_on(disk.clone(), PATH)
}

/// The numbers of the calls that fail: every one at first, then with growing distances.
fn failing_calls() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |nth| Some(nth + 1 + nth / 8))
}

fn commit(store: &Store, scope: CheckpointScope) -> Result<Meta, StoreError> {
    store.begin_checkpoint(scope).commit(IoSpeed::Fast)
}

/// A store with a checkpoint and larger changes after it, and the contents of the checkpoint.
fn changed_store() -> (SimDisk, Store, Contents) {
    let disk = SimDisk::new();
    disk.create_dir("/data".as_ref()).unwrap();
    disk.make_durable();
    let store = open(&config_of(&disk));
    put(&store, 1, (0..20).map(|n| stored(n, 10, 1000)));
    checkpoint(&store);
    let before = contents(&store);
    put(&store, 2, (0..3000).map(|n| stored(n, 20, 1000)));
    (disk, store, before)
}

/// Asserts that the checkpoint on disk is readable and has the expected contents.
fn expect_on_disk(disk: &SimDisk, store: &Store, expected: &Contents, what: &str) {
    assert_eq!(*store.snapshot().unwrap().meta(), expected.0, "{what}");
    scrub(store).unwrap();
    let image = disk.image(disk.boundaries(), PowerLoss::Everything);
    assert_eq!(contents(&open(&config_of(&image))), *expected, "{what}");
}

/// Otherwise the log could use up that space, and only a checkpoint can shorten the log.
#[test]
fn the_space_for_the_next_checkpoint_is_not_counted_as_free() {
    let (disk, store, _) = changed_store();
    let free = 100 * 1024 * 1024;
    let left = store.free_after_checkpoint(free);
    assert!(left < free - 3_000_000, "{left}");
    disk.leave_space(free - left);
    commit(&store, CheckpointScope::Changes).unwrap();
    assert_eq!(store.free_after_checkpoint(free), free);
}

#[test]
fn a_checkpoint_without_space_loses_nothing() {
    let (disk, store, before) = changed_store();
    let after = contents(&store);
    let mut failed_count = 0;
    for free in (0..).step_by(300 * 1024) {
        disk.leave_space(free);
        match commit(&store, CheckpointScope::Changes) {
            Err(StoreError::NoSpace { .. }) => failed_count += 1,
            committed => {
                committed.unwrap();
                break;
            }
        }
        assert_eq!(contents(&store), after);
        expect_on_disk(&disk, &store, &before, &format!("{free} bytes"));
    }
    assert!(failed_count > 3, "{failed_count}");
    expect_on_disk(&disk, &store, &after, "there is space again");
    assert_eq!(disk.files(), [PathBuf::from(PATH)]);
}

/// Another process uses up the last byte and the reserved space, at any point of a commit.
#[test]
fn checkpoints_survive_a_full_disk_at_any_time() {
    for nth in failing_calls() {
        let (disk, store, before) = changed_store();
        let after = contents(&store);
        disk.fail(Call::Space, PATH, nth);
        disk.fail(Call::Space, PATH, nth + 1);
        let what = format!("write {nth}");
        match commit(&store, CheckpointScope::Changes) {
            Err(StoreError::NoSpace { .. }) => {}
            committed => {
                committed.unwrap();
                assert!(nth > 10, "{nth} writes");
                break;
            }
        }
        assert_eq!(contents(&store), after);
        expect_on_disk(&disk, &store, &before, &what);
        let store = match nth % 2 {
            0 => store,
            _ => {
                drop(store);
                let store = open(&config_of(&disk));
                put(&store, 2, after.1.iter().cloned());
                store
            }
        };
        commit(&store, CheckpointScope::Changes).unwrap();
        expect_on_disk(&disk, &store, &after, &what);
    }
}

#[test]
fn the_reserved_space_is_enough_for_one_failed_write() {
    for nth in [1, 5, 20] {
        let (disk, store, _) = changed_store();
        let after = contents(&store);
        disk.fail(Call::Space, PATH, nth);
        commit(&store, CheckpointScope::Changes).unwrap();
        expect_on_disk(&disk, &store, &after, &format!("write {nth}"));
    }
}

#[test]
fn after_a_failed_sync_every_commit_fails() {
    let (disk, store, _) = changed_store();
    disk.fail(Call::Sync, PATH, 3);
    let failed = commit(&store, CheckpointScope::Changes);
    assert!(matches!(failed, Err(StoreError::Redb(_))), "{failed:?}");
    disk.clear_faults();
    let later = commit(&store, CheckpointScope::Changes);
    assert!(matches!(later, Err(StoreError::Redb(_))), "{later:?}");
}

#[test]
fn an_incomplete_file_is_removed() {
    let (disk, store, before) = changed_store();
    let used = disk.used_space();
    disk.leave_space(64 * 1024);
    let failed = commit(&store, CheckpointScope::Everything);
    assert!(
        matches!(failed, Err(StoreError::NoSpace { .. })),
        "{failed:?}"
    );
    assert_eq!(disk.used_space(), used);
    expect_on_disk(&disk, &store, &before, "it was not written");
    disk.clear_faults();
    commit(&store, CheckpointScope::Everything).unwrap();
}

#[test]
fn a_snapshot_without_space_fails_before_it_is_installed() {
    let (_, source, _) = changed_store();
    checkpoint(&source);
    let snapshot = source.snapshot().unwrap();
    let mut failed_count = 0;
    for nth in failing_calls() {
        let (disk, store, _) = changed_store();
        checkpoint(&store);
        let kept = contents(&store);
        for call in [nth, nth + 1] {
            disk.fail(Call::Space, "/data/packets.incoming", call);
        }
        let receive = || {
            let mut receiver = Store::receiver(store.config())?;
            let mut chunks = snapshot.chunks().unwrap();
            while let Some(chunk) = chunks.next_chunk().unwrap() {
                receiver.push(&chunk)?;
            }
            receiver.complete()
        };
        match receive() {
            Ok(received) => {
                let meta = snapshot.meta().clone();
                store.install(received, meta).unwrap();
                assert_eq!(contents(&store).0, source.meta());
                // At least one of the two calls was not reached.
                if failed_count > 0 {
                    break;
                }
            }
            Err(StoreError::NoSpace { .. }) => {
                failed_count += 1;
                assert_eq!(contents(&store), kept);
                assert_eq!(disk.files(), [PathBuf::from(PATH)], "{nth}");
            }
            Err(error) => panic!("{nth}: {error}"),
        }
    }
    assert!(failed_count > 3, "{failed_count}");
}

#[test]
fn an_abandoned_snapshot_leaves_no_file() {
    let (_, source, _) = changed_store();
    checkpoint(&source);
    let (disk, store, _) = changed_store();
    let mut chunks = source.snapshot().unwrap().chunks().unwrap();
    let mut receiver = Store::receiver(store.config()).unwrap();
    receiver
        .push(&chunks.next_chunk().unwrap().unwrap())
        .unwrap();
    assert_eq!(disk.files().len(), 2, "there is a file to remove");
    drop(receiver);
    assert_eq!(disk.files(), [PathBuf::from(PATH)], "incomplete");

    let mut chunks = source.snapshot().unwrap().chunks().unwrap();
    let mut receiver = Store::receiver(store.config()).unwrap();
    while let Some(chunk) = chunks.next_chunk().unwrap() {
        receiver.push(&chunk).unwrap();
    }
    let received = receiver.complete().unwrap();
    assert_ne!(disk.files(), [PathBuf::from(PATH)]);
    drop(received);
    assert_eq!(
        disk.files(),
        [PathBuf::from(PATH)],
        "complete, but not installed"
    );
}

#[test]
fn a_store_opens_on_a_full_disk() {
    for is_killed in [false, true] {
        let (disk, store, before) = changed_store();
        let disk = match is_killed {
            true => disk.kill(),
            false => disk,
        };
        disk.fill();
        drop(store);
        let store = open(&config_of(&disk));
        assert_eq!(contents(&store), before);
        put(&store, 2, [stored(1, 20, 1000)]);
        let failed = commit(&store, CheckpointScope::Changes);
        assert!(
            matches!(failed, Err(StoreError::NoSpace { .. })),
            "{failed:?}"
        );
        disk.clear_faults();
        commit(&store, CheckpointScope::Changes).unwrap();
        expect_on_disk(&disk, &store, &contents(&store), "there is space again");
    }
}

/// Such a snapshot reads a file that was opened a second time and is written there.
#[test]
fn a_snapshot_from_before_a_full_disk_is_correct_or_fails() {
    let (disk, store, _) = changed_store();
    checkpoint(&store);
    let mut before = store.snapshot().unwrap().chunks().unwrap();
    let first = before
        .next_chunk()
        .unwrap()
        .expect("there are several chunks");
    let expected = {
        let mut chunks = store.snapshot().unwrap().chunks().unwrap();
        assert_eq!(chunks.next_chunk().unwrap(), Some(first));
        chunks.next_chunk().unwrap()
    };
    put(&store, 3, (0..3000).map(|n| stored(n, 30, 900)));
    disk.fail(Call::Space, PATH, 1);
    disk.fail(Call::Space, PATH, 2);
    commit(&store, CheckpointScope::Changes).unwrap_err();
    let mut between = store.snapshot().unwrap().chunks().unwrap();
    assert!(between.next_chunk().is_ok());
    for index in 4..7 {
        put(&store, index, (0..3000).map(|n| stored(n, 30 + index, 900)));
        checkpoint(&store);
    }
    match before.next_chunk() {
        Ok(chunk) => assert_eq!(chunk, expected),
        Err(error) => assert!(matches!(error, StoreError::NoSpace { .. }), "{error}"),
    }
    let failed = between.next_chunk();
    assert!(
        matches!(failed, Err(StoreError::NoSpace { .. })),
        "{failed:?}"
    );
    let last = contents(&store);
    expect_on_disk(&disk, &store, &last, "after three checkpoints");
}
