//! What was durable and is damaged is refused, or read as it was; never as something else.

use std::path::{Path, PathBuf};

use quorate_disk::{Disk, OpenMode};
use quorate_sim::SimDisk;

use crate::{
    InjectedFault, Log, LogConfig, LogError, State,
    fixture::{
        DIR, append, at, config, content, entries, entry, flushed, large_entry, metrics, open,
        save_vote, segments, sync, vote,
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
fn small() -> SimDisk {
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

/// A log of several segments, the first ones gone.
fn large() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(1));
    for index in 0..60 {
        append(&log, [large_entry(index, 700 + 40 * index as usize)]);
    }
    log.purge(at(1, 20)).unwrap();
    sync(&log);
    drop(log);
    settled(disk)
}

/// The disk without the segments that only stood ready.
fn settled(disk: SimDisk) -> SimDisk {
    recovered(&disk).unwrap();
    disk.settle();
    disk
}

/// What an opened log would hold, without its threads.
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

/// Whether a copy of the disk that is damaged is refused. If not, it must be as it was.
fn is_refused(disk: &SimDisk, what: &str, damage: impl Fn(&SimDisk)) -> bool {
    disk.settle();
    let copy = || disk.image(0, quorate_sim::Loss::Nothing);
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

/// Where the last group of a segment ends.
fn used(disk: &SimDisk, segment: &Path) -> usize {
    let content = disk.read(segment).unwrap();
    let mut sectors = content.chunks(512);
    let last = sectors.rposition(|sector| sector.iter().any(|byte| *byte != 0));
    (last.unwrap() + 1) * 512
}

#[test]
fn no_bit_of_a_log_can_turn_unnoticed() {
    let disk = small();
    let segment = &segments(&disk)[0];
    let used = used(&disk, segment);
    let before = recovered(&disk).unwrap();
    disk.settle();
    for bit in 0..used * 8 {
        disk.settle();
        disk.flip_bit(segment, bit).unwrap();
        let error = recovered(&disk).expect_err(&format!("bit {bit}"));
        assert!(matches!(error, LogError::Damaged(_)), "bit {bit}: {error}");
        disk.flip_bit(segment, bit).unwrap();
    }
    disk.settle();
    assert_eq!(recovered(&disk).unwrap(), before);
}

/// One bit of every few bytes; every bit of them if `QUORATE_EVERY_BIT` is set.
#[test]
fn no_byte_of_the_last_segments_can_turn_unnoticed() {
    const SEGMENT_BITS: usize = 16 * 1024 * 8;
    const STEP: usize = 23 * 8;
    let every_bit = std::env::var_os("QUORATE_EVERY_BIT").is_some();
    let disk = large();
    let before = recovered(&disk).unwrap();
    let all = segments(&disk);
    let mut random = fastrand::Rng::with_seed(1);
    let mut refused = 0;
    for segment in &all {
        for bit in (0..SEGMENT_BITS).step_by(if every_bit { 1 } else { STEP }) {
            disk.settle();
            let bit = if every_bit {
                bit
            } else {
                bit + random.usize(0..8)
            };
            disk.flip_bit(segment, bit).unwrap();
            match recovered(&disk) {
                Ok(state) => assert_eq!(state, before, "bit {bit} of {}", segment.display()),
                Err(LogError::Damaged(_)) => refused += 1,
                Err(other) => panic!("bit {bit} of {}: {other}", segment.display()),
            }
            disk.flip_bit(segment, bit).unwrap();
        }
    }
    assert!(all.len() >= 4, "{all:?}");
    assert!(refused > 3 * SEGMENT_BITS / STEP, "{refused}");
}

#[test]
fn a_page_that_is_zeroed_or_elsewhere_is_noticed() {
    const PAGE: usize = 4096;
    let disk = large();
    let all = segments(&disk);
    let (last, full) = (&all[all.len() - 1], &all[..all.len() - 1]);
    for segment in full {
        for page in (0..4).map(|page| page * PAGE) {
            assert!(is_refused(&disk, "zeros", |disk| {
                disk.zero(segment, page..page + PAGE).unwrap();
            }));
            assert!(is_refused(&disk, "swap", |disk| {
                disk.swap(segment, page, (page + PAGE) % (4 * PAGE), PAGE)
                    .unwrap();
            }));
        }
        assert!(is_refused(&disk, "cut", |disk| {
            disk.truncate(segment, 3 * PAGE).unwrap();
        }));
    }
    for end in (0..16 * 1024).step_by(512) {
        is_refused(&disk, "cut", |disk| disk.truncate(last, end).unwrap());
    }
}

#[test]
fn a_segment_that_is_gone_or_under_another_name_is_noticed() {
    let disk = large();
    let all = segments(&disk);
    for segment in &all[..all.len() - 1] {
        assert!(is_refused(&disk, "gone", |disk| {
            disk.remove(segment).unwrap();
        }));
    }
    assert!(is_refused(&disk, "moved", |disk| {
        let other = all[0].with_extension("spare");
        disk.rename(&all[0], &other).unwrap();
        disk.rename(&all[1], &all[0]).unwrap();
        disk.rename(&other, &all[1]).unwrap();
    }));
    assert!(is_refused(&disk, "all gone", |disk| {
        all.iter().for_each(|path| disk.remove(path).unwrap());
    }));
}

#[test]
fn a_vote_outlives_the_damage_of_one_copy_and_not_of_both() {
    let disk = small();
    for copy in [0, 4096] {
        for bit in (0..512 * 8).step_by(5) {
            let refused = is_refused(&disk, "one copy", |disk| {
                disk.flip_bit(vote_path(), copy * 8 + bit).unwrap();
            });
            assert!(!refused, "bit {bit} of the copy at {copy}");
        }
    }
    assert!(is_refused(&disk, "both copies", |disk| {
        disk.flip_bit(vote_path(), 300).unwrap();
        disk.flip_bit(vote_path(), 4096 * 8 + 300).unwrap();
    }));
    assert!(is_refused(&disk, "no copy", |disk| disk
        .remove(&vote_path())
        .unwrap()));
}

#[test]
fn one_slot_of_the_synced_position_is_enough_and_none_is_not() {
    let disk = small();
    for slot in [0, 4096] {
        for bit in (0..512 * 8).step_by(5) {
            let refused = is_refused(&disk, "one slot", |disk| {
                disk.flip_bit(synced_path(), slot * 8 + bit).unwrap();
            });
            assert!(!refused, "bit {bit} of the slot at {slot}");
        }
    }
    assert!(is_refused(&disk, "both slots", |disk| {
        disk.zero(synced_path(), 0..8192).unwrap();
    }));
    assert!(is_refused(&disk, "no file", |disk| disk
        .remove(&synced_path())
        .unwrap()));
}

#[test]
fn a_slot_damaged_right_after_the_front_was_purged_costs_nothing() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [large_entry(0, config(&disk).payload_size_max())]);
    log.purge(at(1, 0)).unwrap();
    sync(&log);
    drop(log);
    let disk = settled(disk);
    assert!(segments(&disk)[0].ends_with("000000000002.seg"));
    for slot in [0, 4096] {
        let refused = is_refused(&disk, "one slot", |disk| {
            disk.zero(synced_path(), slot..slot + 512).unwrap();
        });
        assert!(!refused, "the slot at {slot}");
    }
}

#[test]
fn both_copies_are_good_again_after_opening() {
    let disk = small();
    disk.zero(vote_path(), 0..512).unwrap();
    disk.zero(synced_path(), 4096..4608).unwrap();
    drop(open(&disk).unwrap());
    disk.zero(vote_path(), 4096..4608).unwrap();
    disk.zero(synced_path(), 0..512).unwrap();
    assert_eq!(open(&disk).unwrap().state().vote, Some(vote(3)));
}

#[test]
fn files_of_another_log_are_noticed() {
    let (disk, other) = (small(), small());
    for path in [vote_path(), synced_path(), segments(&disk)[0].clone()] {
        assert!(is_refused(&disk, "another log", |disk| {
            let content = other.read(&path).unwrap();
            let file = disk.open(&path, OpenMode::Write).unwrap();
            file.write_at(&content, 0).unwrap();
        }));
    }
}

/// A log whose synced position says less than is synced: it is written without a sync.
fn lagging(groups_behind: u64) -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    let content = disk.read(synced_path()).unwrap();
    for index in 1..=groups_behind {
        append(&log, [large_entry(index, 1000)]);
    }
    drop(log);
    let file = disk.open(&synced_path(), OpenMode::Write).unwrap();
    file.write_at(&content, 0).unwrap();
    disk
}

#[test]
fn a_torn_group_behind_the_synced_position_is_cut_and_written_anew() {
    for sector in 1024 / 512..2560 / 512 {
        let disk = lagging(1);
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
fn a_torn_group_that_another_one_follows_is_damage() {
    for behind in [2, 30] {
        let disk = lagging(behind);
        let segment = &segments(&disk)[0];
        assert!(is_refused(&disk, "a later group", |disk| {
            disk.flip_bit(segment, 1100 * 8).unwrap();
        }));
    }
}

#[test]
fn a_torn_group_beside_a_damaged_slot_is_damage() {
    let disk = lagging(1);
    let segment = segments(&disk)[0].clone();
    disk.flip_bit(&segment, 1100 * 8).unwrap();
    disk.flip_bit(synced_path(), 9).unwrap();
    let error = open(&disk).err().expect("the group may have been synced");
    assert!(matches!(error, LogError::Damaged(_)), "{error}");
}

#[test]
fn what_is_whole_behind_the_synced_position_is_synced_before_it_counts() {
    let disk = lagging(3);
    disk.settle();
    let syncs = disk.sync_count(&segments(&disk)[0]);
    let log = open(&disk).unwrap();
    assert_eq!(log.state().last, Some(at(1, 3)));
    assert_eq!(disk.sync_count(&segments(&disk)[0]), syncs + 1);
}

#[test]
fn damage_says_where_it_is_and_what_to_do() {
    let disk = small();
    let segment = &segments(&disk)[0];
    disk.flip_bit(segment, 1100 * 8).unwrap();
    let error = open(&disk).err().expect("the log is damaged");
    let text = error.to_string();
    let path = segment.display().to_string();
    for part in [&path, "at byte 1024", "Losing a disk", "must not vote"] {
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
    let figures = metrics();
    let log = Log::open(config, figures.clone()).unwrap();
    append(&log, (0..9).map(|index| large_entry(index, 1000)));
    append(&log, [entry(1, 9)]);
    disk.flip_bit(&segments(&disk)[0], 3000 * 8).unwrap();
    assert_eq!(log.read(0..2, usize::MAX).unwrap().len(), 2);
    let error = log.read(0..9, usize::MAX).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("00001.seg"), "{error}");
    let damage = log.scrub().next_piece().unwrap_err();
    assert_eq!(damage.offset, 512);
    assert_eq!(figures.damaged_total.get(), 2);
}

#[test]
fn a_scrub_reads_every_group_once() {
    let disk = large();
    let log = open(&disk).unwrap();
    let mut scrub = log.scrub();
    let mut size = 0;
    while let Some(piece) = scrub.next_piece().unwrap() {
        size += piece as u64;
    }
    assert_eq!(size, log.written_size());
    assert!(size > 30_000, "{size}");
    append(&log, [large_entry(60, 10)]);
    assert!(scrub.next_piece().unwrap().is_some(), "it goes on");
    assert_eq!(scrub.next_piece(), Ok(None));
}

#[test]
fn a_scrub_passes_over_segments_that_are_purged_under_it() {
    let disk = large();
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
fn a_failed_sync_is_told_to_all_and_never_tried_again() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, [entry(1, 0)]);
    let segment = segments(&disk)[0].clone();
    disk.block_syncs(&segment);
    let waits = [1, 2, 3].map(|index| {
        let (on_flushed, wait) = flushed();
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
    log.append([entry(1, 4)], flushed().0).unwrap_err();
    log.save_vote(vote(9), flushed().0).unwrap_err();
    log.truncate_after(None).unwrap_err();
    log.purge(at(1, 0)).unwrap_err();
    log.sync(flushed().0).unwrap_err();
    drop(log);
    assert_eq!(files(), before, "nothing more is written");

    let log = open(&disk).unwrap();
    let read = content(&log);
    drop(log);
    let image = disk.image(usize::MAX, quorate_sim::Loss::Everything);
    let log = open(&image).unwrap();
    assert_eq!(content(&log), read, "what counts was synced anew");
}

#[test]
fn a_vote_whose_sync_failed_is_told_and_the_log_takes_no_more() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(1));
    disk.fail(quorate_sim::Call::Sync, vote_path(), 1);
    let (on_flushed, wait) = flushed();
    log.save_vote(vote(2), on_flushed).unwrap();
    wait().unwrap_err();
    log.append([entry(2, 0)], flushed().0).unwrap_err();
    drop(log);
    let log = open(&disk).unwrap();
    let found = log.state().vote;
    drop(log);
    let image = disk.image(usize::MAX, quorate_sim::Loss::Everything);
    assert_eq!(open(&image).unwrap().state().vote, found);
}

#[test]
fn a_callback_that_panics_fails_the_log_and_leaves_no_other_unheard() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    disk.block_syncs(&segments(&disk)[0]);
    log.append([entry(1, 0)], Box::new(|_| panic!("planted")))
        .unwrap();
    disk.wait_for_blocked_syncs(1);
    let (on_flushed, wait) = flushed();
    log.append([entry(1, 1)], on_flushed).unwrap();
    disk.release_syncs();
    wait().unwrap_err();
    log.sync(flushed().0).unwrap_err();
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let disk = small();
    let path = segments(&disk)[0].clone();
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut header = [0; 512];
    file.read_at(&mut header, 0).unwrap();
    let log_id = u64::from_le_bytes(header[16..24].try_into().unwrap());
    // The second as segments began before.
    for (at, bytes, told) in [(8, &[9][..], 9), (0, b"Q-segmnt", 0)] {
        let mut header = header;
        header[at..at + bytes.len()].copy_from_slice(bytes);
        let checksum = crate::block::checksum(log_id, &header[..504]);
        header[504..].copy_from_slice(&checksum.to_le_bytes());
        file.write_at(&header, 0).unwrap();
        let error = open(&disk).err().expect("the version is unknown");
        assert!(
            matches!(error, LogError::Format { version, .. } if version == told),
            "{error}"
        );
    }
}

#[test]
fn cutting_what_was_synced_would_be_seen() {
    let disk = small();
    let before = recovered(&disk).unwrap();
    disk.flip_bit(&segments(&disk)[0], 1100 * 8).unwrap();
    let flawed = LogConfig {
        injected_fault: Some(InjectedFault::CutBelowSynced),
        ..config(&disk)
    };
    let log = Log::open(flawed, metrics()).unwrap();
    assert_ne!(log.state(), before);
}
