use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use quorate_disk::LinuxDisk;
use quorate_sim::{Call, PowerLoss, SimDisk};

use super::*;
use crate::fixture::{
    append, at, config, entries, entry, flush_callback, indexes, large_entry, metrics, open,
    save_vote, segments, sync, vote,
};

fn open_dir(dir: &Path) -> Result<Log, LogError> {
    let config = LogConfig {
        segment_size: 4096,
        ..LogConfig::new(Arc::new(LinuxDisk), dir)
    };
    Log::open(config, metrics())
}

#[test]
fn flushed_entries_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open_dir(dir.path()).unwrap();
        save_vote(&log, vote(3));
        log.save_committed(at(0, 0)).unwrap_err();
        append(&log, (0..3).map(|index| entry(1, index)));
        log.save_committed(at(1, 1)).unwrap();
        append(&log, [entry(2, 3)]);
    }
    let log = open_dir(dir.path()).unwrap();
    assert_eq!(
        log.state(),
        State {
            vote: Some(vote(3)),
            last: Some(at(2, 3)),
            committed: Some(at(1, 1)),
            purged: None
        }
    );
    let read = log.read(1..4, usize::MAX).unwrap();
    assert_eq!(read, [entry(1, 1), entry(1, 2), entry(2, 3)]);
}

#[test]
fn only_flushed_entries_are_durable() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    assert_eq!(log.durable(), None);
    append(&log, [entry(1, 0), entry(1, 1)]);
    disk.block_syncs("");
    let (on_flushed, wait) = flush_callback();
    log.append([entry(1, 2)], on_flushed).unwrap();
    disk.wait_for_blocked_syncs(1);
    assert_eq!(log.state().last, Some(at(1, 2)));
    assert_eq!(log.durable(), Some(at(1, 1)));
    disk.release_syncs();
    wait().unwrap();
    assert_eq!(log.durable(), Some(at(1, 2)));
    log.truncate_after(Some(at(1, 1))).unwrap();
    sync(&log);
    assert_eq!(log.durable(), Some(at(1, 1)));
    log.purge(at(2, 5)).unwrap();
    sync(&log);
    drop(log);
    assert_eq!(open(&disk).unwrap().durable(), Some(at(2, 5)));
}

#[test]
fn a_gap_or_an_older_position_is_rejected_and_changes_nothing() {
    let log = open(&SimDisk::new()).unwrap();
    append(&log, [entry(1, 0), entry(1, 1)]);
    for wrong in [
        vec![entry(1, 1)],
        vec![entry(1, 2), entry(1, 4)],
        vec![entry(1, 2), entry(0, 3)],
    ] {
        let (on_flushed, _) = flush_callback();
        let error = log.append(wrong, on_flushed).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
    assert_eq!(indexes(&log), [0, 1]);
}

#[test]
fn an_older_vote_is_rejected() {
    let log = open(&SimDisk::new()).unwrap();
    save_vote(&log, vote(3));
    let (on_flushed, _) = flush_callback();
    log.save_vote(vote(2), on_flushed).unwrap_err();
    assert_eq!(log.state().vote, Some(vote(3)));
}

#[test]
fn truncated_entries_do_not_come_back_and_can_be_replaced() {
    let disk = SimDisk::new();
    {
        let log = open(&disk).unwrap();
        append(&log, (0..4).map(|index| entry(1, index)));
        log.truncate_after(Some(at(1, 9))).unwrap();
        assert_eq!(indexes(&log), [0, 1, 2, 3], "nothing is after 9");
        log.truncate_after(Some(at(1, 1))).unwrap();
        append(&log, [entry(2, 2)]);
    }
    let log = open(&disk).unwrap();
    assert_eq!(indexes(&log), [0, 1, 2]);
    assert_eq!(log.state().last, Some(at(2, 2)));
    log.truncate_after(None).unwrap();
    assert!(indexes(&log).is_empty());
}

#[test]
fn purging_frees_the_disk_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open_dir(dir.path()).unwrap();
        for index in 0..200 {
            append(&log, [large_entry(index, 256)]);
        }
        let size_before = log.size();
        log.purge(at(1, 190)).unwrap();
        let size = log.size();
        assert!(size < size_before / 2, "{size} of {size_before}");
        sync(&log);
    }
    let log = open_dir(dir.path()).unwrap();
    assert_eq!(log.state().purged, Some(at(1, 190)));
    assert_eq!(indexes(&log), (191..200).collect::<Vec<_>>());
    log.purge(at(2, 500)).unwrap();
    assert_eq!(
        log.state().last,
        Some(at(2, 500)),
        "a snapshot can be after the last entry"
    );
}

#[test]
fn purged_segments_are_reused_or_removed_and_one_is_allocated_in_advance() {
    let disk = SimDisk::new();
    for _ in 0..2 {
        let log = open(&disk).unwrap();
        let next = log.state().last.map_or(0, |last| last.index.0 + 1);
        for index in next..next + 40 {
            append(&log, [large_entry(index, 4000)]);
            log.purge(at(1, index)).unwrap();
        }
        sync(&log);
        drop(log);
        let spares = disk.files().len() - segments(&disk).len() - 3;
        // One that was purged while another was allocated, and one for each of the two segments.
        assert!(spares <= 3, "{:?}", disk.files());
    }
    assert!(segments(&disk).len() <= 2, "{:?}", disk.files());
    let log = open(&disk).unwrap();
    assert!(indexes(&log).is_empty());
    assert_eq!(log.state().last, Some(at(1, 79)));
}

#[test]
fn segments_stay_until_the_purge_is_on_disk() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, (0..9).map(|index| large_entry(index, 4000)));
    let active = segments(&disk)[2].clone();
    disk.block_syncs(&active);
    let (on_flushed, wait) = flush_callback();
    log.append([entry(1, 9)], on_flushed).unwrap();
    disk.wait_for_blocked_syncs(1);
    log.purge(at(1, 8)).unwrap();
    assert_eq!(indexes(&log), [9]);
    disk.fail(Call::Sync, &active, 2);
    disk.release_syncs();
    wait().unwrap();
    drop(log);
    let log = open(&disk.image(usize::MAX, PowerLoss::Everything)).unwrap();
    assert_eq!(indexes(&log), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_read_stops_at_the_size_limit_but_returns_at_least_one_entry() {
    let log = open(&SimDisk::new()).unwrap();
    append(&log, (0..9).map(|index| large_entry(index, 100)));
    assert_eq!(log.read(0..9, 1).unwrap().len(), 1);
    assert_eq!(log.read(0..9, 250).unwrap().len(), 3);
    assert_eq!(log.read(5..5, 250).unwrap().len(), 0);
}

#[test]
fn entries_that_are_not_cached_are_read_from_disk() {
    let disk = SimDisk::new();
    let config = LogConfig {
        cache_size_max: 5000,
        ..config(&disk)
    };
    let log = Log::open(config, metrics()).unwrap();
    let written: Vec<_> = (0..50).map(|index| large_entry(index, 1000)).collect();
    append(&log, written.clone());
    assert_eq!(entries(&log), written);
    assert!(segments(&disk).len() > 3);
    disk.fail_from(Call::Read, "", 1);
    assert_eq!(log.read(45..50, usize::MAX).unwrap(), &written[45..]);
    let error = log.read(44..50, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[test]
fn an_entry_too_large_for_a_group_is_rejected_and_the_largest_is_accepted() {
    let disk = SimDisk::new();
    let size_max = config(&disk).payload_size_max();
    {
        let log = open(&disk).unwrap();
        let (on_flushed, _) = flush_callback();
        let error = log
            .append([entry(1, 0), large_entry(1, size_max + 1)], on_flushed)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        append(&log, [entry(1, 0)]);
        append(&log, [large_entry(1, size_max), large_entry(2, size_max)]);
    }
    let log = open(&disk).unwrap();
    assert_eq!(entries(&log)[2], large_entry(2, size_max));
}

#[test]
fn the_largest_entry_fits_into_an_empty_segment() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [large_entry(0, config(&disk).payload_size_max())]);
    drop(log);
    let first = disk.read(&segments(&disk)[0]).unwrap();
    assert_eq!(&first[512..516], b"Qgrp");
    let last_sector = &first[first.len() - 512..];
    assert_ne!(last_sector, [0; 512], "the segment is full");
}

#[test]
fn segments_of_another_size_are_still_used() {
    let disk = SimDisk::new();
    drop(open(&disk).unwrap());
    let mut written = Vec::new();
    for (count, segment_size) in [64 * 1024, 8 * 1024, 32 * 1024].into_iter().enumerate() {
        let config = LogConfig {
            segment_size,
            ..config(&disk)
        };
        let size = config.payload_size_max();
        let log = Log::open(config, metrics()).unwrap();
        assert_eq!(entries(&log), written);
        for index in 3 * count as u64..3 * count as u64 + 3 {
            written.push(large_entry(index, size));
            append(&log, written[index as usize..].to_vec());
        }
    }
    assert_eq!(entries(&open(&disk).unwrap()), written);
}

#[test]
fn one_sync_covers_all_queued_entries() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    let syncs = || -> usize {
        let segments = segments(&disk);
        segments.iter().map(|path| disk.sync_count(path)).sum()
    };
    disk.block_syncs(&segments(&disk)[0]);
    let (tx, rx) = mpsc::channel();
    let queue = |index: u64| {
        let tx = tx.clone();
        let on_flushed = Box::new(move |result: io::Result<()>| {
            tx.send((index, result.is_ok())).unwrap();
        });
        log.append([entry(1, index)], on_flushed).unwrap();
    };
    queue(1);
    disk.wait_for_blocked_syncs(1);
    let before = syncs();
    (2..100).for_each(queue);
    assert!(rx.try_recv().is_err(), "nothing is synced");
    disk.release_syncs();
    let results: Vec<_> = (1..100).map(|_| rx.recv().unwrap()).collect();
    assert_eq!(
        results,
        (1..100).map(|index| (index, true)).collect::<Vec<_>>()
    );
    assert_eq!(syncs() - before, 2);
}

#[test]
fn reads_do_not_wait_for_a_sync() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    disk.block_syncs(&segments(&disk)[0]);
    let (on_flushed, wait) = flush_callback();
    log.append([entry(1, 1)], on_flushed).unwrap();
    disk.wait_for_blocked_syncs(1);
    assert_eq!(entries(&log), [entry(1, 0), entry(1, 1)]);
    log.save_committed(at(1, 1)).unwrap();
    assert_eq!(log.state().committed, Some(at(1, 1)));
    disk.release_syncs();
    wait().unwrap();
}

/// Reads from segments that are purged and reused meanwhile.
#[test]
fn a_reader_during_appends_and_purges_sees_no_gap_and_no_damage() {
    let disk = SimDisk::new();
    let config = LogConfig {
        cache_size_max: 0,
        segment_size: 4096,
        ..config(&disk)
    };
    let log = Log::open(config, metrics()).unwrap();
    let is_done = AtomicBool::new(false);
    let read_count = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::Acquire) {
                let read = entries(&log);
                for (entry, index) in read.iter().zip(read.first().map_or(0, |it| it.0.index.0)..) {
                    assert_eq!(*entry, large_entry(index, 500));
                }
                count += read.len();
            }
            count
        });
        for index in 0..600 {
            append(&log, [large_entry(index, 500)]);
            log.purge(at(1, index.saturating_sub(20))).unwrap();
        }
        is_done.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert!(read_count > 0);
}

#[test]
fn the_committed_position_is_written_with_the_next_group() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    // Not the complete disk: the next segment is still being allocated.
    let segment = &segments(&disk)[0];
    let (content, syncs) = (disk.read(segment).unwrap(), disk.sync_count(segment));
    log.save_committed(at(1, 0)).unwrap();
    assert!(disk.read(segment).unwrap() == content);
    assert_eq!(disk.sync_count(segment), syncs);
    drop(log);
    assert_eq!(open(&disk).unwrap().state().committed, Some(at(1, 0)));
}

#[test]
fn only_one_process_at_a_time_can_use_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_dir(dir.path()).unwrap();
    let error = open_dir(dir.path()).err().expect("the directory is in use");
    let dir_name = dir.path().display().to_string();
    assert!(error.to_string().contains(&dir_name), "{error}");
    drop(log);
    open_dir(dir.path()).unwrap();
}
