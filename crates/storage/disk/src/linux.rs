//! The Linux file system, on which nodes run.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{CWD, FallocateFlags, RenameFlags, fallocate, renameat_with, statvfs},
    io::Errno,
};

use crate::{Disk, DiskFile, OpenMode, dir_of};

/// How many bytes [`DiskFile::allocate`] writes between syncs. Few, so that a sync of another file
/// waits only a short time.
const ALLOCATION_SIZE: usize = 1024 * 1024;

/// What [`DiskFile::allocate`] writes at a time. Linux keeps the bytes of one write in its cache as one piece, and
/// each later sync looks at every block of the piece, also if only one has changed.
static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

const SECRET_MODE: u32 = 0o600;

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinuxDisk;

impl Disk for LinuxDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::Read | OpenMode::Write => {}
            OpenMode::Create => drop(options.create(true)),
            OpenMode::CreateSecret => drop(options.create_new(true).mode(SECRET_MODE)),
        }
        Ok(Arc::new(LinuxFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(dir)?;
        // Also the parent of a directory that exists: its creator may have died before the sync.
        let parents = missing.iter().copied().chain([dir]).map(dir_of);
        parents.into_iter().try_for_each(|dir| self.sync_dir(&dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let space = statvfs(dir)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

#[derive(Debug)]
struct LinuxFile(File);

impl DiskFile for LinuxFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut end = self.size()?;
        while end < size {
            let sync_at = size.min(end + ALLOCATION_SIZE as u64);
            while end < sync_at {
                let count = (sync_at - end).min(ZEROS.len() as u64);
                self.0.write_all_at(&ZEROS[..count as usize], end)?;
                end += count;
            }
            self.0.sync_data()?;
        }
        Ok(())
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let old_size = self.size()?;
        if old_size >= size {
            return Ok(());
        }
        let extended = fallocate(&self.0, FallocateFlags::empty(), old_size, size - old_size);
        match extended {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.set_size(size),
            result => Ok(result?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(self.0.metadata()?.permissions().mode() & 0o777)
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_are_read_and_allocated_ones_are_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        LinuxDisk.open(&path, OpenMode::Write).unwrap_err();
        let file = LinuxDisk.open(&path, OpenMode::Create).unwrap();
        file.write_at(b"abc", 2).unwrap();
        file.allocate(ALLOCATION_SIZE as u64 + 7).unwrap();
        assert_eq!(file.size().unwrap(), ALLOCATION_SIZE as u64 + 7);
        let mut read = [9; 8];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"\0\0abc\0\0\0");
        let past_end = file.read_at(&mut read, ALLOCATION_SIZE as u64);
        assert_eq!(past_end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.allocate(3).unwrap();
        assert_eq!(file.size().unwrap(), ALLOCATION_SIZE as u64 + 7);
    }

    #[test]
    fn reserved_bytes_occupy_space_and_are_zeros() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = LinuxDisk.open(&path, OpenMode::Create).unwrap();
        file.write_at(b"abc", 0).unwrap();
        let size = ALLOCATION_SIZE as u64;
        file.reserve(size).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.len() == size && metadata.blocks() * 512 >= size);
        let mut read = [9; 4];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"abc\0");
        file.reserve(3).unwrap();
        assert_eq!(file.size().unwrap(), size);
        file.set_size(3).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < size);
    }

    #[test]
    fn only_one_open_file_can_hold_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let first = LinuxDisk.open(&path, OpenMode::Create).unwrap();
        let second = LinuxDisk.open(&path, OpenMode::Create).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
    }

    #[test]
    fn a_secret_file_is_created_once_and_only_its_owner_can_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let secret = LinuxDisk.open(&path, OpenMode::CreateSecret).unwrap();
        assert_eq!(secret.mode().unwrap(), SECRET_MODE);
        let second = LinuxDisk.open(&path, OpenMode::CreateSecret).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        let other = dir.path().join("other");
        LinuxDisk.open(&other, OpenMode::Create).unwrap();
        let taken = LinuxDisk.rename_new(&other, &path).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        LinuxDisk.remove(&path).unwrap();
        LinuxDisk.rename_new(&other, &path).unwrap();
        assert!(LinuxDisk.free_space(dir.path()).unwrap() > 0);
        assert_eq!(LinuxDisk.list(dir.path()).unwrap(), ["file"]);
    }
}
