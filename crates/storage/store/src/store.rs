//! The store.

use std::{io, sync::Arc};

use quorate_disk::OpenMode;
use quorate_packet::PublicKey;
use quorate_state::{LogPosition, StoredPacket, UnixMillis};

use crate::{
    Checkpoint, CheckpointScope, Index, Meta, PacketsMut, ReceivedSnapshot, Snapshot,
    SnapshotReceiver, StoreConfig, StoreError, StoreMetrics, StoreScrub, checkpoint,
    file::{CheckpointFile, Contents, failed, remove},
    reserve::reserve_path,
    shared::Shared,
};

/// The packets of one node.
///
/// Reads wait for nothing but a map. Transactions exclude each other, and nothing else makes them
/// wait. Checkpoints and installations exclude each other.
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the store, or makes an empty one where there is no file.
    ///
    /// Reads and verifies all of it: a few seconds for a million packets. What fails is
    /// [`StoreError::Damaged`], and left as it is. Whether a store that was empty, or older, is one
    /// that this node may have, the caller knows.
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
        // Only now, for only now they are known to be nobody's.
        for extension in ["new", "rebuild", "incoming"] {
            remove(&config, &config.path.with_extension(extension))?;
        }
        let incoming = config.path.with_extension("incoming");
        for beside in [&config.path, &incoming] {
            remove(&config, &reserve_path(beside))?;
        }
        let shared = Arc::new(Shared::new(config, file, contents, metrics));
        Ok(Self { shared })
    }

    /// Makes a store of a received snapshot, in place of a file that is damaged. Of `meta` it reads
    /// what [`install`](Self::install) does.
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

    /// Up to `count` packets with keys behind `after`, or of all, in the order of keys. Looks at all
    /// of them.
    pub fn packets_after(&self, after: Option<&PublicKey>, count: usize) -> Vec<StoredPacket> {
        self.shared.memory.packets_after(after, count)
    }

    pub fn meta(&self) -> Meta {
        self.shared.memory.state().meta.clone()
    }

    /// The last entry that the last checkpoint, or installed snapshot, reflects: it is on disk.
    pub fn durable(&self) -> Option<LogPosition> {
        self.shared.durable()
    }

    /// When the packet that was received longest ago was received.
    pub fn oldest_received(&self) -> Option<UnixMillis> {
        let state = self.shared.memory.state();
        state.by_age.first().map(|(received, _)| *received)
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.shared.file().size()
    }

    /// What is left of `free` bytes on the disk when the next checkpoint is made, and what the one
    /// that is being made has taken is given back.
    pub fn free_after_checkpoint(&self, free: u64) -> u64 {
        let growth = {
            let state = self.shared.memory.state();
            match state.changes.len() {
                0 => 0,
                count => checkpoint::growth(count, &state.meta),
            }
        };
        let reserved = self.shared.file().reserve.size();
        free.saturating_add(reserved).saturating_sub(growth)
    }

    /// Changes packets and `meta`, in memory. Returns the new meta with what `change` returned.
    ///
    /// `change` gets the meta as it stands and sets `applied`, `membership` and `cluster` in it;
    /// number, size and hash of the packets are kept here. Each packet is there for reads as soon as it is put, so
    /// whoever waits for an entry waits until this returns. A `change` that panics has left half of
    /// itself: after that every call that does more than read packets panics.
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

    /// Takes the packets as they stand for a checkpoint. Waits for another one, or an installation,
    /// to end: to be called where a thread may block.
    ///
    /// Transactions wait for a moment, which for [`CheckpointScope::Everything`] is that of cloning a list
    /// of all packets, some tenths of a second for a million.
    pub fn begin_checkpoint(&self, scope: CheckpointScope) -> Checkpoint {
        Checkpoint::begin(self.shared.clone(), scope)
    }

    /// The packets of the last checkpoint.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(self.shared.file())
    }

    /// Begins to receive a snapshot, in place of any that was begun before. There need not be a
    /// store that can be opened.
    pub fn receiver(config: &StoreConfig) -> Result<SnapshotReceiver, StoreError> {
        SnapshotReceiver::create(config)
    }

    /// Replaces all packets by those of a received snapshot, durably, and sets what they reflect.
    /// Of `meta`, only `applied` and `membership` are read: the rest comes with the snapshot.
    ///
    /// The packets are in memory twice for a moment. No transaction may run meanwhile: it would be
    /// lost.
    pub fn install(&self, received: ReceivedSnapshot, meta: Meta) -> Result<(), StoreError> {
        let _guard = self.shared.checkpoint_lock.acquire();
        let (file, contents) = received.finish(meta)?;
        self.shared.replace_file(file)?;
        self.shared.set_durable(contents.meta.applied);
        self.shared.memory.replace(contents);
        Ok(())
    }

    /// Begins to read the last checkpoint from the disk and to verify it. Waits for a checkpoint to
    /// end: to be called where a thread may block.
    pub fn scrub(&self) -> Result<StoreScrub, StoreError> {
        let _guard = self.shared.checkpoint_lock.acquire();
        StoreScrub::begin(&self.shared.config, self.snapshot()?, &self.shared.metrics)
    }
}

/// Whether there is no file, or one of which a crash left nothing but the name.
fn is_absent(config: &StoreConfig) -> Result<bool, StoreError> {
    let path = &config.path;
    match config.disk.open(path, OpenMode::Read) {
        Ok(file) => Ok(file.size().map_err(failed("read", path))? == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed("opened", path)(error)),
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "power_tests.rs"]
mod power_tests;

#[cfg(test)]
#[path = "space_tests.rs"]
mod space_tests;

#[cfg(test)]
#[path = "install_tests.rs"]
mod install_tests;
