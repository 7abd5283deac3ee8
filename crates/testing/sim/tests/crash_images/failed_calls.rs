//! After a failed call nothing is acknowledged, and a restart opens the durable content.

use std::thread;

use bytes::Bytes;
use quorate_sim::{Call, SimDisk};

use crate::{
    budget::Budget,
    history::History,
    log_node::{LOG_DIR, LogNode, empty_disk, open_log},
    log_world::LogWorld,
    store_epoch::Epoch,
    store_node::{STORE_PATHS, StoreNode},
    store_world::StoreWorld,
    world::{World, explore_some},
};

/// The most steps of a log before the failure.
const STEP_COUNT: usize = 40;

/// The failure must happen within this number of steps.
const FAILING_STEP_COUNT: usize = 500;

/// The most steps of a store before the failure.
const STORE_STEP_COUNT: usize = 8;

/// The share of all images for each kind of failure, in percent.
const SHARE: usize = 4;

const RESTARTED_STEP_COUNT: usize = 4;

/// The size of the entries that fill a log, in bytes.
const FILLING_SIZE: usize = 3000;

const IMAGE_COUNT: usize = 60;

/// Steps after a failure, which must fail too.
const FAILED_STEP_COUNT: usize = 5;

#[test]
fn after_a_failed_sync_only_bytes_written_again_count() {
    crash_after("failed sync of the log", |seed| {
        restart_log(seed, |disk, nth| disk.fail(Call::Sync, LOG_DIR, nth))
    });
}

#[test]
fn after_a_failed_sync_of_the_directory_nothing_is_acknowledged() {
    crash_after("failed sync of the log's directory", |seed| {
        restart_log(seed, |disk, _| disk.fail(Call::SyncDir, LOG_DIR, 1))
    });
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged() {
    crash_after("failed write of the log", |seed| {
        restart_log(seed, |disk, nth| disk.fail(Call::Write, LOG_DIR, nth))
    });
}

#[test]
fn a_full_disk_loses_nothing_and_the_log_continues_once_there_is_space() {
    crash_after("full disk", fill_log);
}

#[test]
fn after_a_failed_checkpoint_store_and_log_still_agree() {
    crash_after("failed sync of the store", |seed| {
        restart_store(seed, Call::Sync, 4)
    });
    crash_after("failed write of the store", |seed| {
        restart_store(seed, Call::Write, 24)
    });
}

/// The world after a restart, with the boundary of the failure and that at which it was open again.
type RestartResult<W> = Result<(W, usize, usize), String>;

/// Simulates power losses after a failure and a restart of the process.
fn crash_after<W: World>(failure: &str, restart: impl Fn(u64) -> RestartResult<W>) {
    let mut budget = Budget::share(SHARE);
    let mut seed = 0;
    while !budget.is_spent() {
        let mut part = Budget::new(IMAGE_COUNT);
        let explored = restart(seed).and_then(|(world, failed, opened)| {
            explore_some(&world, failed, opened, seed, 1, &mut part)
        });
        explored.unwrap_or_else(|error| panic!("{error}\n  after a {failure}, seed {seed}"));
        assert!(part.opened > 0);
        budget.opened += part.opened;
        seed += 1;
    }
    budget.print(failure, seed);
}

fn restart_log(seed: u64, fail: impl Fn(&SimDisk, usize)) -> RestartResult<LogWorld> {
    let disk = empty_disk();
    let log = open_log(&disk, seed, None)?;
    let mut node = LogNode::new(&disk, log, History::empty(), seed);
    for _ in 0..node.rng.usize(..STEP_COUNT) {
        node.step()
            .map_err(|error| format!("a step failed: {error:?}"))?;
    }
    node.has_gate = false;
    let failed_at = disk.boundaries();
    fail(&disk, node.rng.usize(1..8));
    let failed = (0..FAILING_STEP_COUNT).any(|_| node.step().is_err());
    if !failed {
        return Err("no step failed".into());
    }
    disk.clear_faults();
    let acked = node.history.acked(usize::MAX);
    for _ in 0..FAILED_STEP_COUNT {
        // A step that does nothing may succeed.
        drop(node.step());
        let appended = node.append(vec![Bytes::new()]).and_then(|()| node.wait());
        appended.expect_err("entries are accepted after a failure");
        let synced = node.sync().and_then(|()| node.wait());
        synced.expect_err("a sync succeeds after a failure");
    }
    if node.history.acked(usize::MAX) != acked {
        return Err("a change was acknowledged after a failure".into());
    }

    let restarted = disk.kill();
    drop(node.log);
    let world = LogWorld::new(restarted, None, node.history).work(seed, RESTARTED_STEP_COUNT)?;
    let opened = world.opened();
    Ok((world, failed_at, opened))
}

/// Fills the disk until entries wait for space. With even seeds there is space again before the
/// process is killed; with odd seeds it is killed while entries wait.
fn fill_log(seed: u64) -> RestartResult<LogWorld> {
    let disk = empty_disk();
    let log = open_log(&disk, seed, None)?;
    let mut node = LogNode::new(&disk, log, History::empty(), seed);
    let step = |node: &mut LogNode| {
        let done = node.step();
        done.map_err(|error| format!("a step failed: {error:?}"))
    };
    for _ in 0..node.rng.usize(..STEP_COUNT) {
        step(&mut node)?;
    }
    node.has_gate = false;
    let failed_at = disk.boundaries();
    disk.fill();
    while !node.log.is_full() {
        let appended = node.append(vec![vec![1; FILLING_SIZE].into()]);
        appended.map_err(|error| format!("an append failed: {error:?}"))?;
        thread::yield_now();
    }
    if seed.is_multiple_of(2) {
        disk.clear_faults();
        let acked = node.wait();
        acked.map_err(|error| format!("an entry that waited for space failed: {error:?}"))?;
        for _ in 0..RESTARTED_STEP_COUNT {
            step(&mut node)?;
        }
    }
    let restarted = disk.kill();
    restarted.clear_faults();
    drop(node.log);
    let world = LogWorld::new(restarted, None, node.history).work(seed, RESTARTED_STEP_COUNT)?;
    let opened = world.opened();
    Ok((world, failed_at, opened))
}

/// Makes one of the first `nth_max` calls on the file of a store fail.
fn restart_store(seed: u64, call: Call, nth_max: usize) -> RestartResult<StoreWorld> {
    let disk = empty_disk();
    let mut node = StoreNode::open(&disk, &Epoch::empty(), 0, seed, None)?;
    for _ in 0..node.log.rng.usize(..STORE_STEP_COUNT) {
        node.step()?;
    }
    let failed_at = disk.boundaries();
    let nth = node.log.rng.usize(1..=nth_max);
    for path in STORE_PATHS {
        disk.fail(call, path, nth);
    }
    let failed = (0..FAILING_STEP_COUNT).any(|_| node.step().is_err());
    if !failed {
        return Err("no step failed".into());
    }
    disk.clear_faults();

    let restarted = disk.kill();
    let world = StoreWorld::new(restarted, None, node.into());
    let world = world.work(seed, RESTARTED_STEP_COUNT)?;
    let opened = world.opened();
    Ok((world, failed_at, opened))
}
