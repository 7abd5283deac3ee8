//! The seam under everything durable: files and syncs as a trait.
//!
//! Log, store, key and cluster files reach the disk through [`Disk`] and [`DiskFile`] alone. A node
//! runs on [`LinuxDisk`]; tests put a disk under it that records every write, fails as told, and
//! shows what a loss of power would have left.
//!
//! # What a disk promises
//!
//! | call | after it, and a loss of power |
//! |---|---|
//! | [`DiskFile::write_at`], [`DiskFile::set_size`] | any 512 bytes of it may be there or not, in any order |
//! | [`DiskFile::sync_data`] that returned `Ok` | everything written before is there |
//! | [`DiskFile::sync_data`] that failed | unknown for ever: the kernel drops what it could not write and says so once (Rebello et al., *Can Applications Recover from fsync Failures?*, 2020) |
//! | [`Disk::rename`], [`Disk::rename_new`], [`Disk::remove`], a file that was made | there or not, in the order of the calls |
//! | [`Disk::sync_dir`] | names in that directory are as they were |
//!
//! So a failed sync is never tried again: whoever gets one stops, and what was written since the
//! last good one is written anew after a restart before it counts.

mod linux;

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use linux::LinuxDisk;

/// The unit that a disk writes whole or not at all, in bytes.
pub const SECTOR_SIZE: usize = 512;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read. It must exist.
    Read,
    /// To be read and written. It must exist.
    Write,
    /// To be read and written, made empty if absent.
    Create,
    /// To be read and written; it must not exist. Only its owner may open it.
    CreateSecret,
}

/// Files and the names they have.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a directory and those above it, if absent, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of any file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a name that none has yet, or fails with [`io::ErrorKind::AlreadyExists`].
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The bytes that can still be written in the file system of `dir`.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
}

pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// The size, in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros that take no space yet.
    fn set_size(&self, size: u64) -> io::Result<()>;

    /// Extends the file to `size` with zeros that are written, and syncs it with its size. What is
    /// there stays. Writing into such a file changes no metadata, so that syncing it costs less, and
    /// takes no space.
    ///
    /// Fails out of space with a part of it done: who wants the space back removes the file.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Extends the file to `size` with zeros that have their space already, and writes none of them
    /// (`fallocate`). A file system that cannot do that only extends it.
    ///
    /// Fails out of space as [`allocate`](Self::allocate) does.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Makes durable what was written, and the size.
    fn sync_data(&self) -> io::Result<()>;

    /// Who may open the file: the permission bits of `chmod`.
    fn mode(&self) -> io::Result<u32>;

    /// Takes the file for this process, until it is closed. False when another has it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Whether an operation failed for lack of space, which may come back: the file system is full, or
/// the quota is used up.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Puts a file of these bytes in place of any at `path`: durably, and whole or not at all. Until then it
/// has another name, and is made by `mode`.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: OpenMode) -> io::Result<()> {
    let new = path.with_added_extension("new");
    remove_if_present(disk, &new)?;
    let file = disk.open(&new, mode)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&new, path)?;
    disk.sync_dir(&dir_of(path))
}

/// Removes a file that may be absent.
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
