use std::sync::mpsc;

use super::*;

fn open(dir: &Path) -> Result<Log, LogError> {
    let metrics = Metrics::register(&quorate_metrics::Registry::new()).unwrap();
    let config = Config {
        chunk_size_max: 4096,
        ..Config::new(dir)
    };
    Log::open(config, metrics)
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition::new(term, index)
}

fn entry(term: u64, index: u64) -> (LogPosition, Bytes) {
    (at(term, index), format!("{term}-{index}").into())
}

/// A callback, and how to wait for it.
fn flushed() -> (OnFlushed, impl FnOnce()) {
    let (tx, rx) = mpsc::channel::<io::Result<()>>();
    let wait = move || {
        rx.recv()
            .expect("the callback is called")
            .expect("the disk works")
    };
    (Box::new(move |result| tx.send(result).unwrap()), wait)
}

fn append(log: &Log, entries: impl IntoIterator<Item = (LogPosition, Bytes)>) {
    let (on_flushed, wait) = flushed();
    log.append(entries, on_flushed).unwrap();
    wait();
}

fn indexes(log: &Log) -> Vec<u64> {
    let entries = log.read(0..u64::MAX, usize::MAX).unwrap();
    entries
        .into_iter()
        .map(|(position, _)| position.index.0)
        .collect()
}

#[test]
fn what_was_flushed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let vote = Vote {
        term: 3,
        committed: true,
        node: [7; 32],
    };
    {
        let log = open(dir.path()).unwrap();
        let (on_flushed, wait) = flushed();
        log.save_vote(vote, on_flushed).unwrap();
        wait();
        log.save_committed(at(0, 0)).unwrap_err();
        append(&log, (0..3).map(|index| entry(1, index)));
        log.save_committed(at(1, 1)).unwrap();
        append(&log, [entry(2, 3)]);
    }
    let log = open(dir.path()).unwrap();
    assert_eq!(
        log.state(),
        State {
            vote: Some(vote),
            last: Some(at(2, 3)),
            committed: Some(at(1, 1)),
            purged: None
        }
    );
    let entries = log.read(1..4, usize::MAX).unwrap();
    assert_eq!(entries, [entry(1, 1), entry(1, 2), entry(2, 3)]);
}

#[test]
fn a_gap_or_a_step_back_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(&log, [entry(1, 0), entry(1, 1)]);
    for wrong in [entry(1, 1), entry(1, 3)] {
        let (on_flushed, _) = flushed();
        assert!(log.append([wrong], on_flushed).is_err());
    }
    assert_eq!(indexes(&log), [0, 1]);
}

#[test]
fn a_truncated_tail_stays_away_and_can_be_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path()).unwrap();
        append(&log, (0..4).map(|index| entry(1, index)));
        log.truncate_after(Some(at(1, 9))).unwrap();
        assert_eq!(indexes(&log), [0, 1, 2, 3], "nothing is behind it");
        log.truncate_after(Some(at(1, 1))).unwrap();
        append(&log, [entry(2, 2)]);
    }
    let log = open(dir.path()).unwrap();
    assert_eq!(indexes(&log), [0, 1, 2]);
    assert_eq!(log.state().last, Some(at(2, 2)));
    log.truncate_after(None).unwrap();
    assert_eq!(indexes(&log), []);
}

#[test]
fn purging_frees_the_disk_and_survives_reopening() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path()).unwrap();
        for index in 0..200 {
            append(&log, [(at(1, index), vec![0; 256].into())]);
        }
        let size_before = log.size();
        log.purge(at(1, 190)).unwrap();
        assert!(
            log.size() < size_before / 2,
            "{} of {size_before}",
            log.size()
        );
        let (on_flushed, wait) = flushed();
        log.sync(on_flushed).unwrap();
        wait();
    }
    let log = open(dir.path()).unwrap();
    assert_eq!(log.state().purged, Some(at(1, 190)));
    assert_eq!(indexes(&log), (191..200).collect::<Vec<_>>());
    log.purge(at(2, 500)).unwrap();
    assert_eq!(
        log.state().last,
        Some(at(2, 500)),
        "a snapshot may lie behind the last entry"
    );
}

#[test]
fn reading_stops_at_the_size_asked_for_but_gives_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    append(
        &log,
        (0..9).map(|index| (at(1, index), vec![0; 100].into())),
    );
    assert_eq!(log.read(0..9, 1).unwrap().len(), 1);
    assert_eq!(log.read(0..9, 250).unwrap().len(), 3);
    assert_eq!(log.read(5..5, 250).unwrap().len(), 0);
}

#[test]
fn a_torn_write_at_the_end_costs_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path()).unwrap();
        append(&log, [entry(1, 0), entry(1, 1)]);
    }
    let mut chunks: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    chunks.sort();
    let last = std::fs::OpenOptions::new()
        .write(true)
        .open(chunks.last().unwrap())
        .unwrap();
    last.set_len(last.metadata().unwrap().len() - 1).unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(indexes(&log), [0]);
}

#[test]
fn one_process_at_a_time_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _log = open(dir.path()).unwrap();
    let error = open(dir.path()).err().expect("the directory is held");
    assert!(
        error
            .to_string()
            .contains(&dir.path().display().to_string()),
        "{error}"
    );
}
