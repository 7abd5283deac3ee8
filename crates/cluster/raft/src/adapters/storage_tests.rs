//! openraft's own test suite, and rules that it does not test.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use quorate_disk::LinuxDisk;
use quorate_log::Log;
use quorate_packet::{PAYLOAD_SIZE_MIN, PublicKey, SignedPacket};
use quorate_peer::message;
use quorate_state::{
    Command, Conditions, EncodedPackets, LEVEL_MAX, Level, LogPosition, PutBatch, UnixMillis,
};
use quorate_store::Store;
use tempfile::TempDir;

use futures_util::stream;

use super::*;
use crate::{
    RaftMetrics,
    adapters::{conversions::IntoOpenraft, log_storage::LogStorage},
};

struct Builder;

impl StoreBuilder<TypeConfig, LogStorage, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStorage, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, mut state_machine) = open(&dir);
        // The suite applies entries that no log could have.
        state_machine.in_order = false;
        Ok((dir, log, state_machine))
    }
}

fn open(dir: &TempDir) -> (LogStorage, StateMachine) {
    let registry = quorate_metrics::Registry::new();
    let log = Log::open(
        quorate_log::LogConfig::new(Arc::new(LinuxDisk), dir.path().join("log")),
        quorate_log::LogMetrics::register(&registry).unwrap(),
    );
    let store = Store::open(
        quorate_store::StoreConfig {
            disk: Arc::new(LinuxDisk),
            path: dir.path().join("records.redb"),
            cache_size: 1024 * 1024,
        },
        quorate_store::StoreMetrics::register(&registry).unwrap(),
    );
    let log = Arc::new(log.unwrap());
    let metrics = RaftMetrics::register(&registry).unwrap();
    let store = Arc::new(store.unwrap());
    let state_machine = StateMachine::new(store, log.clone(), LEVEL_MAX, metrics);
    let times = state_machine.entry_times.clone();
    (LogStorage(log, times), state_machine)
}

#[test]
fn log_and_store_pass_the_suite_of_openraft() {
    // The suite brings its own runtime.
    TypeConfig::run(Suite::test_all(Builder)).unwrap();
}

fn blank(index: u64) -> io::Result<EntryResponder<TypeConfig>> {
    let entry = message::Entry {
        position: LogPosition::new(1, index),
        payload: message::Payload::Blank,
    };
    Ok((entry.into_openraft().unwrap(), None))
}

#[tokio::test]
async fn entries_that_do_not_follow_each_other_are_not_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut state_machine) = open(&dir);
    let mut apply = async |indexes: &[u64]| {
        let entries: Vec<_> = indexes.iter().map(|index| blank(*index)).collect();
        let applied = state_machine.apply(stream::iter(entries)).await;
        applied.map_err(|error| error.to_string())
    };
    assert!(apply(&[1]).await.is_err(), "the first is missing");
    apply(&[0, 1]).await.unwrap();
    apply(&[3]).await.unwrap_err();
    apply(&[2, 4]).await.unwrap_err();
    apply(&[1]).await.unwrap_err();
    apply(&[2]).await.unwrap();
}

/// The put of a packet, which was signed at `index` microseconds.
fn put(index: u64, key: PublicKey) -> io::Result<EntryResponder<TypeConfig>> {
    let mut payload = vec![0; PAYLOAD_SIZE_MIN - 8];
    payload.extend_from_slice(&index.to_be_bytes());
    let mut packets = EncodedPackets::default();
    let packet = SignedPacket::assume_verified(key, payload.into()).unwrap();
    assert!(packets.push(&packet, &Conditions::default()));
    let entry = message::Entry {
        position: LogPosition::new(1, index),
        payload: message::Payload::Command(PutBatch::encode(
            UnixMillis(index),
            UnixMillis(u64::MAX),
            &packets,
        )),
    };
    Ok((entry.into_openraft().unwrap(), None))
}

/// A reader that waits for an entry then reads without waiting again.
#[tokio::test]
async fn applied_entries_are_visible_to_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut state_machine) = open(&dir);
    let (applied, index) = (state_machine.applied(), state_machine.store.index());
    let key = PublicKey::from_bytes([1; 32]);
    let entry_count = 20_000;
    let reader = std::thread::spawn(move || {
        let mut applied_index = 0;
        while applied_index < entry_count {
            applied_index = applied.borrow().applied_index().0;
            let found = index.packet(&key);
            let found = found.map_or(0, |found| found.compiled.packet().timestamp().as_micros());
            assert!(
                found >= applied_index,
                "{found} is read after {applied_index}"
            );
        }
    });
    for first in (0..=entry_count).step_by(4) {
        let entries = (first..first + 4).map(|index| put(index, key));
        let entries: Vec<_> = entries.collect();
        state_machine.apply(stream::iter(entries)).await.unwrap();
    }
    reader.join().unwrap();
}

#[tokio::test]
async fn an_entry_of_a_newer_level_is_not_applied_and_all_before_it_are() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut state_machine) = open(&dir);
    let newer = Level(LEVEL_MAX.0 + 1);
    let raise = Command::RaiseLevel(newer).encode();
    let raise = message::Entry {
        position: LogPosition::new(1, 1),
        payload: message::Payload::Command(raise),
    };
    let group = || [Ok((raise.clone().into_openraft().unwrap(), None)), blank(2)];
    let first = stream::iter([blank(0)].into_iter().chain(group()));
    let error = state_machine.apply(first).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 1 cannot be applied: feature level 2 is needed, and this program knows 1: run a \
         newer version of Quorate"
    );
    let applied = state_machine.store.meta();
    assert_eq!(applied.applied, Some(LogPosition::new(1, 0)));
    assert_eq!(applied.cluster.level, Level::FIRST);

    state_machine.level_max = newer;
    state_machine.apply(stream::iter(group())).await.unwrap();
    assert_eq!(state_machine.applied().borrow().cluster.level, newer);
}

#[tokio::test]
async fn a_panic_while_applying_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut state_machine) = open(&dir);
    let entries = stream::poll_fn(|_| panic!("as the test asks"));
    let error = state_machine.apply(entries).await.unwrap_err().to_string();
    assert!(error.contains("as the test asks"), "{error}");
}
