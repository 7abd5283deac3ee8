//! An open file of the simulated disk.

use std::{io, sync::Arc};

use quorate_disk::{DiskFile, SECTOR_SIZE};

use crate::{Call, shared::Shared, state::State, trace::FileId};

/// A handle of a file. It refers to the same file after a rename.
#[derive(Debug)]
pub(crate) struct SimFile {
    pub(crate) shared: Arc<Shared>,
    pub(crate) file: FileId,
    pub(crate) handle: u64,
    pub(crate) writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// Syncs the file. Waits while its syncs are blocked.
    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state();
        state.check_alive()?;
        // The sync does not cover what is written while it is blocked.
        let covers = state.operations_before_trace + state.trace.len();
        let is_blocked = |state: &State| {
            !state.dead
                && state
                    .faults
                    .blocks_sync(&state.visible.names.path(self.file))
        };
        if is_blocked(&state) {
            state.faults.waiting_sync_count += 1;
            self.shared.changed.notify_all();
            while is_blocked(&state) {
                state = self.shared.wait(state);
            }
            let count = &mut state.faults.waiting_sync_count;
            *count = count.saturating_sub(1);
        }
        state.check_alive()?;
        state.sync(self.file, covers)
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let state = self.shared.state();
        state.check_alive()?;
        Ok(state.size(self.file) as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.check_alive()?;
        let path = state.visible.names.path(self.file);
        state.faults.check(Call::Read, &path)?;
        match state.content(self.file).read(to_usize(offset)?, buffer) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.check_alive()?;
        self.check_writable()?;
        state.write(self.file, to_usize(offset)?, bytes)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.check_alive()?;
        self.check_writable()?;
        state.set_size(self.file, to_usize(size)?)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.check_writable()?;
        let (size, old_size) = (to_usize(size)?, to_usize(self.size()?)?);
        if old_size >= size {
            return Ok(());
        }
        // In two steps, because a power loss may leave a part of it.
        let half = (old_size + (size - old_size) / 2).next_multiple_of(SECTOR_SIZE);
        for size in [half.min(size), size] {
            let mut state = self.shared.state();
            state.check_alive()?;
            state.extend(self.file, size)?;
        }
        self.sync()
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut state = self.shared.state();
        state.check_alive()?;
        self.check_writable()?;
        let size = to_usize(size)?;
        match state.size(self.file) >= size {
            true => Ok(()),
            false => state.extend(self.file, size),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn mode(&self) -> io::Result<u32> {
        self.shared.state().check_alive()?;
        Ok(0o600)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.shared.state();
        state.check_alive()?;
        let holder = state.locks.entry(self.file).or_insert(self.handle);
        Ok(*holder == self.handle)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.shared.state().close(self.file, self.handle);
    }
}

fn to_usize(size: u64) -> io::Result<usize> {
    usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge.into())
}
