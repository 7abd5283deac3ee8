use std::path::Path;

use quorate_disk::{Disk, OpenMode};
use quorate_log::LOG_DIR;
use quorate_packet::SignedPacket;
use quorate_sim::SimDisk;
use quorate_state::{Condition, Conditions, SettingsChange, UnixMillis};
use quorate_store::STORE_FILE;

use super::*;
use crate::test_cluster::*;

const LAST: LogPosition = LogPosition::new(5, 100);

/// A node with packets of the keys 1 to 9 in its checkpoint, the last of them 2 seconds old, and the log
/// after them.
fn node(disk: &SimDisk, dir: &str) -> OldNode {
    let mut node = OldNode::new(disk, dir);
    let first = node.apply(1, &put(1, (1..10).map(|number| packet(number, 1))));
    node.checkpoint();
    node.purge(first);
    node
}

fn salvaged(survivors: &[&Survivor], new_disk: &SimDisk) -> Salvaged {
    let summaries: Vec<_> = survivors.iter().map(|survivor| &survivor.summary).collect();
    salvage(survivors, &summaries, &new_node(new_disk), LAST).unwrap()
}

fn fill(disk: &SimDisk, path: &Path, from: u64) {
    let file = disk.open(path, OpenMode::Write).unwrap();
    let size = file.size().unwrap() - from;
    file.write_at(&vec![0xa5; size as usize], from).unwrap();
}

#[test]
fn undamaged_directories_are_whole() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    node.append(1, &put(2, [packet(3, 2), packet(10, 2)]));
    let new_disk = SimDisk::new();
    let found = salvaged(&[&node.survivor(1)], &new_disk);
    assert!(
        matches!(found.completeness, Completeness::Whole(_)),
        "{found:?}"
    );
    assert_eq!((found.packets.usage.count, found.invalid_count), (10, 0));
    let stored = new_store(&new_disk).stored_packet(&key(3)).unwrap();
    assert_eq!(stored.packet, packet(3, 2));
}

#[test]
fn two_damaged_directories_complete_each_other() {
    let disk = SimDisk::new();
    let a = node(&disk, "/a");
    let mut b = node(&disk, "/b");
    b.append(2, &put(9, [packet(11, 9)]));
    drop((a, b));
    // The header of one file, and all leaves of the other.
    let file = disk
        .open(&Path::new("/a").join(STORE_FILE), OpenMode::Write)
        .unwrap();
    file.write_at(&[0xa5; 4096], 0).unwrap();
    let survivors = [
        survivor(&disk, Path::new("/a"), 1),
        survivor(&disk, Path::new("/b"), 2),
    ];
    assert!(survivors[0].summary.store_damage.is_some());
    let found = salvaged(&survivors.each_ref(), &SimDisk::new());
    assert_eq!(found.packets.usage.count, 10);
    assert!(
        matches!(found.completeness, Completeness::Whole(_)),
        "{found:?}"
    );
}

#[test]
fn lost_packets_are_counted() {
    let disk = SimDisk::new();
    drop(node(&disk, "/old"));
    let path = Path::new("/old").join(STORE_FILE);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    let mut content = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut content, 0).unwrap();
    // Every copy of it: pages that are free may have one too.
    let payload = packet(4, 1).payload().clone();
    let mut from = 0;
    while let Some(at) = content[from..]
        .windows(payload.len())
        .position(|it| it == payload)
    {
        file.write_at(&[!payload[70]], (from + at + 70) as u64)
            .unwrap();
        from += at + 1;
    }
    let log = Path::new("/old").join(LOG_DIR).join("000000000001.seg");
    fill(&disk, &log, 512);
    let survivor = survivor(&disk, Path::new("/old"), 1);
    let found = salvaged(&[&survivor], &SimDisk::new());
    assert_eq!(found.packets.usage.count, 8);
    assert!(
        matches!(found.completeness, Completeness::Missing(1, _)),
        "{found:?}"
    );
}

#[test]
fn a_log_alone_has_its_packets_and_nothing_is_known_of_others() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    node.append(2, &put(9, [packet(11, 9)]));
    drop(node);
    fill(&disk, &Path::new("/old").join(STORE_FILE), 0);
    let survivor = survivor(&disk, Path::new("/old"), 1);
    let found = salvaged(&[&survivor], &SimDisk::new());
    assert_eq!(found.completeness, Completeness::Unknown);
    assert!(found.applied.is_none());
    // The entries before the purge are still in the file of the log.
    assert_eq!(found.packets.usage.count, 10);
}

#[test]
fn deleted_packets_do_not_come_back() {
    for is_in_checkpoint in [true, false] {
        let disk = SimDisk::new();
        let mut node = node(&disk, "/old");
        let delete = Command::DeletePacket {
            key: key(2),
            blocked_until: None,
            now: UnixMillis(START + 5000),
        };
        match is_in_checkpoint {
            true => {
                node.apply(1, &delete);
                node.checkpoint();
            }
            false => drop(node.append(1, &delete)),
        }
        let new_disk = SimDisk::new();
        let found = salvaged(&[&node.survivor(1)], &new_disk);
        assert_eq!(found.packets.usage.count, 8, "{is_in_checkpoint}");
        let meta = new_store(&new_disk).meta();
        assert!(meta.cluster.publishing.deleted.contains_key(&key(2)));
    }
}

/// Overwrites the first page of the packets, so that redb cannot read them.
fn damage_header(disk: &SimDisk, dir: &str) {
    let path = Path::new(dir).join(STORE_FILE);
    let file = disk.open(&path, OpenMode::Write).unwrap();
    file.write_at(&[0xa5; 4096], 0).unwrap();
}

#[test]
fn what_was_published_after_a_deletion_stays() {
    for is_damaged in [true, false] {
        let disk = SimDisk::new();
        let mut node = node(&disk, "/old");
        let delete = Command::DeletePacket {
            key: key(2),
            blocked_until: None,
            now: UnixMillis(START + 5000),
        };
        node.append(1, &delete);
        node.append(1, &put(6, [packet(2, 6)]));
        drop(node);
        if is_damaged {
            damage_header(&disk, "/old");
        }
        let survivor = survivor(&disk, Path::new("/old"), 1);
        let new_disk = SimDisk::new();
        salvaged(&[&survivor], &new_disk);
        let stored = new_store(&new_disk).stored_packet(&key(2)).unwrap();
        assert_eq!(stored.packet, packet(2, 6), "{is_damaged}");
    }
}

#[test]
fn what_the_cluster_rejected_is_not_brought() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    let Command::PutBatch(mut batch) = put(6, [packet(2, 6)]) else {
        unreachable!("it puts packets")
    };
    let if_absent = Conditions::new(vec![Condition::NotStored]).unwrap();
    batch.conditions.insert(0, if_absent);
    node.append(1, &Command::PutBatch(batch));
    let new_disk = SimDisk::new();
    salvaged(&[&node.survivor(1)], &new_disk);
    let stored = new_store(&new_disk).stored_packet(&key(2)).unwrap();
    assert_eq!(stored.packet, packet(2, 1));
}

#[test]
fn imports_and_settings_in_the_log_are_brought() {
    for is_damaged in [true, false] {
        let disk = SimDisk::new();
        let mut node = node(&disk, "/old");
        node.append(1, &import(6, 3, packet(20, 2)));
        let change = SettingsChange {
            count_max: Some(77),
            ..SettingsChange::default()
        };
        node.append(1, &Command::ChangeSettings(change));
        drop(node);
        if is_damaged {
            damage_header(&disk, "/old");
        }
        let survivor = survivor(&disk, Path::new("/old"), 1);
        let new_disk = SimDisk::new();
        let found = salvaged(&[&survivor], &new_disk);
        assert_eq!((found.packets.usage.count, found.missing_entries), (10, 0));
        let store = new_store(&new_disk);
        let stored = store.stored_packet(&key(20)).unwrap();
        assert_eq!(stored.received, UnixMillis(START + 3000));
        assert_eq!(store.meta().cluster.capacity.unwrap().count_max, 77);
    }
}

#[test]
fn packets_that_were_deleted_or_expired_before_the_checkpoint_leave_an_intact_one_whole() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    let cutoff = UnixMillis(START + 3_600_000);
    node.apply(
        1,
        &Command::Expire {
            cutoff,
            count_max: 3,
        },
    );
    node.checkpoint();
    let found = salvaged(&[&node.survivor(1)], &SimDisk::new());
    assert_eq!(found.packets.usage.count, 6);
    assert!(
        matches!(found.completeness, Completeness::Whole(_)),
        "{found:?}"
    );
}

#[test]
fn entries_that_cannot_be_read_are_counted() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    for number in 10..15 {
        node.append(2, &put(9, [packet(number, 9)]));
    }
    drop(node);
    let log = Path::new("/old").join(LOG_DIR).join("000000000001.seg");
    let file = disk.open(&log, OpenMode::Write).unwrap();
    let mut content = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut content, 0).unwrap();
    let payload = packet(12, 9).payload().clone();
    let at = content.windows(payload.len()).position(|it| it == payload);
    file.write_at(&[!payload[0]], at.unwrap() as u64).unwrap();
    let found = salvaged(&[&survivor(&disk, Path::new("/old"), 1)], &SimDisk::new());
    assert_eq!((found.packets.usage.count, found.missing_entries), (13, 1));
    assert!(
        matches!(found.completeness, Completeness::Whole(_)),
        "{found:?}"
    );
}

#[test]
fn a_summary_from_another_machine_can_show_that_nothing_is_missing() {
    let disk = SimDisk::new();
    let known = node(&disk, "/other").survivor(2);
    drop(node(&disk, "/old"));
    damage_header(&disk, "/old");
    let survivor = survivor(&disk, Path::new("/old"), 1);
    let of = |summaries: &[&Summary]| {
        let new = new_node(&SimDisk::new());
        salvage(&[&survivor], summaries, &new, LAST)
            .unwrap()
            .completeness
    };
    assert_eq!(of(&[&survivor.summary]), Completeness::Unknown);
    let expected = Completeness::Whole(known.summary.applied.unwrap());
    assert_eq!(of(&[&survivor.summary, &known.summary]), expected);
}

#[test]
fn nothing_without_a_valid_signature_is_brought() {
    let disk = SimDisk::new();
    let mut node = node(&disk, "/old");
    let forged = [packet(1, 5).payload().clone(), vec![0; 1].into()].concat();
    let forged = SignedPacket::assume_verified(key(1), forged.into()).unwrap();
    node.append(1, &put(7, [forged]));
    let found = salvaged(&[&node.survivor(1)], &SimDisk::new());
    assert_eq!((found.packets.usage.count, found.invalid_count), (9, 1));
}

#[test]
fn directories_without_packets_are_an_error() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/old")).unwrap();
    let survivor = survivor(&disk, Path::new("/old"), 1);
    assert!(survivor.log.is_none() || !survivor.dir().join(LOG_DIR).exists());
    let found = salvage(
        &[&survivor],
        &[&survivor.summary],
        &new_node(&SimDisk::new()),
        LAST,
    );
    assert!(matches!(found, Err(RecoveryError::Nothing)));
}
