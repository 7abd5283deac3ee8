//! Files and syncs as a trait, so that tests can simulate disk faults and power loss.
//!
//! The log, the store, and the key and cluster files access the disk only through [`Disk`] and
//! [`DiskFile`]. A node runs on [`LinuxDisk`]. Tests use a simulated disk that records every write,
//! fails on request, and shows what a power loss would have left.
//!
//! # What a disk guarantees
//!
//! | call | state after the call and a power loss |
//! |---|---|
//! | [`DiskFile::write_at`], [`DiskFile::set_size`] | each sector of 512 bytes may be written or not, in any order |
//! | [`DiskFile::sync_data`] that returned `Ok` | everything written before the call is there |
//! | [`DiskFile::sync_data`] that failed | unknown forever: the kernel drops what it could not write and reports that once (Rebello et al., *Can Applications Recover from fsync Failures?*, 2020) |
//! | [`Disk::rename`], [`Disk::rename_new`], [`Disk::remove`], a created file | done or not, in the order of the calls |
//! | [`Disk::sync_dir`] | the names in that directory are as they were at the call |
//!
//! So a failed sync is never retried: the caller stops. After a restart, everything written since
//! the last successful sync must be written again before it counts.

mod linux;

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use linux::LinuxDisk;

/// The unit that a disk writes atomically, in bytes.
pub const SECTOR_SIZE: usize = 512;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading. It must exist.
    Read,
    /// For reading and writing. It must exist.
    Write,
    /// For reading and writing. Created empty if absent.
    Create,
    /// For reading and writing. It must not exist. Only its owner may open it.
    CreateSecret,
}

/// A file system: files and their names.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Creates a directory and its parents, if absent, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file, and replaces any file at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file. Fails with [`io::ErrorKind::AlreadyExists`] when there is a file at `to`.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The free space in the file system of `dir`, in bytes.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
}

pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// The size, in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`. Fails with [`io::ErrorKind::UnexpectedEof`] past the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Truncates the file, or extends it with zeros that use no space yet.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Extends the file to `size` by writing zeros, and syncs it with its size. Existing bytes
    /// stay. Later writes into the file change no metadata, so that syncing it costs less, and need
    /// no further space.
    ///
    /// When the disk is full, it fails with a part done: the caller removes the file to free the
    /// space.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Extends the file to `size` and reserves the space without writing zeros (`fallocate`). On a
    /// file system without `fallocate` it only extends the file.
    ///
    /// When the disk is full, it fails as [`allocate`](Self::allocate) does.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Makes everything written, and the size, durable.
    fn sync_data(&self) -> io::Result<()>;

    /// The permission bits, as of `chmod`.
    fn mode(&self) -> io::Result<u32>;

    /// Locks the file for this process until it is closed. False when another process holds the
    /// lock.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Whether an operation failed for lack of space: the file system is full, or the quota is used up.
/// Space may become free again, so it can be retried.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Replaces the file at `path` by one with these bytes, durably and atomically. The new file is
/// opened by `mode`, under a temporary name until it is complete.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: OpenMode) -> io::Result<()> {
    let new = path.with_added_extension("new");
    remove_if_present(disk, &new)?;
    let file = disk.open(&new, mode)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&new, path)?;
    disk.sync_dir(&dir_of(path))
}

/// Removes a file. An absent file is no error.
pub fn remove_if_present(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The directory that holds `path`.
pub fn dir_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.to_owned(),
        _ => PathBuf::from("."),
    }
}
