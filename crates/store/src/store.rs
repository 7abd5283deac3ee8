//! The store.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use quorate_packet::PublicKey;
use quorate_state::{StoredPacket, UnixMillis};
use redb::{Database, Durability, ReadableDatabase, ReadableTable};

use crate::{
    Meta, Metrics, PacketsMut, ReceivedSnapshot, Snapshot, SnapshotReceiver, StoreError, packets,
    schema::{FORMAT, META, META_FORMAT, PACKETS, RETENTION, received},
};

/// Where the store lives.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file. A snapshot that is being received stands beside it.
    pub path: PathBuf,
    /// Memory for pages, in bytes.
    pub cache_size: usize,
}

/// The packets of one node.
///
/// Reads run beside everything else. Transactions and checkpoints exclude each other; a caller that
/// must not block takes a lock of its own before it calls.
pub struct Store {
    config: Config,
    database: RwLock<Arc<Database>>,
    metrics: Metrics,
}

impl Store {
    /// Opens the store, or makes an empty one.
    pub fn open(config: Config, metrics: Metrics) -> Result<Self, StoreError> {
        let database = open_database(&config.path, config.cache_size)?;
        Ok(Self {
            config,
            database: RwLock::new(Arc::new(database)),
            metrics,
        })
    }

    /// The packet of `key`.
    pub fn stored_packet(&self, key: &PublicKey) -> Result<Option<StoredPacket>, StoreError> {
        let packets = self.database().begin_read()?.open_table(PACKETS)?;
        packets::find(&packets, key)
    }

    /// What the packets reflect.
    pub fn meta(&self) -> Result<Meta, StoreError> {
        Meta::read(&self.database().begin_read()?.open_table(META)?)
    }

    /// Changes packets and `meta` in one transaction, visible to reads when this returns and
    /// durable with the next checkpoint. Returns the new meta with what `change` returned.
    ///
    /// `change` gets the meta as it stands and sets `applied` and `membership` in it; the number of
    /// packets is kept here.
    pub fn transact<T>(
        &self,
        change: impl FnOnce(&mut PacketsMut<'_>, &mut Meta) -> Result<T, StoreError>,
    ) -> Result<(Meta, T), StoreError> {
        let timer = self.metrics.transaction_duration_seconds.start_timer();
        let mut txn = self.database().begin_write()?;
        txn.set_durability(Durability::None)?;
        let result = {
            let mut table = txn.open_table(META)?;
            let mut meta = Meta::read(&table)?;
            let mut packets = PacketsMut {
                packets: txn.open_table(PACKETS)?,
                retention: txn.open_table(RETENTION)?,
                count: meta.packet_count,
            };
            let value = change(&mut packets, &mut meta)?;
            meta.packet_count = packets.count;
            meta.write(&mut table)?;
            (meta, value)
        };
        txn.commit()?;
        timer.observe_duration();
        Ok(result)
    }

    /// Makes everything durable that was transacted before, and says what that is.
    ///
    /// The log must be on disk through the applied entry before this is called.
    pub fn checkpoint(&self) -> Result<Meta, StoreError> {
        let timer = self.metrics.checkpoint_duration_seconds.start_timer();
        let mut txn = self.database().begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.set_two_phase_commit(true);
        txn.set_quick_repair(true);
        let meta = Meta::read(&txn.open_table(META)?)?;
        txn.commit()?;
        timer.observe_duration();
        Ok(meta)
    }

    /// The packets as they stand.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&*self.database())
    }

    /// Begins to receive a snapshot, in place of any that was begun before.
    pub fn receive(&self) -> Result<SnapshotReceiver, StoreError> {
        SnapshotReceiver::create(self.config.path.with_extension("incoming"))
    }

    /// Replaces all packets by those of a received snapshot, durably, and sets what they reflect.
    /// The number of packets in `meta` is not read.
    pub fn install(&self, received: ReceivedSnapshot, meta: Meta) -> Result<(), StoreError> {
        let path = received.finish(meta)?;
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(&path, &self.config.path).map_err(|source| StoreError::File {
            action: "moved into place",
            path,
            source,
        })?;
        sync_dir(&self.config.path)?;
        *database = Arc::new(open_database(&self.config.path, self.config.cache_size)?);
        Ok(())
    }

    /// When the packet that was received longest ago was received.
    pub fn oldest_received(&self) -> Result<Option<UnixMillis>, StoreError> {
        let retention = self.database().begin_read()?.open_table(RETENTION)?;
        Ok(retention.first()?.map(|(key, _)| received(key.value())))
    }

    /// The size of the file, in bytes.
    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.config.path).map_or(0, |metadata| metadata.len())
    }

    fn database(&self) -> Arc<Database> {
        self.database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Opens a file, or makes one with all tables in it.
pub(crate) fn open_database(path: &Path, cache_size: usize) -> Result<Database, StoreError> {
    let database = Database::builder()
        .set_cache_size(cache_size)
        .create(path)
        .map_err(|error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(error.into()),
        })?;
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        let found = meta
            .get(META_FORMAT)?
            .and_then(|bytes| bytes.value().first().copied());
        match found {
            None => drop(meta.insert(META_FORMAT, [FORMAT].as_slice())?),
            Some(FORMAT) => {}
            Some(found) => {
                return Err(StoreError::Format {
                    path: path.to_owned(),
                    found,
                    supported: FORMAT,
                });
            }
        }
        txn.open_table(PACKETS)?;
        txn.open_table(RETENTION)?;
    }
    txn.commit()?;
    Ok(database)
}

/// Makes a rename in the directory of `path` durable.
fn sync_dir(path: &Path) -> Result<(), StoreError> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| StoreError::File {
            action: "synced",
            path: dir.to_owned(),
            source,
        })
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
