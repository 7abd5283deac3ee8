//! A [`DiskFile`] as redb's storage.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use quorate_disk::{DiskFile, is_out_of_space};
use redb::StorageBackend;

use crate::{space_reservation::SpaceReservation, throttle::IoThrottle};

/// How many bytes are written between syncs. Otherwise a checkpoint of a gigabyte would leave all
/// of it to one sync, and a sync of the Raft log on the same disk would wait for that.
const UNSYNCED_SIZE_MAX: u64 = 512 * 1024;

/// Writes at a limited speed, and never again after a failure. When the disk is full, it releases
/// the reserved space and retries.
///
/// It must reject later calls itself, because redb ignores some failed writes. Such a failure may
/// hide a failed sync, after which no sync may succeed.
#[derive(Debug)]
pub(crate) struct FileBackend {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) unsynced_size: AtomicU64,
    pub(crate) closed: CloseState,
    pub(crate) throttle: Arc<IoThrottle>,
    pub(crate) reservation: Arc<SpaceReservation>,
}

/// Whether a file must not be used any more, and why.
#[derive(Debug, Clone, Default)]
pub(crate) struct CloseState(Arc<Mutex<Option<CloseReason>>>);

/// Why a file is closed. If there are several reasons, the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CloseReason {
    /// A call failed, or the file is not needed any more.
    Failed,
    /// redb panicked on a page.
    Damaged,
    /// The disk was full in a write, not in a sync: the file itself is undamaged.
    Full,
}

impl CloseState {
    pub(crate) fn set(&self, reason: CloseReason) {
        let mut closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = closed.max(Some(reason));
    }

    pub(crate) fn reason(&self) -> Option<CloseReason> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check(&self) -> io::Result<()> {
        match self.reason() {
            None => Ok(()),
            Some(_) => Err(io::Error::other("closed after a failure")),
        }
    }
}

impl FileBackend {
    /// Runs a write. When the disk is full, releases the reserved space and runs it again.
    fn change(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        self.closed.check()?;
        let result = match work() {
            Err(error) if is_out_of_space(&error) && self.reservation.release() => work(),
            result => result,
        };
        result.inspect_err(|error| {
            self.closed.set(match is_out_of_space(error) {
                true => CloseReason::Full,
                false => CloseReason::Failed,
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
        // After any error: what the sync should have made durable may be lost.
        self.file
            .sync_data()
            .inspect_err(|_| self.closed.set(CloseReason::Failed))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.file.write_at(data, offset))?;
        let size = data.len() as u64;
        if self.unsynced_size.fetch_add(size, Ordering::Relaxed) + size >= UNSYNCED_SIZE_MAX {
            self.sync_data()?;
        }
        self.throttle.pause_if_due();
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
            closed: CloseState::default(),
            throttle: Arc::default(),
            reservation: Arc::default(),
        }
    }

    #[test]
    fn writes_are_synced_before_many_bytes_are_unsynced() {
        let disk = SimDisk::new();
        let backend = backend_on(&disk);
        let bytes = vec![1; UNSYNCED_SIZE_MAX as usize / 4];
        for number in 0..9 {
            let before = disk.sync_count("/file");
            backend.write(number * bytes.len() as u64, &bytes).unwrap();
            let is_fourth = number % 4 == 3;
            assert_eq!(disk.sync_count("/file") - before, usize::from(is_fourth));
        }
    }

    #[test]
    fn a_write_on_a_full_disk_gets_the_reserved_space() {
        let disk = SimDisk::new();
        let backend = backend_on(&disk);
        let dyn_disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let reserved = backend
            .reservation
            .acquire(&dyn_disk, "/file".as_ref(), 8192);
        reserved.unwrap();
        disk.leave_space(0);
        backend.write(0, &[1; 8192]).unwrap();
        backend.sync_data().unwrap();
        assert_eq!(backend.closed.reason(), None);
        backend.write(8192, &[1; 4096]).unwrap_err();
        assert_eq!(backend.closed.reason(), Some(CloseReason::Full));
        disk.clear_faults();
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
