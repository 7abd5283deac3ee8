//! A redb file that contains a checkpoint.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use quorate_disk::{Disk, DiskFile, OpenMode, dir_of, is_out_of_space, remove_if_present};
use quorate_replica::IndexedPacket;
use quorate_state::StoredPacket;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
};

use crate::{
    Meta, StoreConfig, StoreError,
    backend::{CloseReason, CloseState, FileBackend},
    guard::{catching_panics, reading},
    inspection::Inspection,
    overlay::OverlayBackend,
    schema::{Key, META, PACKETS, encode_value},
    space_reservation::SpaceReservation,
    throttle::IoThrottle,
};

#[derive(Debug)]
pub(crate) struct CheckpointFile {
    pub(crate) path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Whether redb's writes when it closes the file are rejected. They are not needed for a file
    /// that is only read or not published.
    rejects_final_writes: bool,
    pub(crate) is_read_only: bool,
    /// Present for a new file that is not published yet: the disk from which the drop removes it.
    unpublished: Mutex<Option<Arc<dyn Disk>>>,
    pub(crate) closed: CloseState,
    pub(crate) throttle: Arc<IoThrottle>,
    pub(crate) reservation: Arc<SpaceReservation>,
    /// Present until this is dropped.
    database: Option<Database>,
}

/// Everything in a file.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) meta: Meta,
    pub(crate) packets: Vec<StoredPacket>,
}

impl CheckpointFile {
    /// Creates an empty file with this extension. Replaces one that an earlier process left.
    pub(crate) fn create(config: &StoreConfig, extension: &str) -> Result<Self, StoreError> {
        let path = config.path.with_extension(extension);
        remove(config, &path)?;
        let created = open_locked(config, &path, OpenMode::Create)
            .and_then(|file| Self::writable(path.clone(), file, config.cache_size));
        let created = created.inspect(|file| {
            *file.unpublished() = Some(config.disk.clone());
        });
        created.map_err(|error| match error {
            StoreError::File { source, .. } if is_out_of_space(&source) => {
                StoreError::no_space(&path)
            }
            StoreError::NoSpace { .. } => {
                // Removes the incomplete file.
                let _ = config.disk.remove(&path);
                error
            }
            error => error,
        })
    }

    /// Verifies everything in the file of the store, and opens it. Leaves a damaged file unchanged.
    /// On a full disk it may open the file read-only.
    pub(crate) fn open(config: &StoreConfig) -> Result<(Self, Contents), StoreError> {
        let path = &config.path;
        let file = open_locked(config, path, OpenMode::Write)?;
        let mut on_disk = Self::read_only(path.clone(), file.clone())?;
        let is_clean = on_disk.check_pages()?;
        let contents = on_disk.load()?;
        let opened = on_disk.reopen_writable(config).and_then(|mut store| {
            if !is_clean {
                store.check_pages()?;
            }
            Ok(store)
        });
        match opened {
            Ok(store) => Ok((store, contents)),
            Err(StoreError::NoSpace { .. }) => Ok((on_disk, contents)),
            Err(error) => Err(error),
        }
    }

    /// Reads and verifies everything in the file of a store, and leaves it unchanged.
    pub(crate) fn read_all(config: &StoreConfig) -> Result<Contents, StoreError> {
        let mut file = Self::open_read_only(config)?;
        file.check_pages()?;
        file.load()
    }

    /// Opens the same file a second time, writable.
    pub(crate) fn reopen_writable(&self, config: &StoreConfig) -> Result<Self, StoreError> {
        let (path, file) = (self.path.clone(), self.file.clone());
        let mut opened = Self::writable(path, file, config.cache_size)?;
        opened.rejects_final_writes = false;
        Ok(opened)
    }

    /// Opens the same file a second time, read-only, as of its last commit.
    pub(crate) fn reopen_read_only(&self) -> Result<Self, StoreError> {
        Self::read_only(self.path.clone(), self.file.clone())
    }

    /// Opens the file of the store read-only, as it is on the disk.
    pub(crate) fn open_read_only(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = &config.path;
        let file = config.disk.open(path, OpenMode::Read);
        Self::read_only(path.clone(), file.map_err(file_error("opened", path))?)
    }

    fn writable(
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        cache_size: usize,
    ) -> Result<Self, StoreError> {
        let mut opened = Self::unopened(path, file, false);
        let backend = FileBackend {
            file: opened.file.clone(),
            unsynced_size: AtomicU64::new(0),
            closed: opened.closed.clone(),
            throttle: opened.throttle.clone(),
            reservation: opened.reservation.clone(),
        };
        opened.database = Some(opened.writing(|| open_database(backend, cache_size))?);
        Ok(opened)
    }

    /// Opens a file without a cache. Nothing is written, not even a repair.
    fn read_only(path: PathBuf, file: Arc<dyn DiskFile>) -> Result<Self, StoreError> {
        let mut opened = Self::unopened(path, file, true);
        let backend = OverlayBackend::new(opened.file.clone(), opened.closed.clone());
        let backend = backend.map_err(file_error("read", &opened.path))?;
        opened.database = Some(opened.reading(|| open_database(backend, 0))?);
        Ok(opened)
    }

    fn unopened(path: PathBuf, file: Arc<dyn DiskFile>, is_read_only: bool) -> Self {
        Self {
            path,
            file,
            rejects_final_writes: true,
            is_read_only,
            unpublished: Mutex::default(),
            closed: CloseState::default(),
            throttle: Arc::default(),
            reservation: Arc::default(),
            database: None,
        }
    }

    /// The size, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.file.size().unwrap_or(0)
    }

    /// Checks every page that is in use. Returns false when only redb's list of free pages was
    /// wrong; it has been repaired in this `Database`.
    fn check_pages(&mut self) -> Result<bool, StoreError> {
        let database = self
            .database
            .as_mut()
            .expect("it is present until the drop");
        reading(&self.path, &self.closed, || Ok(database.check_integrity()?))
    }

    /// Starts a read transaction, and reads the meta.
    pub(crate) fn begin_read(&self) -> Result<(ReadTransaction, Meta), StoreError> {
        self.reading(|| {
            let transaction = self.database().begin_read()?;
            let meta = Meta::read(&transaction.open_table(META)?, &self.path)?;
            Ok((transaction, meta))
        })
    }

    /// Reads and verifies everything in the file.
    pub(crate) fn load(&self) -> Result<Contents, StoreError> {
        let (transaction, meta) = self.begin_read()?;
        let mut inspection = Inspection::new(self.path.clone());
        let mut packets = Vec::new();
        let read = self.reading(|| {
            for entry in transaction.open_table(PACKETS)?.iter()? {
                let (key, value) = entry?;
                packets.extend(inspection.check(key.value(), value.value())?);
            }
            Ok(())
        });
        read.map_err(|error| inspection.explain(error))?;
        inspection.finish(&meta)?;
        Ok(Contents { meta, packets })
    }

    /// Stores encoded packets. They become durable with the next [commit](Self::commit).
    pub(crate) fn store<'a>(
        &self,
        packets: impl IntoIterator<Item = (Key, &'a [u8])>,
    ) -> Result<(), StoreError> {
        self.writing(|| {
            let mut transaction = self.database().begin_write()?;
            transaction.set_durability(Durability::None)?;
            let mut table = transaction.open_table(PACKETS)?;
            for (key, encoded) in packets {
                table.insert(&key, encode_value(&key, encoded).as_slice())?;
            }
            drop(table);
            Ok(transaction.commit()?)
        })
    }

    /// Stores or removes packets and sets the meta, durably and atomically.
    pub(crate) fn commit<'a>(
        &self,
        changes: impl IntoIterator<Item = (Key, Option<&'a IndexedPacket>)>,
        meta: &Meta,
    ) -> Result<(), StoreError> {
        self.writing(|| {
            let mut transaction = self.database().begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_two_phase_commit(true);
            transaction.set_quick_repair(true);
            let mut table = transaction.open_table(PACKETS)?;
            for (key, changed) in changes {
                self.throttle.pause_if_due();
                match changed {
                    Some(indexed) => {
                        let value = encode_value(&key, &indexed.stored().encode());
                        table.insert(&key, value.as_slice())?;
                    }
                    None => drop(table.remove(&key)?),
                }
            }
            drop(table);
            meta.write(&mut transaction.open_table(META)?)?;
            Ok(transaction.commit()?)
        })
    }

    /// Renames this committed file to the path of the store, durably.
    pub(crate) fn publish(&mut self, config: &StoreConfig) -> Result<(), StoreError> {
        let disk = &config.disk;
        disk.rename(&self.path, &config.path)
            .map_err(file_error("moved into place", &self.path))?;
        self.unpublished().take();
        self.path.clone_from(&config.path);
        self.rejects_final_writes = false;
        let dir = dir_of(&self.path);
        disk.sync_dir(&dir).map_err(file_error("synced", &dir))
    }

    /// Reserves space for the next commit. [`SpaceReservation::release`] frees it, or a write that
    /// finds the disk full.
    pub(crate) fn reserve_space(&self, disk: &Arc<dyn Disk>, size: u64) -> Result<(), StoreError> {
        let reserved = self.reservation.acquire(disk, &self.path, size);
        reserved.map_err(|error| match is_out_of_space(&error) {
            true => StoreError::no_space(&self.path),
            false => file_error("given reserved space", &self.path)(error),
        })
    }

    /// Removes an unpublished file before it is dropped.
    pub(crate) fn discard(&self) {
        self.closed.set(CloseReason::Failed);
        self.reservation.release();
        if let Some(disk) = self.unpublished().take() {
            // If this fails, the next file with this name or the next start removes it.
            let _ = disk.remove(&self.path);
        }
    }

    fn unpublished(&self) -> MutexGuard<'_, Option<Arc<dyn Disk>>> {
        let unpublished = self.unpublished.lock();
        unpublished.unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when the file was opened a second time and is written there, which may overwrite the
    /// pages that are read here.
    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        match self.closed.reason() {
            Some(CloseReason::Full) => Err(StoreError::no_space(&self.path)),
            _ => Ok(()),
        }
    }

    pub(crate) fn reading<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        reading(&self.path, &self.closed, work)
    }

    fn writing<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        catching_panics(&self.path, &self.closed, work)
    }

    fn database(&self) -> &Database {
        self.database
            .as_ref()
            .expect("it is present until the drop")
    }
}

impl Drop for CheckpointFile {
    fn drop(&mut self) {
        // redb writes when it closes a file. For a file with another writer that would be outdated.
        if self.rejects_final_writes {
            self.closed.set(CloseReason::Failed);
        }
        let database = self.database.take();
        // After a panic on a damaged page, redb may panic again. There is no caller to report it
        // to.
        let _ = catching_panics(&self.path, &self.closed, || {
            drop(database);
            Ok(())
        });
        if self.unpublished().is_some() {
            self.discard();
        }
    }
}

fn open_database(backend: impl StorageBackend, cache_size: usize) -> Result<Database, StoreError> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_size);
    Ok(builder.create_with_backend(backend)?)
}

/// Removes a file that an interrupted operation may have left.
pub(crate) fn remove(config: &StoreConfig, path: &Path) -> Result<(), StoreError> {
    remove_if_present(&*config.disk, path).map_err(file_error("removed", path))
}

fn open_locked(
    config: &StoreConfig,
    path: &Path,
    mode: OpenMode,
) -> Result<Arc<dyn DiskFile>, StoreError> {
    let file = config.disk.open(path, mode);
    let file = file.map_err(file_error("opened", path))?;
    match file.try_lock().map_err(file_error("locked", path))? {
        true => Ok(file),
        false => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
    }
}

/// Converts an I/O error on the file at `path`. `action` is a participle, such as "opened".
pub(crate) fn file_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        action,
        path,
        source,
    }
}
