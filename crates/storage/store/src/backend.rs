//! A file of the seam as redb's storage.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use quorate_disk::{DiskFile, is_out_of_space};
use redb::StorageBackend;

use crate::{reserve::Reserve, throttle::IoThrottle};

/// How much is written before it is synced, in bytes. A checkpoint of a gigabyte would otherwise
/// leave that much to its one sync, and the sync of the Raft log on the same disk would wait for it.
const UNSYNCED_SIZE_MAX: u64 = 512 * 1024;

/// Writes at a measured speed, and never again after a failure. Where the disk is full, what was
/// reserved is given back first.
///
/// redb forgives some failures of a write. A failed sync hidden in one of them must not be followed
/// by one that succeeds.
#[derive(Debug)]
pub(crate) struct FileBackend {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) unsynced_size: AtomicU64,
    pub(crate) closed: Closed,
    pub(crate) throttle: Arc<IoThrottle>,
    pub(crate) reserve: Arc<Reserve>,
}

/// Whether a file may not be touched any more, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct Closed(Arc<Mutex<Option<Cause>>>);

/// Why a file is closed. The greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// It failed, or is not needed any more.
    Failed,
    /// redb panicked over a page.
    Damaged,
    /// A write, but no sync, has met a full disk: as a file it is whole.
    Full,
}

impl Closed {
    pub(crate) fn set(&self, cause: Cause) {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = closed.max(Some(cause));
    }

    pub(crate) fn cause(&self) -> Option<Cause> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        match self.cause() {
            None => Ok(()),
            Some(_) => Err(io::Error::other("closed after a failure")),
        }
    }
}

impl FileBackend {
    /// Does what may take space.
    fn change(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.closed.check()?;
        let done = match work() {
            Err(error) if is_out_of_space(&error) && self.reserve.give_back() => work(),
            done => done,
        };
        done.inspect_err(|error| {
            self.closed.set(match is_out_of_space(error) {
                true => Cause::Full,
                false => Cause::Failed,
            });
        })
    }
}

impl StorageBackend for FileBackend {
    fn len(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| self.file.set_size(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.unsynced_size.store(0, Ordering::Relaxed);
        self.closed.check()?;
        // Whatever it says: what it should have made durable may be lost.
        self.file
            .sync_data()
            .inspect_err(|_| self.closed.set(Cause::Failed))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.file.write_at(data, offset))?;
        let size = data.len() as u64;
        if self.unsynced_size.fetch_add(size, Ordering::Relaxed) + size >= UNSYNCED_SIZE_MAX {
            self.sync_data()?;
        }
        self.throttle.rest();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate_disk::{Disk, OpenMode};
    use quorate_sim::{Call, SimDisk};

    use super::*;

    fn backend_on(disk: &SimDisk) -> FileBackend {
        let file = disk.open("/file".as_ref(), OpenMode::Create).unwrap();
        FileBackend {
            file,
            unsynced_size: AtomicU64::new(0),
            closed: Closed::default(),
            throttle: Arc::default(),
            reserve: Arc::default(),
        }
    }

    #[test]
    fn what_is_written_is_synced_before_much_of_it_waits() {
        let disk = SimDisk::new();
        let backend = backend_on(&disk);
        let piece = vec![1; UNSYNCED_SIZE_MAX as usize / 4];
        for number in 0..9 {
            let before = disk.sync_count("/file");
            backend.write(number * piece.len() as u64, &piece).unwrap();
            let is_fourth = number % 4 == 3;
            assert_eq!(disk.sync_count("/file") - before, usize::from(is_fourth));
        }
    }

    #[test]
    fn a_write_that_meets_a_full_disk_gets_what_was_reserved() {
        let disk = SimDisk::new();
        let backend = backend_on(&disk);
        let own: Arc<dyn Disk> = Arc::new(disk.clone());
        backend.reserve.take(&own, "/file".as_ref(), 8192).unwrap();
        disk.leave_space(0);
        backend.write(0, &[1; 8192]).unwrap();
        backend.sync_data().unwrap();
        assert_eq!(backend.closed.cause(), None);
        backend.write(8192, &[1; 4096]).unwrap_err();
        assert_eq!(backend.closed.cause(), Some(Cause::Full));
        disk.mend();
        assert!(backend.write(0, b"late").is_err() && backend.sync_data().is_err());
    }

    #[test]
    fn nothing_is_written_after_a_failure() {
        for call in [Call::Write, Call::Sync] {
            let disk = SimDisk::new();
            let backend = backend_on(&disk);
            disk.fail(call, "/file", 1);
            let failed = backend.write(0, b"lost").and_then(|()| backend.sync_data());
            assert!(failed.is_err());
            assert!(backend.write(0, b"late").is_err());
            assert!(backend.sync_data().is_err());
            assert!(backend.set_len(4096).is_err());
            assert_eq!(disk.sync_count("/file"), 0);
        }
    }
}
