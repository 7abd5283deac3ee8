//! Which operations survive a power loss.

use std::{path::Path, sync::Arc};

use quorate_disk::{Disk, DiskFile, OpenMode, SECTOR_SIZE};

use super::*;
use crate::Call;

/// Enough seeds to get every possible outcome.
const SEEDS: u64 = 200;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn file(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
    disk.open(path(name), OpenMode::Create).unwrap()
}

/// A disk with a durable file `a`, which has this number of sectors, all zeros.
fn disk_with(sectors: usize) -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new();
    let a = file(&disk, "a");
    a.set_size((sectors * SECTOR_SIZE) as u64).unwrap();
    disk.make_durable();
    (disk, a)
}

fn write_sector(file: &Arc<dyn DiskFile>, sector: usize, byte: u8) {
    let offset = (sector * SECTOR_SIZE) as u64;
    file.write_at(&[byte; SECTOR_SIZE], offset).unwrap();
}

/// The first byte of each sector of `a`.
fn sectors(disk: &SimDisk) -> Vec<u8> {
    let content = disk.read("a").unwrap();
    content.iter().step_by(SECTOR_SIZE).copied().collect()
}

/// All outcomes of a power loss at the current boundary.
fn outcomes<T: Ord>(
    disk: &SimDisk,
    kind: fn(u64) -> PowerLoss,
    read: impl Fn(&SimDisk) -> T,
) -> BTreeSet<T> {
    let images = (0..SEEDS).map(|seed| disk.image(usize::MAX, kind(seed)));
    images.map(|image| read(&image)).collect()
}

#[test]
fn synced_bytes_survive_and_unsynced_ones_may_be_lost() {
    let (disk, a) = disk_with(2);
    write_sector(&a, 0, 1);
    let written = disk.boundaries();
    a.sync_data().unwrap();
    write_sector(&a, 1, 2);
    assert_eq!(sectors(&disk.image(0, PowerLoss::Nothing)), [0, 0]);
    assert_eq!(sectors(&disk.image(written, PowerLoss::Everything)), [0, 0]);
    assert_eq!(
        sectors(&disk.image(usize::MAX, PowerLoss::Everything)),
        [1, 0]
    );
    assert_eq!(sectors(&disk.image(usize::MAX, PowerLoss::Nothing)), [1, 2]);
    let image = disk.image(usize::MAX, PowerLoss::Nothing);
    assert_eq!(image.boundaries(), 0);
    assert_eq!(sectors(&image.image(0, PowerLoss::Everything)), [1, 2]);
    disk.make_durable();
    assert_eq!(disk.boundaries(), 0);
    assert_eq!(sectors(&disk.image(0, PowerLoss::Everything)), [1, 2]);
}

#[test]
fn a_torn_write_leaves_any_of_its_sectors() {
    let (disk, a) = disk_with(3);
    a.write_at(&[1; 3 * SECTOR_SIZE], 0).unwrap();
    let torn = outcomes(&disk, PowerLoss::Torn, sectors);
    assert_eq!(torn.len(), 8);
    let complete = outcomes(&disk, PowerLoss::Reordered, sectors);
    assert_eq!(complete, [vec![1; 3]].into());
}

#[test]
fn a_sector_has_its_content_after_some_write() {
    let (disk, a) = disk_with(1);
    a.write_at(&[1; 8], 0).unwrap();
    a.write_at(&[2; 8], 4).unwrap();
    let left = outcomes(&disk, PowerLoss::Torn, |image| {
        image.read("a").unwrap()[..12].to_vec()
    });
    let versions = [
        [0; 12],
        [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2],
    ];
    assert_eq!(left, versions.map(Vec::from).into());
}

#[test]
fn a_later_write_may_survive_without_an_earlier_one() {
    let (disk, a) = disk_with(2);
    write_sector(&a, 0, 1);
    write_sector(&a, 1, 2);
    let left = outcomes(&disk, PowerLoss::Reordered, sectors);
    assert_eq!(left, [vec![0, 2], vec![1, 2]].into());
}

#[test]
fn changes_of_a_size_survive_in_order() {
    let (disk, a) = disk_with(2);
    a.set_size(SECTOR_SIZE as u64).unwrap();
    a.set_size(3 * SECTOR_SIZE as u64).unwrap();
    write_sector(&a, 0, 7);
    write_sector(&a, 2, 7);
    let left = outcomes(&disk, PowerLoss::Torn, sectors);
    for sizes in [1, 2, 3] {
        assert!(left.iter().any(|sectors| sectors.len() == sizes), "{sizes}");
    }
    assert!(left.contains(&vec![0, 0, 7]) && left.contains(&vec![7, 0, 0]));
    a.sync_data().unwrap();
    assert_eq!(
        outcomes(&disk, PowerLoss::Torn, sectors),
        [vec![7, 0, 7]].into()
    );
}

#[test]
fn a_write_that_extends_a_file_may_lose_its_bytes_or_also_the_new_size() {
    let (disk, a) = disk_with(0);
    write_sector(&a, 0, 1);
    let left = outcomes(&disk, PowerLoss::Torn, sectors);
    assert_eq!(left, [vec![], vec![0], vec![1]].into());
}

#[test]
fn truncated_bytes_do_not_come_back_when_the_file_grows_again() {
    let (disk, a) = disk_with(2);
    write_sector(&a, 1, 1);
    a.sync_data().unwrap();
    a.set_size(SECTOR_SIZE as u64).unwrap();
    a.allocate(2 * SECTOR_SIZE as u64).unwrap();
    assert_eq!(
        outcomes(&disk, PowerLoss::Torn, sectors),
        [vec![0, 0]].into()
    );
    assert_eq!(sectors(&disk.image(0, PowerLoss::Nothing)), [0, 0]);
}

#[test]
fn bytes_written_after_a_lost_truncation_are_not_in_the_file() {
    let (disk, a) = disk_with(3);
    a.write_at(&[1; 3 * SECTOR_SIZE], 0).unwrap();
    a.sync_data().unwrap();
    a.set_size(SECTOR_SIZE as u64).unwrap();
    write_sector(&a, 1, 9);
    let left = outcomes(&disk, PowerLoss::Torn, sectors);
    let steps = [vec![1, 1, 1], vec![1], vec![1, 0], vec![1, 9]];
    assert_eq!(left, steps.into());
}

#[test]
fn a_failed_sync_makes_no_size_durable_but_drops_none() {
    let (disk, a) = disk_with(1);
    write_sector(&a, 1, 1);
    disk.fail(Call::Sync, "", 1);
    a.sync_data().unwrap_err();
    assert_eq!(sectors(&disk.image(usize::MAX, PowerLoss::Everything)), [0]);
    a.sync_data().unwrap();
    assert_eq!(
        sectors(&disk.image(usize::MAX, PowerLoss::Everything)),
        [0, 0]
    );
}

#[test]
fn no_later_sync_writes_what_a_failed_sync_dropped() {
    let (disk, a) = disk_with(2);
    write_sector(&a, 0, 1);
    disk.fail(Call::Sync, "", 1);
    a.sync_data().unwrap_err();
    write_sector(&a, 1, 2);
    a.sync_data().unwrap();
    assert_eq!(sectors(&disk), [1, 2], "the process still reads it");
    assert_eq!(sectors(&disk.image(usize::MAX, PowerLoss::Nothing)), [0, 2]);
    let left = outcomes(&disk, PowerLoss::Torn, sectors);
    assert_eq!(
        left,
        [vec![0, 2], vec![1, 2]].into(),
        "it may have been written although the sync failed"
    );

    let restarted = disk.kill();
    assert_eq!(sectors(&restarted), [1, 2]);
    let a = file(&restarted, "a");
    a.sync_data().unwrap();
    assert_eq!(
        sectors(&restarted.image(usize::MAX, PowerLoss::Everything)),
        [0, 2]
    );
    write_sector(&a, 0, 1);
    a.sync_data().unwrap();
    assert_eq!(
        sectors(&restarted.image(usize::MAX, PowerLoss::Everything)),
        [1, 2]
    );
}

#[test]
fn a_killed_process_loses_nothing_and_syncs_nothing() {
    let (disk, a) = disk_with(2);
    write_sector(&a, 0, 1);
    a.sync_data().unwrap();
    write_sector(&a, 1, 2);
    let restarted = disk.kill();
    assert_eq!(sectors(&restarted), [1, 2]);
    assert_eq!(
        sectors(&restarted.image(usize::MAX, PowerLoss::Everything)),
        [1, 0]
    );
    file(&restarted, "a").sync_data().unwrap();
    assert_eq!(
        sectors(&restarted.image(usize::MAX, PowerLoss::Everything)),
        [1, 2]
    );
}

#[test]
fn changes_of_names_survive_in_order() {
    let disk = SimDisk::new();
    disk.create_dir(path("d")).unwrap();
    disk.sync_dir(path(".")).unwrap();
    for name in ["d/a", "d/b"] {
        file(&disk, name).sync_data().unwrap();
    }
    disk.rename(path("d/b"), path("d/c")).unwrap();
    disk.remove(path("d/a")).unwrap();
    let names = |image: &SimDisk| image.list(path("d")).unwrap();
    let left = outcomes(&disk, PowerLoss::Torn, names);
    let steps: [&[&str]; 5] = [&[], &["a"], &["a", "b"], &["a", "c"], &["c"]];
    let steps = steps.map(|names| names.iter().map(|name| (*name).into()).collect());
    assert_eq!(left, steps.into());
    disk.sync_dir(path("d")).unwrap();
    assert_eq!(
        outcomes(&disk, PowerLoss::Torn, names),
        [vec!["c".into()]].into()
    );
}

#[test]
fn a_sync_of_a_directory_does_not_sync_another() {
    let disk = SimDisk::new();
    for dir in ["d", "e"] {
        disk.create_dir(path(dir)).unwrap();
    }
    disk.sync_dir(path("")).unwrap();
    file(&disk, "d/a");
    file(&disk, "e/a");
    disk.sync_dir(path("e")).unwrap();
    let image = disk.image(usize::MAX, PowerLoss::Everything);
    assert_eq!(image.files(), [path("e/a")]);
}

#[test]
fn without_its_directory_a_file_is_lost() {
    let disk = SimDisk::new();
    disk.create_dir(path("d")).unwrap();
    file(&disk, "d/a").sync_data().unwrap();
    disk.sync_dir(path("d")).unwrap();
    let image = disk.image(usize::MAX, PowerLoss::Everything);
    image.list(path("d")).unwrap_err();
    image.create_dir(path("d")).unwrap();
    assert!(image.files().is_empty());
}

#[test]
fn a_durable_rename_does_not_sync_the_bytes() {
    let (disk, a) = disk_with(1);
    a.sync_data().unwrap();
    let new = file(&disk, "new");
    write_sector(&new, 0, 1);
    disk.rename(path("new"), path("a")).unwrap();
    disk.sync_dir(path("")).unwrap();
    assert_eq!(sectors(&disk.image(usize::MAX, PowerLoss::Everything)), []);
    new.sync_data().unwrap();
    assert_eq!(sectors(&disk.image(usize::MAX, PowerLoss::Everything)), [1]);
}

#[test]
fn a_failed_sync_of_a_directory_makes_no_name_durable() {
    let (disk, _) = disk_with(0);
    disk.remove(path("a")).unwrap();
    disk.fail(Call::SyncDir, "", 1);
    disk.sync_dir(path("")).unwrap_err();
    assert_eq!(
        disk.image(usize::MAX, PowerLoss::Everything).files(),
        [path("a")]
    );
}

#[test]
fn images_differ_and_the_same_seed_gives_the_same_images() {
    let (disk, a) = disk_with(8);
    assert_eq!(disk.images(0, 9, 1).count(), 1);
    for sector in 0..8 {
        write_sector(&a, sector, 1);
    }
    let digests = |seed| -> Vec<_> {
        let images = disk.images(usize::MAX, 9, seed);
        images.map(|(_, image)| image.digest()).collect()
    };
    let first = digests(1);
    assert_eq!(first.len(), 9);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 9);
    assert_eq!(first, digests(1));
    assert_ne!(first, digests(100));
}
