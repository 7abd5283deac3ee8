//! A minimal disk for tests that damage a file thousands of times.

use std::{
    ffi::OsString,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use quorate_disk::{Disk, DiskFile, OpenMode};

use crate::space_reservation::reserve_path;

/// A disk with one file, which is cheap to create. A reserve file can be opened but stores nothing.
#[derive(Debug, Clone)]
pub(crate) struct SingleFileDisk {
    path: &'static Path,
    content: Arc<Mutex<Vec<u8>>>,
}

impl SingleFileDisk {
    pub(crate) fn new(path: &'static str, content: &[u8]) -> Self {
        Self {
            path: Path::new(path),
            content: Arc::new(Mutex::new(content.to_vec())),
        }
    }

    pub(crate) fn content(&self) -> MutexGuard<'_, Vec<u8>> {
        self.content.lock().unwrap()
    }
}

impl Disk for SingleFileDisk {
    fn open(&self, path: &Path, _mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if path == reserve_path(self.path) {
            return Ok(Arc::new(Self::new("reserve", &[])));
        }
        assert_eq!(path, self.path);
        Ok(Arc::new(self.clone()))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        assert_ne!(path, self.path);
        Err(io::ErrorKind::NotFound.into())
    }
    fn list(&self, _dir: &Path) -> io::Result<Vec<OsString>> {
        unreachable!("not used")
    }
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        unreachable!("the directory exists")
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        unreachable!("there is one file")
    }
    fn rename_new(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        unreachable!("there is one file")
    }
    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        unreachable!("no name changes, so no directory is synced")
    }
    fn free_space(&self, _dir: &Path) -> io::Result<u64> {
        unreachable!("not used")
    }
}

impl DiskFile for SingleFileDisk {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content().len() as u64)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content();
        let from = content.get(offset as usize..).unwrap_or_default();
        let bytes = from.get(..buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut content, end) = (self.content(), offset as usize + bytes.len());
        let size = content.len().max(end);
        content.resize(size, 0);
        content[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }
    fn set_size(&self, size: u64) -> io::Result<()> {
        self.content().resize(size as usize, 0);
        Ok(())
    }
    fn allocate(&self, _size: u64) -> io::Result<()> {
        unreachable!("not used")
    }
    fn reserve(&self, _size: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn mode(&self) -> io::Result<u32> {
        unreachable!("not used")
    }
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
