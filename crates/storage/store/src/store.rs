//! The store.

use std::{io, sync::Arc};

use quorate_disk::OpenMode;
use quorate_packet::PublicKey;
use quorate_state::{LogPosition, StoredPacket, UnixMillis};

use crate::{
    Checkpoint, CheckpointScope, Index, Meta, PacketsMut, ReceivedSnapshot, Snapshot,
    SnapshotReceiver, StoreConfig, StoreError, StoreMetrics, StoreScrub, checkpoint,
    file::{CheckpointFile, Contents, file_error, remove},
    shared::Shared,
    space_reservation::reserve_path,
};

/// The packets of one node.
///
/// Reads wait only for the lock of a map. Transactions wait only for each other. Checkpoints and
/// installations wait for each other.
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store, or creates an empty one when there is no file.
    ///
    /// Reads and verifies everything, which takes a few seconds for a million packets. Fails with
    /// [`StoreError::Damaged`] when a check fails, and leaves the file unchanged. The caller must
    /// check whether this node may start with an empty or older store.
    pub fn open(config: StoreConfig, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let (file, contents) = match is_absent(&config)? {
            false => CheckpointFile::open(&config)?,
            true => {
                let mut file = CheckpointFile::create(&config, "new")?;
                file.commit([], &Meta::default())?;
                file.publish(&config)?;
                (file, Contents::default())
            }
        };
        // Only now: the lock of the store proves that no other process uses these files.
        for extension in ["new", "rebuild", "incoming"] {
            remove(&config, &config.path.with_extension(extension))?;
        }
        let incoming = config.path.with_extension("incoming");
        for path in [&config.path, &incoming] {
            remove(&config, &reserve_path(path))?;
        }
        let shared = Arc::new(Shared::new(config, file, contents, metrics));
        Ok(Self { shared })
    }

    /// Creates a store from a received snapshot, and replaces a damaged file. Uses the same fields
    /// of `meta` as [`install`](Self::install).
    pub fn create_from(
        config: StoreConfig,
        received: ReceivedSnapshot,
        meta: Meta,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let (mut file, contents) = received.finish(meta)?;
        file.publish(&config)?;
        let shared = Arc::new(Shared::new(config, file, contents, metrics));
        Ok(Self { shared })
    }

    /// Creates a store with the packets and the meta of another one, which is read and verified, and left
    /// unchanged. Without a file there, they are empty. Nothing of them is durable before a checkpoint of
    /// [`CheckpointScope::Everything`].
    pub fn copy_of(
        other: &StoreConfig,
        config: StoreConfig,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let contents = match is_absent(other)? {
            false => CheckpointFile::read_all(other)?,
            true => Contents::default(),
        };
        let store = Self::open(config, metrics)?;
        store.shared.memory.replace(contents);
        Ok(store)
    }

    /// Reads and verifies everything in a file that no process uses, leaves it unchanged, and returns its
    /// meta. Without a file that is empty.
    pub fn verify(config: &StoreConfig) -> Result<Meta, StoreError> {
        match is_absent(config)? {
            false => Ok(CheckpointFile::read_all(config)?.meta),
            true => Ok(Meta::default()),
        }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    /// The packet of `key`.
    pub fn stored_packet(&self, key: &PublicKey) -> Option<StoredPacket> {
        let indexed = self.shared.memory.index.packet(key);
        indexed.map(|indexed| indexed.stored())
    }

    /// All packets, ready to be served.
    pub fn index(&self) -> Arc<Index> {
        self.shared.memory.index.clone()
    }

    /// Up to `count` packets in the order of keys: those with keys after `after`, or the first
    /// ones. Visits all packets.
    pub fn packets_after(&self, after: Option<&PublicKey>, count: usize) -> Vec<StoredPacket> {
        self.shared.memory.packets_after(after, count)
    }

    pub fn meta(&self) -> Meta {
        self.shared.memory.state().meta.clone()
    }

    /// The last entry that is applied in the last checkpoint or installed snapshot. It is on disk.
    pub fn durable(&self) -> Option<LogPosition> {
        self.shared.durable()
    }

    /// The time at which the oldest packet was received.
    pub fn oldest_received(&self) -> Option<UnixMillis> {
        let state = self.shared.memory.state();
        state.by_age.first().map(|(received, _)| *received)
    }

    /// The time at which the newest packet was received.
    pub fn latest_received(&self) -> Option<UnixMillis> {
        let state = self.shared.memory.state();
        state.by_age.last().map(|(received, _)| *received)
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.shared.file().size()
    }

    /// How many of `free` bytes on the disk remain after the current checkpoint has released its
    /// reserved space and the next one is written.
    pub fn free_after_checkpoint(&self, free: u64) -> u64 {
        let growth = {
            let state = self.shared.memory.state();
            match state.changes.len() {
                0 => 0,
                count => checkpoint::growth(count, &state.meta),
            }
        };
        let reserved = self.shared.file().reservation.size();
        free.saturating_add(reserved).saturating_sub(growth)
    }

    /// Changes packets and `meta`, in memory. Returns the new meta with what `change` returned.
    ///
    /// `change` gets the current meta and sets `applied`, `membership` and `cluster` in it. The
    /// store itself updates number, size and hash of the packets. Each packet is visible to reads
    /// as soon as it is put, but an entry counts as applied only when this returns. If `change`
    /// panics, it is half applied; after that every call except reads of packets panics.
    pub fn transact<T>(
        &self,
        change: impl FnOnce(&mut PacketsMut<'_>, &mut Meta) -> T,
    ) -> (Meta, T) {
        let metrics = &self.shared.metrics;
        let timer = metrics.transaction_duration_seconds.start_timer();
        let result = self.shared.memory.transact(change);
        timer.observe_duration();
        result
    }

    /// Starts a checkpoint of the current packets. Blocks the thread until another checkpoint or
    /// installation has ended.
    ///
    /// Transactions wait shortly. For [`CheckpointScope::Everything`] they wait while the list of
    /// all packets is cloned, which takes some tenths of a second for a million.
    pub fn begin_checkpoint(&self, scope: CheckpointScope) -> Checkpoint {
        Checkpoint::begin(self.shared.clone(), scope)
    }

    /// The packets of the last checkpoint.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(self.shared.file())
    }

    /// Starts to receive a snapshot. Replaces one that was started before. Also works when the
    /// store is missing or damaged.
    pub fn receiver(config: &StoreConfig) -> Result<SnapshotReceiver, StoreError> {
        SnapshotReceiver::create(config)
    }

    /// Replaces all packets by those of a received snapshot, durably, and sets the meta. Only
    /// `applied` and `membership` of `meta` are used: the rest is in the snapshot.
    ///
    /// For a short time, both the old and the new packets are in memory. No transaction may run
    /// meanwhile: it would be lost.
    pub fn install(&self, received: ReceivedSnapshot, meta: Meta) -> Result<(), StoreError> {
        let _guard = self.shared.checkpoint_lock.acquire();
        let (file, contents) = received.finish(meta)?;
        self.shared.replace_file(file)?;
        self.shared.set_durable(contents.meta.applied);
        self.shared.memory.replace(contents);
        Ok(())
    }

    /// Starts to read the last checkpoint from the disk and to verify it. Blocks the thread until a
    /// running checkpoint has ended.
    pub fn scrub(&self) -> Result<StoreScrub, StoreError> {
        let _guard = self.shared.checkpoint_lock.acquire();
        StoreScrub::begin(&self.shared.config, self.snapshot()?, &self.shared.metrics)
    }
}

/// Whether there is no file, or an empty one that a crash left.
fn is_absent(config: &StoreConfig) -> Result<bool, StoreError> {
    let path = &config.path;
    match config.disk.open(path, OpenMode::Read) {
        Ok(file) => Ok(file.size().map_err(file_error("read", path))? == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(file_error("opened", path)(error)),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "power_loss_tests.rs"]
mod power_loss_tests;

#[cfg(test)]
#[path = "space_tests.rs"]
mod space_tests;

#[cfg(test)]
#[path = "install_tests.rs"]
mod install_tests;
