//! A log with damaged durable data is rejected or opens unchanged, but never with other content.

use std::path::{Path, PathBuf};

use quorate_disk::{Disk, OpenMode};
use quorate_sim::SimDisk;

use crate::{
    InjectedFault, Log, LogConfig, LogError, State,
    fixture::{
        DIR, append, at, config, content, entries, entry, flush_callback, large_entry, metrics,
        open, save_vote, segments, sync, vote,
    },
    recovery::recover,
};

fn vote_path() -> PathBuf {
    Path::new(DIR).join("vote")
}

fn synced_path() -> PathBuf {
    Path::new(DIR).join("synced")
}

/// A log with items of all kinds in one segment.
fn small_log() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(3));
    append(&log, (0..4).map(|index| entry(1, index)));
    log.save_committed(at(1, 1)).unwrap();
    log.truncate_after(Some(at(1, 2))).unwrap();
    append(&log, [entry(2, 3), entry(2, 4)]);
    log.purge(at(1, 0)).unwrap();
    append(
        &log,
        [large_entry(5, 0)].map(|(_, bytes)| (at(2, 5), bytes)),
    );
    drop(log);
    disk
}

/// A log of several segments, of which the first ones were purged.
fn large_log() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(1));
    for index in 0..60 {
        append(&log, [large_entry(index, 700 + 40 * index as usize)]);
    }
    log.purge(at(1, 20)).unwrap();
    sync(&log);
    drop(log);
    without_next_segment(disk)
}

/// The disk without the segments that were only allocated in advance.
fn without_next_segment(disk: SimDisk) -> SimDisk {
    recovered(&disk).unwrap();
    disk.make_durable();
    disk
}

/// The state that an opened log would have, without starting its threads.
fn recovered(disk: &SimDisk) -> Result<State, LogError> {
    let recovered = recover(&config(disk))?;
    let bounds = recovered.index.bounds;
    Ok(State {
        vote: recovered.index.vote,
        last: bounds.last,
        committed: bounds.committed,
        purged: bounds.purged,
    })
}

/// Whether the log on a damaged copy of the disk is rejected. If not, it must be unchanged.
fn is_rejected(disk: &SimDisk, what: &str, damage: impl Fn(&SimDisk)) -> bool {
    disk.make_durable();
    let copy = || disk.image(0, quorate_sim::PowerLoss::Nothing);
    let (before, image) = (recovered(&copy()).unwrap(), copy());
    damage(&image);
    match recovered(&image) {
        Ok(state) => {
            assert_eq!(state, before, "{what}");
            false
        }
        Err(LogError::Damaged(_)) => true,
        Err(other) => panic!("{what}: {other}"),
    }
}

/// The offset at which the last group of a segment ends.
fn used_size(disk: &SimDisk, segment: &Path) -> usize {
    let content = disk.read(segment).unwrap();
    let mut sectors = content.chunks(512);
    let last = sectors.rposition(|sector| sector.iter().any(|byte| *byte != 0));
    (last.unwrap() + 1) * 512
}

#[test]
fn every_flipped_bit_of_a_log_is_detected() {
    let disk = small_log();
    let segment = &segments(&disk)[0];
    let used = used_size(&disk, segment);
    let before = recovered(&disk).unwrap();
    disk.make_durable();
    for bit in 0..used * 8 {
        disk.make_durable();
        disk.flip_bit(segment, bit).unwrap();
        let error = recovered(&disk).expect_err(&format!("bit {bit}"));
        assert!(matches!(error, LogError::Damaged(_)), "bit {bit}: {error}");
        disk.flip_bit(segment, bit).unwrap();
    }
    disk.make_durable();
    assert_eq!(recovered(&disk).unwrap(), before);
}

/// Flips one bit of every few bytes, or every bit if `QUORATE_EVERY_BIT` is set.
#[test]
fn flipped_bits_of_the_last_segments_are_detected() {
    const SEGMENT_BITS: usize = 16 * 1024 * 8;
    const STEP: usize = 23 * 8;
    let every_bit = std::env::var_os("QUORATE_EVERY_BIT").is_some();
    let disk = large_log();
    let before = recovered(&disk).unwrap();
    let all = segments(&disk);
    let mut random = fastrand::Rng::with_seed(1);
    let mut rejected = 0;
    for segment in &all {
        for bit in (0..SEGMENT_BITS).step_by(if every_bit { 1 } else { STEP }) {
            disk.make_durable();
            let bit = if every_bit {
                bit
            } else {
                bit + random.usize(0..8)
            };
            disk.flip_bit(segment, bit).unwrap();
            match recovered(&disk) {
                Ok(state) => assert_eq!(state, before, "bit {bit} of {}", segment.display()),
                Err(LogError::Damaged(_)) => rejected += 1,
                Err(other) => panic!("bit {bit} of {}: {other}", segment.display()),
            }
            disk.flip_bit(segment, bit).unwrap();
        }
    }
    assert!(all.len() >= 4, "{all:?}");
    assert!(rejected > 3 * SEGMENT_BITS / STEP, "{rejected}");
}

#[test]
fn a_zeroed_or_misplaced_page_is_detected() {
    const PAGE: usize = 4096;
    let disk = large_log();
    let all = segments(&disk);
    let (last, full) = (&all[all.len() - 1], &all[..all.len() - 1]);
    for segment in full {
        for page in (0..4).map(|page| page * PAGE) {
            assert!(is_rejected(&disk, "zeros", |disk| {
                disk.zero(segment, page..page + PAGE).unwrap();
            }));
            assert!(is_rejected(&disk, "swap", |disk| {
                disk.swap(segment, page, (page + PAGE) % (4 * PAGE), PAGE)
                    .unwrap();
            }));
        }
        assert!(is_rejected(&disk, "cut", |disk| {
            disk.truncate(segment, 3 * PAGE).unwrap();
        }));
    }
    for end in (0..16 * 1024).step_by(512) {
        is_rejected(&disk, "cut", |disk| disk.truncate(last, end).unwrap());
    }
}

#[test]
fn a_missing_or_renamed_segment_is_detected() {
    let disk = large_log();
    let all = segments(&disk);
    for segment in &all[..all.len() - 1] {
        assert!(is_rejected(&disk, "missing", |disk| {
            disk.remove(segment).unwrap();
        }));
    }
    assert!(is_rejected(&disk, "renamed", |disk| {
        let other = all[0].with_extension("spare");
        disk.rename(&all[0], &other).unwrap();
        disk.rename(&all[1], &all[0]).unwrap();
        disk.rename(&other, &all[1]).unwrap();
    }));
    assert!(is_rejected(&disk, "all missing", |disk| {
        all.iter().for_each(|path| disk.remove(path).unwrap());
    }));
}

#[test]
fn a_vote_survives_damage_to_one_copy_but_not_to_both() {
    let disk = small_log();
    for copy in [0, 4096] {
        for bit in (0..512 * 8).step_by(5) {
            let rejected = is_rejected(&disk, "one copy", |disk| {
                disk.flip_bit(vote_path(), copy * 8 + bit).unwrap();
            });
            assert!(!rejected, "bit {bit} of the copy at {copy}");
        }
    }
    assert!(is_rejected(&disk, "both copies", |disk| {
        disk.flip_bit(vote_path(), 300).unwrap();
        disk.flip_bit(vote_path(), 4096 * 8 + 300).unwrap();
    }));
    assert!(is_rejected(&disk, "no copy", |disk| disk
        .remove(&vote_path())
        .unwrap()));
}

#[test]
fn one_undamaged_slot_of_the_synced_position_is_enough_but_required() {
    let disk = small_log();
    for slot in [0, 4096] {
        for bit in (0..512 * 8).step_by(5) {
            let rejected = is_rejected(&disk, "one slot", |disk| {
                disk.flip_bit(synced_path(), slot * 8 + bit).unwrap();
            });
            assert!(!rejected, "bit {bit} of the slot at {slot}");
        }
    }
    assert!(is_rejected(&disk, "both slots", |disk| {
        disk.zero(synced_path(), 0..8192).unwrap();
    }));
    assert!(is_rejected(&disk, "no file", |disk| disk
        .remove(&synced_path())
        .unwrap()));
}

#[test]
fn a_slot_damaged_right_after_a_purge_does_not_prevent_opening() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [large_entry(0, config(&disk).payload_size_max())]);
    log.purge(at(1, 0)).unwrap();
    sync(&log);
    drop(log);
    let disk = without_next_segment(disk);
    assert!(segments(&disk)[0].ends_with("000000000002.seg"));
    for slot in [0, 4096] {
        let rejected = is_rejected(&disk, "one slot", |disk| {
            disk.zero(synced_path(), slot..slot + 512).unwrap();
        });
        assert!(!rejected, "the slot at {slot}");
    }
}

#[test]
fn opening_repairs_a_damaged_copy() {
    let disk = small_log();
    disk.zero(vote_path(), 0..512).unwrap();
    disk.zero(synced_path(), 4096..4608).unwrap();
    drop(open(&disk).unwrap());
    disk.zero(vote_path(), 4096..4608).unwrap();
    disk.zero(synced_path(), 0..512).unwrap();
    assert_eq!(open(&disk).unwrap().state().vote, Some(vote(3)));
}

#[test]
fn files_of_another_log_are_detected() {
    let (disk, other) = (small_log(), small_log());
    for path in [vote_path(), synced_path(), segments(&disk)[0].clone()] {
        assert!(is_rejected(&disk, "another log", |disk| {
            let content = other.read(&path).unwrap();
            let file = disk.open(&path, OpenMode::Write).unwrap();
            file.write_at(&content, 0).unwrap();
        }));
    }
}

/// A log with a synced position that lags behind by so many groups. It can lag because it is
/// written without a sync.
fn log_with_lagging_position(group_count: u64) -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    let content = disk.read(synced_path()).unwrap();
    for index in 1..=group_count {
        append(&log, [large_entry(index, 1000)]);
    }
    drop(log);
    let file = disk.open(&synced_path(), OpenMode::Write).unwrap();
    file.write_at(&content, 0).unwrap();
    disk
}

#[test]
fn a_torn_group_after_the_synced_position_is_cut_off_and_replaced() {
    for sector in 1024 / 512..2560 / 512 {
        let disk = log_with_lagging_position(1);
        let segment = segments(&disk)[0].clone();
        disk.zero(&segment, sector * 512..(sector + 1) * 512)
            .unwrap();
        let log = open(&disk).unwrap();
        assert_eq!(entries(&log), [entry(1, 0)]);
        append(&log, [entry(2, 1)]);
        drop(log);
        let log = open(&disk).unwrap();
        assert_eq!(entries(&log), [entry(1, 0), entry(2, 1)]);
    }
}

#[test]
fn a_torn_group_before_another_group_is_damage() {
    for group_count in [2, 30] {
        let disk = log_with_lagging_position(group_count);
        let segment = &segments(&disk)[0];
        assert!(is_rejected(&disk, "a later group", |disk| {
            disk.flip_bit(segment, 1100 * 8).unwrap();
        }));
    }
}

#[test]
fn a_torn_group_together_with_a_damaged_slot_is_damage() {
    let disk = log_with_lagging_position(1);
    let segment = segments(&disk)[0].clone();
    disk.flip_bit(&segment, 1100 * 8).unwrap();
    disk.flip_bit(synced_path(), 9).unwrap();
    let error = open(&disk).err().expect("the group may have been synced");
    assert!(matches!(error, LogError::Damaged(_)), "{error}");
}

#[test]
fn complete_groups_after_the_synced_position_are_synced_before_they_count() {
    let disk = log_with_lagging_position(3);
    disk.make_durable();
    let syncs = disk.sync_count(&segments(&disk)[0]);
    let log = open(&disk).unwrap();
    assert_eq!(log.state().last, Some(at(1, 3)));
    assert_eq!(disk.sync_count(&segments(&disk)[0]), syncs + 1);
}

#[test]
fn the_error_for_damage_states_the_location_and_what_to_do() {
    let disk = small_log();
    let segment = &segments(&disk)[0];
    disk.flip_bit(segment, 1100 * 8).unwrap();
    let error = open(&disk).err().expect("the log is damaged");
    let text = error.to_string();
    let path = segment.display().to_string();
    for part in [
        &path,
        "at byte 1024",
        "docs/trouble/damaged-data.md",
        "must not vote",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn damage_under_an_open_log_is_found_by_a_read_and_by_a_scrub() {
    let disk = SimDisk::new();
    let config = LogConfig {
        cache_size_max: 0,
        ..config(&disk)
    };
    let log_metrics = metrics();
    let log = Log::open(config, log_metrics.clone()).unwrap();
    append(&log, (0..9).map(|index| large_entry(index, 1000)));
    append(&log, [entry(1, 9)]);
    disk.flip_bit(&segments(&disk)[0], 3000 * 8).unwrap();
    assert_eq!(log.read(0..2, usize::MAX).unwrap().len(), 2);
    let error = log.read(0..9, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("00001.seg"), "{error}");
    let damage = log.scrub().next_piece().unwrap_err();
    assert_eq!(damage.offset, 512);
    assert_eq!(log_metrics.damaged_total.get(), 2);
}

#[test]
fn a_scrub_reads_every_group_once() {
    let disk = large_log();
    let log = open(&disk).unwrap();
    let mut scrub = log.scrub();
    let mut size = 0;
    while let Some(piece) = scrub.next_piece().unwrap() {
        size += piece as u64;
    }
    assert_eq!(size, log.written_size());
    assert!(size > 30_000, "{size}");
    append(&log, [large_entry(60, 10)]);
    assert!(scrub.next_piece().unwrap().is_some(), "a new group");
    assert_eq!(scrub.next_piece(), Ok(None));
}

#[test]
fn a_scrub_skips_segments_that_are_purged_meanwhile() {
    let disk = large_log();
    let log = open(&disk).unwrap();
    let mut scrub = log.scrub();
    scrub.next_piece().unwrap();
    for index in 60..160 {
        append(&log, [large_entry(index, 2000)]);
        log.purge(at(1, index - 1)).unwrap();
        scrub.next_piece().unwrap();
    }
    sync(&log);
    while scrub.next_piece().unwrap().is_some() {}
}

#[test]
fn a_failed_sync_is_reported_to_all_callers_and_never_retried() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    let segment = segments(&disk)[0].clone();
    disk.block_syncs(&segment);
    let waits = [1, 2, 3].map(|index| {
        let (on_flushed, wait) = flush_callback();
        log.append([entry(1, index)], on_flushed).unwrap();
        wait
    });
    disk.wait_for_blocked_syncs(1);
    disk.fail(quorate_sim::Call::Sync, &segment, 1);
    disk.release_syncs();
    for wait in waits {
        let error = wait().unwrap_err();
        assert!(error.to_string().contains("the medium failed"), "{error}");
    }
    let files = || [&segment, &vote_path(), &synced_path()].map(|path| disk.read(path).unwrap());
    let before = files();
    log.append([entry(1, 4)], flush_callback().0).unwrap_err();
    log.save_vote(vote(9), flush_callback().0).unwrap_err();
    log.truncate_after(None).unwrap_err();
    log.purge(at(1, 0)).unwrap_err();
    log.sync(flush_callback().0).unwrap_err();
    drop(log);
    assert_eq!(files(), before, "nothing more is written");

    let log = open(&disk).unwrap();
    let read = content(&log);
    drop(log);
    let image = disk.image(usize::MAX, quorate_sim::PowerLoss::Everything);
    let log = open(&image).unwrap();
    assert_eq!(content(&log), read, "opening has synced it again");
}

#[test]
fn a_failed_sync_of_a_vote_is_reported_and_fails_the_log() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(1));
    disk.fail(quorate_sim::Call::Sync, vote_path(), 1);
    let (on_flushed, wait) = flush_callback();
    log.save_vote(vote(2), on_flushed).unwrap();
    wait().unwrap_err();
    log.append([entry(2, 0)], flush_callback().0).unwrap_err();
    drop(log);
    let log = open(&disk).unwrap();
    let found = log.state().vote;
    drop(log);
    let image = disk.image(usize::MAX, quorate_sim::PowerLoss::Everything);
    assert_eq!(open(&image).unwrap().state().vote, found);
}

#[test]
fn a_callback_that_panics_fails_the_log_and_the_other_callbacks_are_called() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    disk.block_syncs(&segments(&disk)[0]);
    log.append([entry(1, 0)], Box::new(|_| panic!("injected")))
        .unwrap();
    disk.wait_for_blocked_syncs(1);
    let (on_flushed, wait) = flush_callback();
    log.append([entry(1, 1)], on_flushed).unwrap();
    disk.release_syncs();
    wait().unwrap_err();
    log.sync(flush_callback().0).unwrap_err();
}

#[test]
fn an_unknown_version_is_rejected_and_named() {
    let disk = small_log();
    let path = segments(&disk)[0].clone();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut header = [0; 512];
    file.read_at(&mut header, 0).unwrap();
    let log_id = u64::from_le_bytes(header[16..24].try_into().unwrap());
    // The second one is the magic of an older format.
    for (at, bytes, expected) in [(8, &[9][..], 9), (0, b"Q-segmnt", 0)] {
        let mut header = header;
        header[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = crate::block::checksum(log_id, &header[..504]);
        header[504..].copy_from_slice(&checksum.to_le_bytes());
        file.write_at(&header, 0).unwrap();
        let error = open(&disk).err().expect("the version is unknown");
        assert!(
            matches!(error, LogError::Format { version, .. } if version == expected),
            "{error}"
        );
    }
}

#[test]
fn cutting_off_synced_groups_would_be_detected() {
    let disk = small_log();
    let before = recovered(&disk).unwrap();
    disk.flip_bit(&segments(&disk)[0], 1100 * 8).unwrap();
    let config = LogConfig {
        injected_fault: Some(InjectedFault::CutBelowSynced),
        ..config(&disk)
    };
    let log = Log::open(config, metrics()).unwrap();
    assert_ne!(log.state(), before);
}
