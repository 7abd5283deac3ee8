//! Helpers for the tests of this crate.

use std::{path::Path, sync::Arc, sync::mpsc};

use bytes::Bytes;
use quorate_sim::SimDisk;
use quorate_state::LogPosition;

use crate::{Log, LogConfig, LogError, LogMetrics, OnFlushed, SavedVote};

/// The directory of the log on the simulated disk.
pub(crate) const DIR: &str = "/log";

pub(crate) fn metrics() -> LogMetrics {
    LogMetrics::register(&quorate_metrics::Registry::new()).unwrap()
}

/// The configuration of a log with small segments.
pub(crate) fn config(disk: &SimDisk) -> LogConfig {
    LogConfig {
        segment_size: 16 * 1024,
        ..LogConfig::new(Arc::new(disk.clone()), DIR)
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<Log, LogError> {
    Log::open(config(disk), metrics())
}

pub(crate) fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(term, index)
}

pub(crate) fn entry(term: u64, index: u64) -> (LogPosition, Bytes) {
    (at(term, index), format!("{term}-{index}").into())
}

pub(crate) fn large_entry(index: u64, size: usize) -> (LogPosition, Bytes) {
    (at(1, index), vec![index as u8; size].into())
}

pub(crate) fn vote(term: u64) -> SavedVote {
    SavedVote {
        term,
        committed: true,
        node: [term as u8; 32],
    }
}

/// A callback, and a function that waits for its result.
pub(crate) fn flush_callback() -> (OnFlushed, impl FnOnce() -> std::io::Result<()>) {
    let (tx, rx) = mpsc::channel();
    let on_flushed = Box::new(move |result| tx.send(result).unwrap());
    (on_flushed, move || {
        rx.recv().expect("the callback is called")
    })
}

pub(crate) fn append(log: &Log, entries: impl IntoIterator<Item = (LogPosition, Bytes)>) {
    let (on_flushed, wait) = flush_callback();
    log.append(entries, on_flushed).unwrap();
    wait().unwrap();
}

pub(crate) fn save_vote(log: &Log, vote: SavedVote) {
    let (on_flushed, wait) = flush_callback();
    log.save_vote(vote, on_flushed).unwrap();
    wait().unwrap();
}

pub(crate) fn sync(log: &Log) {
    let (on_flushed, wait) = flush_callback();
    log.sync(on_flushed).unwrap();
    wait().unwrap();
}

pub(crate) fn entries(log: &Log) -> Vec<(LogPosition, Bytes)> {
    log.read(0..u64::MAX, usize::MAX).unwrap()
}

pub(crate) fn indexes(log: &Log) -> Vec<u64> {
    let indexes = entries(log).into_iter().map(|(at, _)| at.index.0);
    indexes.collect()
}

/// Everything that a caller can read from a log.
pub(crate) fn content(log: &Log) -> (crate::State, Vec<(LogPosition, Bytes)>) {
    (log.state(), entries(log))
}

/// The segments of a log, in order.
pub(crate) fn segments(disk: &SimDisk) -> Vec<std::path::PathBuf> {
    let files = disk.files().into_iter();
    files
        .filter(|path| crate::segment::segment_number(Path::new(path)).is_some())
        .collect()
}
