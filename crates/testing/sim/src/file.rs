//! An open file of the disk in memory.

use std::{io, sync::Arc};

use quorate_disk::{DiskFile, SECTOR_SIZE};

use crate::{Call, shared::Shared, state::State, trace::FileId};

/// A handle of a file. It stays that of the file when the name passes on.
#[derive(Debug)]
pub(crate) struct SimFile {
    pub(crate) shared: Arc<Shared>,
    pub(crate) file: FileId,
    pub(crate) handle: u64,
    pub(crate) writable: bool,
}

impl SimFile {
    fn expect_writable(&self) -> io::Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Syncs as soon as the gate is open.
    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        // What is written from here on may miss it.
        let covers = state.settled + state.trace.len();
        let held =
            |state: &State| !state.dead && state.faults.holds(&state.shown.names.path(self.file));
        if held(&state) {
            state.faults.waiting += 1;
            self.shared.changed.notify_all();
            while held(&state) {
                state = self.shared.wait(state);
            }
            state.faults.waiting = state.faults.waiting.saturating_sub(1);
        }
        state.expect_alive()?;
        state.sync(self.file, covers)
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let state = self.shared.state();
        state.expect_alive()?;
        Ok(state.size(self.file) as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        let path = state.shown.names.path(self.file);
        state.faults.check(Call::Read, &path)?;
        match state.content(self.file).read(in_memory(offset)?, buffer) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        self.expect_writable()?;
        state.write(self.file, in_memory(offset)?, bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        self.expect_writable()?;
        state.set_size(self.file, in_memory(size)?)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.expect_writable()?;
        let (size, old_size) = (in_memory(size)?, in_memory(self.size()?)?);
        if old_size >= size {
            return Ok(());
        }
        // In two steps, as the medium may keep a part of it.
        let half = (old_size + (size - old_size) / 2).next_multiple_of(SECTOR_SIZE);
        for size in [half.min(size), size] {
            let mut state = self.shared.state();
            state.expect_alive()?;
            state.extend(self.file, size)?;
        }
        self.sync()
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        self.expect_writable()?;
        let size = in_memory(size)?;
        match state.size(self.file) >= size {
            true => Ok(()),
            false => state.extend(self.file, size),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn mode(&self) -> io::Result<u32> {
        self.shared.state().expect_alive()?;
        Ok(0o600)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.shared.state();
        state.expect_alive()?;
        let holder = state.locks.entry(self.file).or_insert(self.handle);
        Ok(*holder == self.handle)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.shared.state().close(self.file, self.handle);
    }
}

fn in_memory(size: u64) -> io::Result<usize> {
    usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
