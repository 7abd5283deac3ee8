//! Disk space that is reserved before it is needed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_disk::{Disk, DiskFile, OpenMode};

/// Reserved space for a file that redb writes. It is in a second file, because the pages that redb
/// will write are not known in advance. When a write finds the disk full, the space is released and
/// the write is retried.
#[derive(Debug, Default)]
pub(crate) struct SpaceReservation(Mutex<Option<ReservedSpace>>);

/// Releases its space when it is dropped.
#[derive(Debug)]
struct ReservedSpace {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    size: u64,
}

impl SpaceReservation {
    /// Reserves `size` bytes for the file at `path`, instead of any reserved before.
    pub(crate) fn acquire(&self, disk: &Arc<dyn Disk>, path: &Path, size: u64) -> io::Result<()> {
        self.release();
        let path = reserve_path(path);
        let space = ReservedSpace {
            file: disk.open(&path, OpenMode::Create)?,
            disk: disk.clone(),
            path,
            size,
        };
        space.file.reserve(size)?;
        *self.space() = Some(space);
        Ok(())
    }

    /// The number of reserved bytes.
    pub(crate) fn size(&self) -> u64 {
        self.space().as_ref().map_or(0, |space| space.size)
    }

    /// Releases the reserved space. Returns false when there was none.
    pub(crate) fn release(&self) -> bool {
        self.space().take().is_some()
    }

    fn space(&self) -> MutexGuard<'_, Option<ReservedSpace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReservedSpace {
    fn drop(&mut self) {
        // If this fails, the next start removes the file.
        let _ = self.file.set_size(0);
        let _ = self.disk.remove(&self.path);
    }
}

/// The path of the file with the space reserved for the file at `path`.
pub(crate) fn reserve_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".reserve");
    name.into()
}

#[cfg(test)]
mod tests {
    use quorate_sim::SimDisk;

    use super::*;

    #[test]
    fn reserved_space_is_released() {
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let reservation = SpaceReservation::default();
        sim.leave_space(4096);
        assert!(reservation.acquire(&disk, "/file".as_ref(), 4097).is_err());
        assert!(sim.files().is_empty() && !reservation.release());
        reservation.acquire(&disk, "/file".as_ref(), 4096).unwrap();
        assert_eq!(sim.used_space(), 4096);
        assert!(reservation.release() && !reservation.release());
        assert_eq!((sim.used_space(), sim.files().len()), (0, 0));
    }
}
