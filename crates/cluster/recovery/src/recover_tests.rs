use std::path::Path;

use quorate_disk::{Disk, OpenMode};
use quorate_log::{LOG_DIR, Log, LogConfig, LogMetrics};
use quorate_metrics::Registry;
use quorate_packet::Timestamp;
use quorate_peer::{NodeId, message::StoredMembership};
use quorate_sim::SimDisk;
use quorate_state::{LogIndex, Term, UnixMillis};
use quorate_store::Store;

use super::*;
use crate::{Assessment, HISTORY_GAP, last_known, test_cluster::*};

fn assess(survivors: &[&Survivor]) -> Assessment {
    let summaries: Vec<_> = survivors.iter().map(|survivor| &survivor.summary).collect();
    Assessment::of(&summaries).unwrap()
}

fn recovered(disk: &SimDisk, survivor: &Survivor) -> Recovered {
    let last = last_known(&[&survivor.summary]);
    recover(survivor, &new_node(disk), last).unwrap()
}

fn version(store: &Store, number: u8) -> Option<Timestamp> {
    let stored = store.stored_packet(&key(number));
    stored.map(|stored| stored.packet.timestamp())
}

/// A byte of the last place where these bytes are in a file is changed.
fn damage(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Write).unwrap();
    let mut content = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut content, 0).unwrap();
    let found = content
        .windows(bytes.len())
        .rposition(|window| window == bytes);
    let offset = found.expect("the bytes are in the file") as u64;
    file.write_at(&[!bytes[0]], offset).unwrap();
}

#[test]
fn the_new_cluster_has_all_packets_on_disk_and_in_the_log_and_nothing_of_the_old_one() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    node.apply(1, &put(10, [packet(1, 1), packet(2, 1)]));
    node.checkpoint();
    let committed = node.apply(2, &put(20, [packet(1, 2)]));
    node.commit(committed);
    let last = node.append(3, &put(30, [packet(3, 3)]));
    let survivor = node.survivor(1);
    let before = disk.digest();
    assert_eq!(survivor.summary.last, Some(last));
    assert_eq!(survivor.summary.committed, Some(committed));
    assert_eq!(survivor.summary.uncommitted_packets, 1);
    assert_eq!(survivor.summary.cluster_time_ms, Some(START + 30_000));
    assert_eq!(survivor.summary.voters[0].len(), 3);
    assert_eq!(survivor.summary.cluster, "07".repeat(32));

    let new_disk = SimDisk::new();
    let found = recovered(&new_disk, &survivor);
    assert_eq!((found.last, found.stopped), (Some(last), None));
    assert_eq!(found.packets.usage.count, 3);
    assert_eq!(disk.digest(), before, "the old directory is as it was");

    let store = new_store(&new_disk);
    for (number, seconds) in [(1, 2), (2, 1), (3, 3)] {
        let expected = packet(number, seconds).timestamp();
        assert_eq!(version(&store, number), Some(expected));
    }
    let meta = store.meta();
    assert_eq!((meta.cluster.id, meta.cluster.forming), (None, None));
    assert_eq!(meta.cluster.capacity.unwrap().count_max, 1000);
    assert_eq!(meta.cluster.restored, Some(UnixMillis(START + 30_000)));
    let applied = meta.applied.unwrap();
    assert_eq!(
        (applied.term, applied.index),
        (Term(4), LogIndex(4 + HISTORY_GAP))
    );
    let members = StoredMembership::decode(&meta.membership).unwrap();
    assert_eq!(members.position, Some(applied));
    assert!(members.membership.nodes.keys().eq(&[NodeId::from(9)]));

    let config = LogConfig::new(new_node(&new_disk).disk, Path::new("/new").join(LOG_DIR));
    let log = Log::open(config, LogMetrics::register(&Registry::new()).unwrap()).unwrap();
    assert_eq!(
        (log.state().purged, log.state().last),
        (Some(applied), Some(applied))
    );
    assert_eq!(log.state().vote.unwrap().term, 4);
}

#[test]
fn a_node_that_never_wrote_a_checkpoint_is_recovered_from_its_log() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    node.apply(1, &put(10, [packet(1, 1)]));
    let survivor = node.survivor(1);
    let new_disk = SimDisk::new();
    assert_eq!(recovered(&new_disk, &survivor).packets.usage.count, 1);
}

#[test]
fn a_node_without_entries_after_its_checkpoint_is_recovered_from_that() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    let last = node.apply(1, &put(10, [packet(1, 1)]));
    node.checkpoint();
    node.purge(last);
    let survivor = node.survivor(1);
    assert_eq!(survivor.summary.last, Some(last));
    assert_eq!(survivor.summary.cluster_time_ms, Some(START + 10_000));
    assert_eq!(recovered(&SimDisk::new(), &survivor).last, Some(last));
}

#[test]
fn the_first_damaged_entry_ends_the_history_and_later_ones_are_named() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    node.apply(1, &put(10, [packet(1, 1)]));
    node.checkpoint();
    let good = node.append(2, &put(20, [packet(2, 2)]));
    node.append(2, &put(30, [packet(3, 3)]));
    let after = node.append(2, &put(40, [packet(4, 4)]));
    let dir = node.dir.clone();
    drop(node);
    let segment = dir.join(LOG_DIR).join("000000000001.seg");
    damage(&disk, &segment, packet(3, 3).payload());
    let survivor = survivor(&disk, &dir, 1);
    assert_eq!(survivor.summary.last, Some(good));
    assert_eq!(survivor.summary.unreachable, Some(after));
    assert!(survivor.summary.log_damage.is_some());
    assert_eq!(assess(&[&survivor]).unreadable, Some((0, after)));
    let found = recovered(&SimDisk::new(), &survivor);
    assert_eq!((found.last, found.packets.usage.count), (Some(good), 2));
    assert!(found.stopped.is_some());
}

#[test]
fn damage_that_the_packets_on_disk_cover_loses_nothing() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    node.apply(1, &put(10, [packet(1, 1)]));
    node.apply(1, &put(20, [packet(2, 2)]));
    node.checkpoint();
    let last = node.append(1, &put(30, [packet(3, 3)]));
    let dir = node.dir.clone();
    drop(node);
    let segment = dir.join(LOG_DIR).join("000000000001.seg");
    damage(&disk, &segment, packet(1, 1).payload());
    let survivor = survivor(&disk, &dir, 1);
    assert!(survivor.summary.is_intact(), "{:?}", survivor.summary);
    assert_eq!(survivor.summary.last, Some(last));
    let found = recovered(&SimDisk::new(), &survivor);
    assert_eq!((found.last, found.stopped), (Some(last), None));
    assert_eq!(found.packets.usage.count, 3);
}

#[test]
fn entries_that_were_removed_from_the_log_and_are_not_in_the_packets_are_named() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    let applied = node.apply(1, &put(10, [packet(1, 1)]));
    node.checkpoint();
    let lost = node.append(1, &put(20, [packet(2, 2)]));
    node.purge(lost);
    let survivor = node.survivor(1);
    assert_eq!(survivor.summary.last, Some(applied));
    assert_eq!(survivor.summary.unreachable, Some(lost));
    let damage = survivor.summary.log_damage.as_ref().unwrap();
    assert!(damage.contains("entries 3 to 3 were removed"), "{damage}");
    assert!(recovered(&SimDisk::new(), &survivor).stopped.is_some());
}

#[test]
fn imported_packets_count_as_uncommitted_too_and_are_recovered() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    let committed = node.apply(1, &put(10, [packet(1, 1)]));
    node.commit(committed);
    node.append(1, &import(20, 15, packet(2, 2)));
    let survivor = node.survivor(1);
    assert_eq!(survivor.summary.uncommitted_packets, 1);
    let new_disk = SimDisk::new();
    assert_eq!(recovered(&new_disk, &survivor).packets.usage.count, 2);
    let stored = new_store(&new_disk).stored_packet(&key(2)).unwrap();
    assert_eq!(stored.received, UnixMillis(START + 15_000));
}

#[test]
fn an_entry_of_a_newer_program_ends_the_history() {
    let disk = SimDisk::new();
    let mut node = OldNode::new(&disk, "/old");
    let good = node.apply(1, &put(10, [packet(1, 1)]));
    node.checkpoint();
    // Magic, a level that does not exist yet, an unknown kind.
    let newer = [&[1, 1][..], &[b'Q', 0xff, 0xff, 99]].concat();
    node.append_bytes(2, newer.into());
    node.append(2, &put(30, [packet(3, 3)]));
    let found = recovered(&SimDisk::new(), &node.survivor(1));
    assert_eq!(found.last, Some(good));
    let stopped = found.stopped.unwrap();
    assert!(stopped.contains("level"), "{stopped}");
}

#[test]
fn damaged_packets_need_the_complete_log_or_a_salvage() {
    for is_purged in [false, true] {
        let disk = SimDisk::new();
        let mut node = OldNode::new(&disk, "/old");
        let last = node.apply(1, &put(10, [packet(1, 1)]));
        node.checkpoint();
        if is_purged {
            node.purge(last);
            node.append(1, &put(20, [packet(2, 1)]));
        }
        let dir = node.dir.clone();
        drop(node);
        let path = dir.join(quorate_store::STORE_FILE);
        damage(&disk, &path, packet(1, 1).payload());
        let survivor = survivor(&disk, &dir, 1);
        assert!(survivor.summary.store_damage.is_some());
        let last = LogPosition::new(1, 10);
        match recover(&survivor, &new_node(&SimDisk::new()), last) {
            Ok(found) => assert_eq!((is_purged, found.packets.usage.count), (false, 1)),
            Err(error) => {
                assert!(
                    is_purged && error.to_string().contains("--salvage"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn a_directory_in_use_is_refused() {
    let disk = SimDisk::new();
    let node = OldNode::new(&disk, "/old");
    let shared: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk.clone());
    let read = || Survivor::read(&shared, Path::new("/old"), None, None);
    let error = read().map(drop).unwrap_err();
    assert!(
        matches!(
            error,
            RecoveryError::Log(quorate_log::LogError::Locked { .. })
        ),
        "{error}"
    );
    drop(node);
    read().unwrap();
}

#[test]
fn an_empty_directory_is_no_survivor() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/old")).unwrap();
    let survivor = survivor(&disk, Path::new("/old"), 1);
    assert_eq!(Assessment::of(&[&survivor.summary]), None);
}
