//! A log on a full disk.

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use quorate_sim::{Call, SimDisk};

use crate::{Log, fixture::*};

/// The longest that a test waits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// More entries than fit into the allocated segments.
const ENTRY_COUNT: u64 = 50;

/// The most entries that fit into the current segment, the next one and one that is being
/// allocated.
const FITTING_COUNT: u64 = 24;

type Acks = Receiver<(u64, bool)>;

/// A log on a full disk, with queued entries for which there is no space.
fn full_log(disk: &SimDisk) -> (Log, Acks) {
    let log = open(disk).unwrap();
    append(&log, [entry(1, 0)]);
    disk.fill();
    let (tx, acks) = channel();
    for index in 1..=ENTRY_COUNT {
        let tx = tx.clone();
        let on_flushed = Box::new(move |result: std::io::Result<()>| {
            let _ = tx.send((index, result.is_ok()));
        });
        log.append([large_entry(index, 2000)], on_flushed).unwrap();
    }
    wait_until(|| log.is_full());
    (log, acks)
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < TIMEOUT, "timed out");
        thread::yield_now();
    }
}

#[test]
fn a_full_log_waits_for_space_and_continues() {
    let disk = SimDisk::new();
    let (log, acks) = full_log(&disk);
    let acked = acks.try_iter().last().map_or(0, |(index, _)| index);
    assert!(acked <= FITTING_COUNT, "{acked}");
    disk.clear_faults();
    for index in acked + 1..=ENTRY_COUNT {
        assert_eq!(acks.recv_timeout(TIMEOUT), Ok((index, true)));
    }
    wait_until(|| !log.is_full());
    drop(log);
    assert_eq!(indexes(&open(&disk).unwrap()).len() as u64, ENTRY_COUNT + 1);
}

#[test]
fn a_full_log_can_be_closed_and_opened_and_saves_votes() {
    let disk = SimDisk::new();
    let (log, acks) = full_log(&disk);
    drop(log);
    let acks: Vec<_> = acks.iter().collect();
    assert_eq!(acks.len() as u64, ENTRY_COUNT, "every callback is called");
    let acked = acks.iter().filter(|(_, is_ok)| *is_ok).count() as u64;
    assert!(acked <= FITTING_COUNT, "{acked}");

    let log = open(&disk).unwrap();
    assert!(log.state().last >= Some(at(1, acked)));
    save_vote(&log, vote(9));
    wait_until(|| log.is_full());
    drop(log);
    let log = open(&disk.kill()).unwrap();
    assert_eq!(log.state().vote, Some(vote(9)));
}

#[test]
fn a_full_log_continues_in_purged_segments() {
    let disk = SimDisk::new();
    let log = open(&disk).unwrap();
    append(&log, (0..30).map(|index| large_entry(index, 2000)));
    // The next segment is allocated, so there is room for the purge.
    wait_until(|| segments(&disk).len() >= 6);
    disk.fill();
    for index in 30..200 {
        let (on_flushed, wait) = flush_callback();
        log.append([large_entry(index, 2000)], on_flushed).unwrap();
        log.purge(at(1, index - 1)).unwrap();
        wait().unwrap();
    }
}

/// The disk is full for one call, at any point of allocating segments: the log continues.
#[test]
fn a_log_survives_a_full_disk_at_any_time() {
    for nth in 1..40 {
        let disk = SimDisk::new();
        let log = open(&disk).unwrap();
        disk.fail(Call::Space, "/log/000000000003", nth);
        for name in 3..6 {
            disk.fail(Call::Space, format!("/log/{name:012}.spare"), nth);
        }
        append(&log, (0..40).map(|index| large_entry(index, 2000)));
        assert_eq!(indexes(&log).len(), 40, "{nth}");
    }
}
