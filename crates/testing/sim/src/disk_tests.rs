//! The disk as a process sees it.

use std::{io::ErrorKind, thread};

use quorate_disk::SECTOR_SIZE;

use super::*;
use crate::PowerLoss;

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn file(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
    disk.open(path(name), OpenMode::Create).unwrap()
}

#[test]
fn written_bytes_are_read_and_allocated_ones_are_zeros() {
    let disk = SimDisk::new();
    let missing = disk.open(path("a"), OpenMode::Write).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let a = file(&disk, "./a");
    a.write_at(b"abc", 2).unwrap();
    a.allocate(2000).unwrap();
    assert_eq!(a.size().unwrap(), 2000);
    let mut read = [9; 8];
    a.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"\0\0abc\0\0\0");
    let past_end = a.read_at(&mut read, 1993).unwrap_err();
    assert_eq!(past_end.kind(), ErrorKind::UnexpectedEof);
    a.allocate(3).unwrap();
    a.set_size(3).unwrap();
    assert_eq!(disk.read("a").unwrap(), b"\0\0a");
    let read_only = disk.open(path("a"), OpenMode::Read).unwrap();
    let denied = read_only.write_at(b"x", 0).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn names_are_listed_renamed_and_removed() {
    let disk = SimDisk::new();
    let absent = disk.open(path("d/x"), OpenMode::Create).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    disk.create_dir(path("d/e")).unwrap();
    let b = file(&disk, "d/b");
    file(&disk, "d/e/inner");
    b.write_at(b"b", 0).unwrap();
    file(&disk, "d/a").write_at(b"a", 0).unwrap();
    assert_eq!(disk.list(path("d")).unwrap(), ["a", "b", "e"]);
    disk.rename(path("d/b"), path("d/a")).unwrap();
    b.write_at(b"still b", 0).unwrap();
    assert_eq!(disk.read("d/a").unwrap(), b"still b");
    disk.remove(path("d/a")).unwrap();
    b.write_at(b"nameless", 0).unwrap();
    assert_eq!(disk.files(), [path("d/e/inner")]);
    let secret = disk
        .open(path("d/e/inner"), OpenMode::CreateSecret)
        .unwrap_err();
    assert_eq!(secret.kind(), ErrorKind::AlreadyExists);
    let elsewhere = disk.rename(path("d/e/inner"), path("d/inner")).unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::CrossesDevices);
}

#[test]
fn unreachable_files_are_dropped_when_the_disk_is_made_durable() {
    let disk = SimDisk::new();
    let kept = file(&disk, "a");
    kept.write_at(b"kept", 0).unwrap();
    for _ in 0..3 {
        file(&disk, "b").write_at(b"gone", 0).unwrap();
        disk.remove(path("b")).unwrap();
    }
    disk.remove(path("a")).unwrap();
    disk.make_durable();
    let mut read = [0; 4];
    kept.read_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"kept");
    assert_eq!(disk.0.state().visible.contents.len(), 1);
    drop(kept);
    disk.make_durable();
    assert!(disk.0.state().visible.contents.is_empty());
}

#[test]
fn only_one_handle_can_lock_a_file_and_other_disks_have_their_own_locks() {
    let disk = SimDisk::new();
    let (first, second) = (file(&disk, "a"), file(&disk, "a"));
    assert!(first.try_lock().unwrap() && first.try_lock().unwrap());
    assert!(!second.try_lock().unwrap());
    drop(first);
    assert!(second.try_lock().unwrap());
    disk.make_durable();
    let image = disk.image(0, PowerLoss::Everything);
    assert!(file(&image, "a").try_lock().unwrap());
    assert!(file(&disk.kill(), "a").try_lock().unwrap());
}

#[test]
fn handles_of_a_killed_process_fail() {
    let disk = SimDisk::new();
    let old = file(&disk, "a");
    old.write_at(b"old", 0).unwrap();
    let new = disk.kill();
    old.write_at(b"dead", 0).unwrap_err();
    old.sync_data().unwrap_err();
    disk.open(path("a"), OpenMode::Write).unwrap_err();
    assert_eq!(new.read("a").unwrap(), b"old");
}

#[test]
fn only_the_nth_call_fails() {
    let disk = SimDisk::new();
    disk.create_dir(path("d")).unwrap();
    let (a, b) = (file(&disk, "d/a"), file(&disk, "b"));
    disk.fail(Call::Sync, "d", 2);
    for succeeds in [true, false, true] {
        b.sync_data().unwrap();
        assert_eq!(a.sync_data().is_ok(), succeeds);
    }
    assert_eq!((disk.sync_count("d"), disk.sync_count("")), (2, 5));

    disk.fail_from(Call::Read, "d/a", 2);
    a.read_at(&mut [], 0).unwrap();
    for _ in 0..2 {
        a.read_at(&mut [], 0).unwrap_err();
    }
    disk.clear_faults();
    a.read_at(&mut [], 0).unwrap();

    disk.fail(Call::Write, "", 1);
    a.write_at(&[1; 3 * SECTOR_SIZE], 8).unwrap_err();
    assert_eq!(disk.read("d/a").unwrap()[8..], [1; SECTOR_SIZE - 8]);
    disk.fail(Call::ChangeName, "", 1);
    disk.rename(path("d/a"), path("d/c")).unwrap_err();
    disk.fail(Call::SyncDir, "d", 1);
    disk.sync_dir(path("d")).unwrap_err();
    disk.sync_dir(path("d")).unwrap();
}

#[test]
fn a_write_to_a_full_disk_writes_only_what_fits() {
    let disk = SimDisk::new();
    let a = file(&disk, "a");
    a.write_at(&[1; SECTOR_SIZE], 0).unwrap();
    let size = 2 * SECTOR_SIZE as u64 + 5;
    disk.limit_space(size);
    assert_eq!(disk.free_space(path(".")).unwrap(), SECTOR_SIZE as u64 + 5);
    let full = a.write_at(&[2; 2 * SECTOR_SIZE], 500).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    let fitted = [vec![1; 500], vec![2; 2 * SECTOR_SIZE - 500]].concat();
    assert_eq!(disk.read("a").unwrap(), fitted);
    for full in [a.reserve(size), a.allocate(size)] {
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
    }
    disk.fill();
    a.set_size(2).unwrap();
    a.write_at(&[3; SECTOR_SIZE], 0).unwrap();
    a.write_at(&[3], SECTOR_SIZE as u64).unwrap_err();
    disk.clear_faults();
    a.allocate(size + 1).unwrap();
}

#[test]
fn a_hole_uses_space_once_it_is_written() {
    let disk = SimDisk::new();
    let sector = SECTOR_SIZE as u64;
    let (a, b) = (file(&disk, "a"), file(&disk, "b"));
    a.set_size(100 * sector).unwrap();
    b.reserve(3 * sector).unwrap();
    assert_eq!(disk.used_space(), 3 * sector);
    disk.leave_space(sector);
    b.write_at(&[1; 3 * SECTOR_SIZE], 0).unwrap();
    a.write_at(&[1], 70 * sector).unwrap();
    let full = a.write_at(&[1], 80 * sector).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    // A removed file uses space until it is closed.
    disk.remove(path("b")).unwrap();
    a.write_at(&[1], 80 * sector).unwrap_err();
    drop(b);
    a.write_at(&[1], 80 * sector).unwrap();
    assert_eq!(disk.used_space(), 2 * sector);
}

#[test]
fn a_blocked_sync_covers_only_earlier_writes() {
    let disk = SimDisk::new();
    let a = file(&disk, "a");
    disk.sync_dir(path("")).unwrap();
    a.set_size(1024).unwrap();
    a.sync_data().unwrap();
    disk.block_syncs("a");
    a.write_at(&[1; 512], 0).unwrap();
    let syncing = thread::spawn({
        let a = a.clone();
        move || a.sync_data()
    });
    disk.wait_for_blocked_syncs(1);
    a.write_at(&[2; 512], 512).unwrap();
    file(&disk, "b").sync_data().unwrap();
    disk.release_syncs();
    syncing.join().unwrap().unwrap();
    let kept = disk
        .image(usize::MAX, PowerLoss::Everything)
        .read("a")
        .unwrap();
    assert_eq!(kept, [[1; 512], [0; 512]].concat());
}

#[test]
fn a_blocked_sync_of_a_killed_process_fails() {
    let disk = SimDisk::new();
    let a = file(&disk, "a");
    disk.block_syncs("");
    let syncing = thread::spawn(move || a.sync_data());
    disk.wait_for_blocked_syncs(1);
    let _new = disk.kill();
    syncing.join().unwrap().unwrap_err();
}

#[test]
fn damage_is_visible_and_on_the_medium() {
    let disk = SimDisk::new();
    let a = file(&disk, "a");
    a.write_at(b"abcdefgh", 0).unwrap();
    disk.sync_dir(path("")).unwrap();
    a.sync_data().unwrap();
    let undamaged = disk.boundaries();
    disk.flip_bit("a", 8).unwrap();
    disk.zero("a", 2..4).unwrap();
    disk.swap("a", 6, 4, 2).unwrap();
    disk.truncate("a", 7).unwrap();
    disk.zero("a", 6..8).unwrap_err();
    let damaged = b"ac\0\0ghe";
    assert_eq!(disk.read("a").unwrap(), damaged);
    for loss in PowerLoss::all_kinds(1) {
        let image = disk.image(usize::MAX, loss);
        assert_eq!(image.read("a").unwrap(), damaged);
        assert_eq!(disk.image(undamaged, loss).read("a").unwrap(), b"abcdefgh");
    }
}
