//! Space that is taken before it is needed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quorate_disk::{Disk, DiskFile, OpenMode};

/// Space beside a file that redb writes, in a file of its own: which pages redb will write cannot be
/// told before. Given back when a write meets a full disk, which then is done once more.
#[derive(Debug, Default)]
pub(crate) struct Reserve(Mutex<Option<ReservedSpace>>);

/// Gives its space back when it is dropped.
#[derive(Debug)]
struct ReservedSpace {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    size: u64,
}

impl Reserve {
    /// Takes `size` bytes, in place of what is held.
    pub(crate) fn take(&self, disk: &Arc<dyn Disk>, beside: &Path, size: u64) -> io::Result<()> {
        self.give_back();
        let path = reserve_path(beside);
        let held = ReservedSpace {
            file: disk.open(&path, OpenMode::Create)?,
            disk: disk.clone(),
            path,
            size,
        };
        held.file.reserve(size)?;
        *self.held() = Some(held);
        Ok(())
    }

    /// How many bytes are held.
    pub(crate) fn size(&self) -> u64 {
        self.held().as_ref().map_or(0, |held| held.size)
    }

    /// Gives back what is held. False when that is nothing.
    pub(crate) fn give_back(&self) -> bool {
        self.held().take().is_some()
    }

    fn held(&self) -> MutexGuard<'_, Option<ReservedSpace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ReservedSpace {
    fn drop(&mut self) {
        // What fails here leaves a file that holds nothing: the next start removes it.
        let _ = self.file.set_size(0);
        let _ = self.disk.remove(&self.path);
    }
}

/// Where the space beside a file is held.
pub(crate) fn reserve_path(beside: &Path) -> PathBuf {
    let mut name = beside.as_os_str().to_owned();
    name.push(".reserve");
    name.into()
}

#[cfg(test)]
mod tests {
    use quorate_sim::SimDisk;

    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let sim = SimDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let reserve = Reserve::default();
        sim.leave_space(4096);
        assert!(reserve.take(&disk, "/file".as_ref(), 4097).is_err());
        assert!(sim.files().is_empty() && !reserve.give_back());
        reserve.take(&disk, "/file".as_ref(), 4096).unwrap();
        assert_eq!(sim.used_space(), 4096);
        assert!(reserve.give_back() && !reserve.give_back());
        assert_eq!((sim.used_space(), sim.files().len()), (0, 0));
    }
}
