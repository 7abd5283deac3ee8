//! A log that will not be opened again is read up to its damage, and nothing is written.

use quorate_sim::{Call, SimDisk};

use super::*;
use crate::fixture::{
    DIR, append, at, config, content, entry, large_entry, open, save_vote, segments, sync, vote,
};

fn read(disk: &SimDisk) -> LogReader {
    LogReader::open(disk, Path::new(DIR), None).unwrap()
}

fn entries(reader: &LogReader) -> Vec<(LogPosition, Bytes)> {
    reader.entries(None).collect::<Result<_, _>>().unwrap()
}

/// A log of several segments, of which the first ones were purged.
fn log_of_segments() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(2));
    for index in 0..60 {
        append(&log, [large_entry(index, 700)]);
    }
    log.save_committed(at(1, 40)).unwrap();
    log.purge(at(1, 20)).unwrap();
    sync(&log);
    disk
}

/// Changes a byte of the file that contains the entry of this index.
fn damage_entry(disk: &SimDisk, index: u64) {
    let payload = [index as u8; 700];
    for path in segments(disk) {
        let file = disk.open(&path, OpenMode::Write).unwrap();
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        let found = bytes.windows(700).rposition(|window| window == payload);
        if let Some(offset) = found {
            file.write_at(&[!payload[0]], offset as u64).unwrap();
            return;
        }
    }
    panic!("entry {index} is in no segment");
}

#[test]
fn an_undamaged_log_is_read_as_it_was_written_and_stays_unchanged() {
    let disk = log_of_segments();
    let before = disk.digest();
    let reader = read(&disk);
    assert_eq!(disk.digest(), before);
    let state = reader.state();
    assert_eq!(reader.damage(), None);
    assert_eq!(reader.last_unreachable().unwrap(), None);
    let read = entries(&reader);
    drop(reader);
    assert_eq!((state, read), content(&open(&disk).unwrap()));
}

#[test]
fn a_log_in_use_is_refused() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    let error = LogReader::open(&disk, Path::new(DIR), None).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    drop(log);
    let reader = read(&disk);
    assert!(matches!(open(&disk), Err(LogError::Locked { .. })));
    drop(reader);
    open(&disk).unwrap();
}

#[test]
fn a_damaged_log_is_read_up_to_the_damage_and_names_what_is_after_it() {
    let disk = log_of_segments();
    damage_entry(&disk, 45);
    assert!(matches!(open(&disk), Err(LogError::Damaged(_))));
    let reader = read(&disk);
    assert!(reader.damage().is_some());
    assert_eq!(reader.state().last, Some(at(1, 44)));
    assert_eq!(reader.state().vote, Some(vote(2)));
    // The purge was recorded after the damage.
    let read: Vec<_> = reader.entries(Some(at(1, 20))).collect();
    assert_eq!(read.len(), 24);
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(reader.last_unreachable().unwrap(), Some(at(1, 59)));
    let mut found = Vec::new();
    reader
        .for_each_in_files(|position, _| found.push(position.index.0))
        .unwrap();
    assert!(
        found.contains(&44) && !found.contains(&45) && found.contains(&46),
        "{found:?}"
    );
}

#[test]
fn a_lost_vote_or_synced_position_or_segment_is_named_and_the_rest_is_read() {
    for name in ["vote", "synced"] {
        let disk = log_of_segments();
        disk.remove(&Path::new(DIR).join(name)).unwrap();
        let reader = read(&disk);
        let damage = reader.damage().unwrap().to_string();
        assert!(damage.contains(name), "{damage}");
        assert_eq!(entries(&reader).len(), 39, "without {name}");
    }
    let disk = log_of_segments();
    let all = segments(&disk);
    let before = read(&disk).state().last;
    disk.remove(&all[1]).unwrap();
    let reader = read(&disk);
    let damage = reader.damage().unwrap();
    assert!(damage.to_string().contains("was synced"), "{damage}");
    assert!(reader.state().last < before);
    assert_eq!(reader.last_unreachable().unwrap(), before);
}

#[test]
fn damage_before_what_is_applied_is_passed_over() {
    for (damaged, applied, is_covered) in [(25, 25, true), (25, 59, true), (40, 39, false)] {
        let disk = log_of_segments();
        let before = read(&disk);
        let (last, expected) = (before.state().last, before.entries(Some(at(1, applied))));
        let expected: Vec<_> = expected.collect();
        drop(before);
        damage_entry(&disk, damaged);
        let dir = Path::new(DIR);
        let reader = LogReader::open(&disk, dir, Some(at(1, applied))).unwrap();
        assert_eq!(
            reader.damage().is_none(),
            is_covered,
            "{:?}",
            reader.damage()
        );
        if is_covered {
            assert_eq!(reader.state().last, last);
            let read: Vec<_> = reader.entries(Some(at(1, applied))).collect();
            assert_eq!(read, expected);
        }
    }
}

#[test]
fn a_lost_segment_whose_entries_are_applied_is_passed_over() {
    let disk = log_of_segments();
    let last = read(&disk).state().last;
    let all = segments(&disk);
    disk.remove(&all[0]).unwrap();
    disk.remove(&all[1]).unwrap();
    let reader = LogReader::open(&disk, Path::new(DIR), Some(at(1, 55))).unwrap();
    assert_eq!((reader.damage(), reader.state().last), (None, last));
    assert_eq!(
        reader
            .entries(Some(at(1, 55)))
            .filter(Result::is_ok)
            .count(),
        4
    );
}

#[test]
fn what_the_disk_cannot_read_is_damage() {
    let disk = log_of_segments();
    let last = segments(&disk).pop().unwrap();
    disk.fail_from(Call::Read, &last, 1);
    let reader = read(&disk);
    let damage = reader.damage().unwrap();
    assert_eq!(damage.path, last);
    // The purge is recorded in that segment, and those before it may be removed already.
    let mut after = reader.entries(Some(at(1, 20)));
    assert!(after.next().is_some_and(|entry| entry.is_ok()));
}

#[test]
fn truncated_entries_are_not_in_the_log() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, (0..4).map(|index| entry(1, index)));
    log.truncate_after(Some(at(1, 2))).unwrap();
    append(&log, [entry(2, 3)]);
    let expected = content(&log).1;
    drop(log);
    assert_eq!(entries(&read(&disk)), expected);
    let after = read(&disk);
    let after: Vec<_> = after.entries(Some(at(1, 2))).collect();
    assert_eq!(after, [Ok(entry(2, 3))]);
    assert!(config(&disk).dir.ends_with("log"));
}

#[test]
fn a_directory_without_a_log_is_an_error() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    assert!(LogReader::open(&disk, Path::new(DIR), None).is_err());
}
