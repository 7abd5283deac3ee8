//! A log and a store on one disk, with random steps.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use quorate_metrics::Registry;
use quorate_sim::SimDisk;
use quorate_state::{LEVEL_MAX, LogIndex, LogPosition, apply};
use quorate_store::{CheckpointScope, IoSpeed, Meta, Store, StoreConfig, StoreMetrics};

use crate::{
    history::{History, LogContent, OpenedLog},
    log_node::{LogNode, open_log},
    packets::{Packets, command},
    snapshot::receive,
    store_epoch::Epoch,
};

/// The directory of the store.
pub(crate) const STORE_DIR: &str = "data";

/// The file of the store.
const STORE_PATH: &str = "data/store.redb";

/// The file of the store, and the one that a checkpoint of everything builds.
pub(crate) const STORE_PATHS: [&str; 2] = [STORE_PATH, "data/store.rebuild"];

/// Small, so that pages are read from the disk too, in bytes.
const CACHE_SIZE: usize = 64 * 1024;

/// A rule that the test breaks on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    /// A checkpoint is committed before the log is synced through its applied entry.
    CheckpointBeforeSync,
}

/// The packets after each entry.
pub(crate) type PacketsByIndex = BTreeMap<u64, Packets>;

/// How many entries before a checkpoint the log keeps at most.
const KEPT_COUNT_MAX: u64 = 10;

/// A node of a cluster of one: it applies the entries that it has appended.
pub(crate) struct StoreNode {
    store: Store,
    pub(crate) log: LogNode,
    pub(crate) expected: PacketsByIndex,
    /// The applied entry of each checkpoint, with the boundary from which it is durable.
    pub(crate) checkpoints: Vec<(usize, Option<LogPosition>)>,
    /// The applied entry of each snapshot, with the first boundary at which it may be on disk.
    pub(crate) installed: Vec<(usize, LogPosition)>,
    /// The boundary at which log and store were open.
    pub(crate) opened: usize,
    misuse: Option<Misuse>,
}

impl StoreNode {
    /// Opens log and store, and applies the entries after the checkpoint. Both must agree with
    /// `before` at this boundary.
    pub(crate) fn open(
        disk: &SimDisk,
        before: &Epoch,
        at: usize,
        seed: u64,
        misuse: Option<Misuse>,
    ) -> Result<Self, String> {
        let log = open_log(disk, seed, None)?;
        let found = OpenedLog::new(&log)?;
        before.history.check(at, &found)?;
        let store = open_store(disk)?;
        let checkpoint = store.meta().applied;
        before.check_reach(at, checkpoint, &found.content)?;
        let mut node = Self {
            store,
            log: LogNode::new(disk, log, History::from_opened(&found), seed),
            expected: before.expected.clone(),
            checkpoints: vec![(0, checkpoint)],
            installed: before.installed.clone(),
            opened: disk.boundaries(),
            misuse,
        };
        if checkpoint > found.content.last {
            // The power was lost between the installation of a snapshot and the purge after it.
            node.purge_to(checkpoint)?;
        }
        let content = node.log.history.content().clone();
        node.replay(&content)?;
        Ok(node)
    }

    /// Applies the entries after the checkpoint.
    fn replay(&self, content: &LogContent) -> Result<(), String> {
        let applied = index(self.store.meta().applied);
        self.compare(applied)?;
        for (position, entry) in content.entries.range(applied + 1..).map(|(_, entry)| entry) {
            self.apply(*position, entry.clone());
        }
        self.compare(index(content.last))
    }

    /// Fails when the packets differ from those that are expected after an entry.
    fn compare(&self, index: u64) -> Result<(), String> {
        let Some(expected) = self.expected.get(&index) else {
            return Err(format!("there was never an entry {index}"));
        };
        let found = Packets::from_store(&self.store);
        let count = self.store.meta().packets.usage.count;
        match found == *expected && count == expected.iter().count() as u64 {
            true => Ok(()),
            false => Err(format!("{count} packets are not those of entry {index}")),
        }
    }

    fn apply(&self, position: LogPosition, entry: Bytes) {
        self.store.transact(|packets, meta| {
            let applied = apply(packets, &mut meta.cluster, LEVEL_MAX, LogIndex(0), entry);
            applied.expect("no command is above the level");
            meta.applied = Some(position);
        });
    }

    /// Does a random step and waits until it is acknowledged.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let result = match self.log.rng.u32(..16) {
            0..10 => self.put_some(),
            10..13 => self.checkpoint(CheckpointScope::Changes),
            13..15 => self.checkpoint(CheckpointScope::Everything),
            _ => self.install(),
        };
        let result = result.and_then(|()| self.log.wait().map_err(|error| format!("{error:?}")));
        result.map_err(|error| format!("a step failed: {error}"))
    }

    fn put_some(&mut self) -> Result<(), String> {
        for _ in 0..self.log.rng.usize(1..4) {
            self.put()?;
        }
        Ok(())
    }

    /// Appends an entry and applies it without waiting for the sync: other nodes may commit an
    /// entry before a follower has synced it.
    fn put(&mut self) -> Result<(), String> {
        let last = index(self.log.history.content().last);
        let entry = command(last + 1, &mut self.log.rng);
        let mut packets = self.expected.get(&last).cloned().unwrap_or_default();
        packets.apply(entry.clone());
        self.expected.insert(last + 1, packets);
        let appended = self.log.append(vec![entry.clone()]);
        appended.map_err(|error| format!("{error:?}"))?;
        let position = self.log.history.content().last;
        self.apply(position.ok_or("nothing was appended")?, entry);
        Ok(())
    }

    /// Writes a checkpoint of the applied entries, some of which the log has not synced yet.
    fn checkpoint(&mut self, scope: CheckpointScope) -> Result<(), String> {
        let mut gate = self.log.close_gate();
        self.put()?;
        self.log.wait_at_gate();
        let checkpoint = self.store.begin_checkpoint(scope);
        self.put_some()?;
        let syncs_first = self.misuse != Some(Misuse::CheckpointBeforeSync);
        if syncs_first {
            gate = None;
            let synced = self.log.sync().and_then(|()| self.log.wait());
            synced.map_err(|error| format!("{error:?}"))?;
        }
        let committed = checkpoint.commit(IoSpeed::Fast);
        drop(gate);
        let applied = committed.map_err(|error| format!("{error:?}"))?.applied;
        self.checkpoints.push((self.log.disk.boundaries(), applied));
        self.log.wait().map_err(|error| format!("{error:?}"))?;
        self.purge(applied).map_err(|error| format!("{error:?}"))
    }

    /// Installs a snapshot of a leader that is far ahead, and then purges the log up to it.
    fn install(&mut self) -> Result<(), String> {
        let last = self.log.history.content().last;
        let mut packets = self.expected.get(&index(last)).cloned().unwrap_or_default();
        let first = index(last) + 1;
        let ahead = first + self.log.rng.u64(..KEPT_COUNT_MAX);
        for index in first..=ahead {
            packets.apply(command(index, &mut self.log.rng));
        }
        let term = last.map_or(0, |last| last.term.0);
        let applied = LogPosition::new(term, ahead);
        let received = receive(&self.log.disk, &packets, applied)?;
        self.expected.insert(ahead, packets);
        self.installed
            .push((self.log.disk.boundaries() + 1, applied));
        let meta = Meta {
            applied: Some(applied),
            ..Meta::default()
        };
        let installed = self.store.install(received, meta);
        installed.map_err(|error| format!("{error:?}"))?;
        self.checkpoints
            .push((self.log.disk.boundaries(), Some(applied)));
        self.purge_to(Some(applied))
    }

    fn purge_to(&mut self, applied: Option<LogPosition>) -> Result<(), String> {
        let Some(applied) = applied else {
            return Ok(());
        };
        let purged = self.log.purge_upto(applied);
        let purged = purged.and_then(|()| self.log.sync());
        let purged = purged.and_then(|()| self.log.wait());
        purged.map_err(|error| format!("the log cannot be purged: {error:?}"))
    }

    fn purge(&mut self, applied: Option<LogPosition>) -> io::Result<()> {
        let kept = self.log.rng.u64(..KEPT_COUNT_MAX);
        let upto = index(applied).saturating_sub(kept);
        match self.log.history.content().entries.get(&upto) {
            Some((upto, _)) => self.log.purge_upto(*upto),
            None => Ok(()),
        }
    }
}

pub(crate) fn config(disk: &SimDisk) -> StoreConfig {
    StoreConfig {
        disk: Arc::new(disk.clone()),
        path: STORE_PATH.into(),
        cache_size: CACHE_SIZE,
    }
}

pub(crate) fn open_store(disk: &SimDisk) -> Result<Store, String> {
    let metrics = StoreMetrics::register(&Registry::new()).expect("a new registry has no names");
    let store = Store::open(config(disk), metrics);
    store.map_err(|error| format!("the store does not open: {error:?}"))
}

fn index(position: Option<LogPosition>) -> u64 {
    position.map_or(0, |position| position.index.0)
}
