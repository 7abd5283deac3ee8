//! A redb file that holds a checkpoint.

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
    backend::{Cause, Closed, FileBackend},
    guard::{caught, reading},
    inspection::Inspection,
    overlay::OverlayBackend,
    reserve::Reserve,
    schema::{Key, META, PACKETS, encode_value},
    throttle::IoThrottle,
};

#[derive(Debug)]
pub(crate) struct CheckpointFile {
    pub(crate) path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Whether nothing more needs to reach the disk: it is only read, or nobody knows it yet.
    is_scratch: bool,
    pub(crate) is_read_only: bool,
    /// Where the file goes with this: it was made, and is not published yet.
    unpublished: Mutex<Option<Arc<dyn Disk>>>,
    pub(crate) closed: Closed,
    pub(crate) throttle: Arc<IoThrottle>,
    pub(crate) reserve: Arc<Reserve>,
    /// There until this is dropped.
    database: Option<Database>,
}

#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) meta: Meta,
    pub(crate) packets: Vec<StoredPacket>,
}

impl CheckpointFile {
    /// Makes an empty file beside the store, in place of one that was left there.
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
                // The part of it that was made.
                let _ = config.disk.remove(&path);
                error
            }
            error => error,
        })
    }

    /// Opens the file of the store, when all that is in it is verified. A file that is damaged is
    /// left as it was found. On a full disk it may be open to be read only.
    pub(crate) fn open(config: &StoreConfig) -> Result<(Self, Contents), StoreError> {
        let path = &config.path;
        let file = open_locked(config, path, OpenMode::Write)?;
        let mut on_disk = Self::read_only(path.clone(), file.clone())?;
        let is_clean = on_disk.check_pages()?;
        let contents = on_disk.load()?;
        let opened = on_disk.to_be_written(config).and_then(|mut store| {
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

    /// Opens the same file once more, to be written.
    pub(crate) fn to_be_written(&self, config: &StoreConfig) -> Result<Self, StoreError> {
        let (path, file) = (self.path.clone(), self.file.clone());
        let mut opened = Self::writable(path, file, config.cache_size)?;
        opened.is_scratch = false;
        Ok(opened)
    }

    /// Opens the same file once more, to be read as of its last commit.
    pub(crate) fn to_be_read(&self) -> Result<Self, StoreError> {
        Self::read_only(self.path.clone(), self.file.clone())
    }

    /// Opens the file of the store to read it, as it is on the disk.
    pub(crate) fn open_read_only(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = &config.path;
        let file = config.disk.open(path, OpenMode::Read);
        Self::read_only(path.clone(), file.map_err(failed("opened", path))?)
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
            reserve: opened.reserve.clone(),
        };
        opened.database = Some(opened.writing(|| open_database(backend, cache_size))?);
        Ok(opened)
    }

    /// Nothing is cached, and nothing is written, not even a repair.
    fn read_only(path: PathBuf, file: Arc<dyn DiskFile>) -> Result<Self, StoreError> {
        let mut opened = Self::unopened(path, file, true);
        let backend = OverlayBackend::new(opened.file.clone(), opened.closed.clone());
        let backend = backend.map_err(failed("read", &opened.path))?;
        opened.database = Some(opened.reading(|| open_database(backend, 0))?);
        Ok(opened)
    }

    fn unopened(path: PathBuf, file: Arc<dyn DiskFile>, is_read_only: bool) -> Self {
        Self {
            path,
            file,
            is_scratch: true,
            is_read_only,
            unpublished: Mutex::default(),
            closed: Closed::default(),
            throttle: Arc::default(),
            reserve: Arc::default(),
            database: None,
        }
    }

    /// The size, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.file.size().unwrap_or(0)
    }

    /// Checks every page that is in use. False when redb's list of those that are not was wrong, and
    /// nothing else: here it is right now.
    fn check_pages(&mut self) -> Result<bool, StoreError> {
        let database = self.database.as_mut().expect("it is there until the drop");
        reading(&self.path, &self.closed, || Ok(database.check_integrity()?))
    }

    /// Begins to read, with what the packets reflect.
    pub(crate) fn begin_read(&self) -> Result<(ReadTransaction, Meta), StoreError> {
        self.reading(|| {
            let transaction = self.database().begin_read()?;
            let meta = Meta::read(&transaction.open_table(META)?, &self.path)?;
            Ok((transaction, meta))
        })
    }

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
        inspection.end(&meta)?;
        Ok(Contents { meta, packets })
    }

    /// Stores encoded packets, to become durable with the next [commit](Self::commit).
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

    /// Stores packets, or removes them, and sets what they reflect, durably and all at once.
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
                self.throttle.rest();
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

    /// Gives this file, which was committed, the name of the store.
    pub(crate) fn publish(&mut self, config: &StoreConfig) -> Result<(), StoreError> {
        let disk = &config.disk;
        disk.rename(&self.path, &config.path)
            .map_err(failed("moved into place", &self.path))?;
        self.unpublished().take();
        self.path.clone_from(&config.path);
        self.is_scratch = false;
        let dir = dir_of(&self.path);
        disk.sync_dir(&dir).map_err(failed("synced", &dir))
    }

    /// Takes space for the next commit, until [`give_back`](Reserve::give_back) or a write that needs
    /// it.
    pub(crate) fn reserve(&self, disk: &Arc<dyn Disk>, size: u64) -> Result<(), StoreError> {
        let taken = self.reserve.take(disk, &self.path, size);
        taken.map_err(|error| match is_out_of_space(&error) {
            true => StoreError::no_space(&self.path),
            false => failed("given space", &self.path)(error),
        })
    }

    /// Gives up a file that is not published, before it is dropped.
    pub(crate) fn discard(&self) {
        self.closed.set(Cause::Failed);
        self.reserve.give_back();
        if let Some(disk) = self.unpublished().take() {
            // One that stays is removed by the next that is made, or the next start.
            let _ = disk.remove(&self.path);
        }
    }

    fn unpublished(&self) -> MutexGuard<'_, Option<Arc<dyn Disk>>> {
        let unpublished = self.unpublished.lock();
        unpublished.unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when the same file is written by another since, which knows nothing of the pages that are
    /// read here.
    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        match self.closed.cause() {
            Some(Cause::Full) => Err(StoreError::no_space(&self.path)),
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
        caught(&self.path, &self.closed, work)
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is there until the drop")
    }
}

impl Drop for CheckpointFile {
    fn drop(&mut self) {
        // redb writes when it closes a file. What was read beside its writer is not what it knows.
        if self.is_scratch {
            self.closed.set(Cause::Failed);
        }
        let database = self.database.take();
        // Who panicked over a damaged page may do so again, and nobody is left to be told.
        let _ = caught(&self.path, &self.closed, || {
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

/// Removes what an interrupted work has left.
pub(crate) fn remove(config: &StoreConfig, path: &Path) -> Result<(), StoreError> {
    remove_if_present(&*config.disk, path).map_err(failed("removed", path))
}

fn open_locked(
    config: &StoreConfig,
    path: &Path,
    mode: OpenMode,
) -> Result<Arc<dyn DiskFile>, StoreError> {
    let file = config.disk.open(path, mode);
    let file = file.map_err(failed("opened", path))?;
    match file.try_lock().map_err(failed("locked", path))? {
        true => Ok(file),
        false => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
    }
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File {
        action,
        path,
        source,
    }
}
