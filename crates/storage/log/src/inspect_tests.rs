use quorate_sim::SimDisk;

use super::*;
use crate::fixture::{DIR, append, at, entry, open, save_vote, segments, sync, vote};

fn text(disk: &SimDisk) -> String {
    let mut out = Vec::new();
    inspect(disk, Path::new(DIR), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn disk_with_log() -> SimDisk {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    save_vote(&log, vote(2));
    append(&log, [entry(1, 0), entry(1, 1)]);
    log.save_committed(at(1, 1)).unwrap();
    append(&log, [entry(2, 2)]);
    log.truncate_after(Some(at(1, 1))).unwrap();
    sync(&log);
    append(&log, [(at(1, 2), b"secret".repeat(10).into())]);
    drop(log);
    disk
}

#[test]
fn everything_but_payloads_is_printed() {
    let disk = disk_with_log();
    let (before, text) = (disk.digest(), text(&disk));
    for line in [
        "vote 0: number 1, term 2, committed, node yebyryonyebyryonyebyryonyebyryonyebyryonyebyryonyeby",
        "segment 1: 16384 bytes",
        "  group 1 at 512, 512 bytes; bounds: last none, purged none, committed none; \
         entry 1-0 of 3 bytes; entry 1-1 of 3 bytes",
        "; committed 1-1; entry 2-2 of 3 bytes",
        "; truncated after 1-1",
        "; entry 1-2 of 60 bytes",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("WRONG"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(disk.digest(), before, "nothing is changed");
}

#[test]
fn damage_is_reported_and_the_rest_is_printed() {
    let disk = disk_with_log();
    disk.flip_bit(&segments(&disk)[0], 600 * 8).unwrap();
    disk.flip_bit(Path::new(DIR).join("vote"), 9 * 8).unwrap();
    drop(open(&disk).err().expect("the log is damaged"));
    let text = text(&disk);
    for line in [
        "vote 0: WRONG: the checksum of the block is wrong",
        "vote 1: number 1, term 2",
        "  at 512: WRONG: the checksum of the group is wrong",
        "  group 2 at 1024, 512 bytes; committed 1-1; entry 2-2 of 3 bytes",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn missing_synced_groups_are_reported() {
    let disk = disk_with_log();
    disk.zero(&segments(&disk)[0], 2048..2560).unwrap();
    let output = text(&disk);
    let line = "WRONG: group 4 was synced, but the last one is 3";
    assert!(output.contains(line), "{output}");
    disk.remove(&segments(&disk)[0]).unwrap();
    let output = text(&disk);
    let line = "WRONG: group 4 was synced, but the last one is 0";
    assert!(output.contains(line), "{output}");
}
