//! The simulated disk.

use std::{
    ffi::OsString,
    hash::{DefaultHasher, Hash, Hasher},
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard},
};

use quorate_disk::{Disk, DiskFile, OpenMode};

use crate::{
    Call,
    file::SimFile,
    names::{dir_of, normalize},
    shared::Shared,
    state::{Medium, State},
    trace::{NameChange, Operation},
};

/// A simulated disk in memory. A clone is the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk(pub(crate) Arc<Shared>);

impl SimDisk {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_state(state: State) -> Self {
        Self(Arc::new(Shared::new(state)))
    }

    /// The number of operations since the disk was created, or since
    /// [`make_durable`](Self::make_durable). This is also the last boundary. Reads are not counted.
    #[must_use]
    pub fn boundaries(&self) -> usize {
        self.0.state().trace.len()
    }

    /// As [`boundaries`](Self::boundaries), or `None` after the process was killed: what it does then
    /// is at no boundary.
    #[must_use]
    pub fn boundaries_if_alive(&self) -> Option<usize> {
        let state = self.0.state();
        (!state.dead).then(|| state.trace.len())
    }

    /// Makes everything durable and clears the trace of operations.
    pub fn make_durable(&self) {
        self.0.state().make_durable();
    }

    /// Kills the process, and returns the same disk for a new process. Written bytes are visible,
    /// but a power loss may still lose unsynced ones. All handles of the old process fail, and its
    /// locks are released.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut dead = self.0.state();
        let mut state = mem::take(&mut *dead);
        dead.dead = true;
        state.locks.clear();
        state.open.clear();
        state.faults.waiting_sync_count = 0;
        self.0.changed.notify_all();
        Self::from_state(state)
    }

    /// All files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.0.state();
        state
            .visible
            .names
            .files()
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// The content of a file, as a process reads it.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.0.state();
        let file = state.visible.names.file(path.as_ref())?;
        Ok(state.content(file).to_vec())
    }

    /// A hash over all names and contents, as a process reads them.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let state = self.0.state();
        let mut hasher = DefaultHasher::new();
        for (path, file) in state.visible.names.files() {
            path.hash(&mut hasher);
            let content = state.content(file);
            content.size().hash(&mut hasher);
            for sector in content.sectors() {
                sector.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// How many syncs of files under a path succeeded. The name that a file had at its sync counts.
    #[must_use]
    pub fn sync_count(&self, under: impl AsRef<Path>) -> usize {
        let state = self.0.state();
        let counts = state.sync_counts.iter();
        let under = normalize(under.as_ref());
        counts
            .filter(|(path, _)| path.starts_with(&under))
            .map(|(_, count)| count)
            .sum()
    }

    /// Makes the `nth` call from now on files under `under` fail, counted from 1. The empty path
    /// means all files.
    pub fn fail(&self, call: Call, under: impl AsRef<Path>, nth: usize) {
        self.0
            .state()
            .faults
            .add(call, &normalize(under.as_ref()), nth, false);
    }

    /// As [`SimDisk::fail`], but all later calls fail too, until [`SimDisk::clear_faults`].
    pub fn fail_from(&self, call: Call, under: impl AsRef<Path>, nth: usize) {
        self.0
            .state()
            .faults
            .add(call, &normalize(under.as_ref()), nth, true);
    }

    /// Limits the space of all files together, including existing ones, to `size` bytes. A write
    /// beyond it is done in part and fails. Holes use no space.
    pub fn limit_space(&self, size: u64) {
        self.0.state().faults.space = Some(size);
    }

    /// Limits the space so that `size` bytes are free.
    pub fn leave_space(&self, size: u64) {
        let mut state = self.0.state();
        state.faults.space = Some(state.used_space() + size);
    }

    /// Leaves no free space, even after files are removed, as if another process used it up.
    pub fn fill(&self) {
        self.limit_space(0);
    }

    /// The space that all files use, in bytes.
    #[must_use]
    pub fn used_space(&self) -> u64 {
        self.0.state().used_space()
    }

    /// Removes all injected failures and the space limit. Bytes that a failed sync dropped stay
    /// lost.
    pub fn clear_faults(&self) {
        self.0.state().faults.clear();
    }

    /// Blocks syncs of files under `under` until [`SimDisk::release_syncs`]. Each sync makes
    /// durable what was written before it was called.
    pub fn block_syncs(&self, under: impl AsRef<Path>) {
        self.0.state().faults.syncs_blocked_under = Some(normalize(under.as_ref()));
    }

    pub fn release_syncs(&self) {
        self.0.state().faults.syncs_blocked_under = None;
        self.0.changed.notify_all();
    }

    /// Waits until `count` syncs are blocked.
    pub fn wait_for_blocked_syncs(&self, count: usize) {
        let mut state = self.0.state();
        while state.faults.waiting_sync_count < count {
            state = self.0.wait(state);
        }
    }

    /// Locks the state. Fails when the process is dead.
    fn lock_alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.0.state();
        state.check_alive()?;
        Ok(state)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_alive()?;
        let file = match (state.visible.names.file(path), mode) {
            (Ok(_), OpenMode::CreateSecret) => Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), OpenMode::Create | OpenMode::CreateSecret)
                if error.kind() == io::ErrorKind::NotFound =>
            {
                state.create_file(path)
            }
            (found, _) => found,
        }?;
        Ok(Arc::new(SimFile {
            shared: self.0.clone(),
            file,
            handle: state.open(file),
            writable: mode != OpenMode::Read,
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.lock_alive()?.visible.names.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.lock_alive()?.create_dir(dir)?;
        let parents = dir.ancestors().skip(1);
        parents
            .filter(|dir| !dir.as_os_str().is_empty())
            .try_for_each(|dir| self.sync_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_alive()?;
        let (from, to) = (normalize(from), normalize(to));
        state.visible.names.file(&from)?;
        // After a power loss it is not defined which of two directories has the name.
        if dir_of(&from) != dir_of(&to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        state.change_names(NameChange::Rename { from, to })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.lock_alive()?.visible.names.file(&normalize(to)) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => self.rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_alive()?;
        let path = normalize(path);
        state.visible.names.file(&path)?;
        state.change_names(NameChange::Remove { path })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock_alive()?;
        let dir = normalize(dir);
        state.visible.names.check_dir(&dir)?;
        state.faults.check(Call::SyncDir, &dir)?;
        state.trace.push(Operation::SyncDir { dir });
        Ok(())
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let state = self.lock_alive()?;
        state.visible.names.check_dir(dir)?;
        Ok(state.free_space())
    }
}

impl From<Medium> for SimDisk {
    fn from(medium: Medium) -> Self {
        Self::from_state(State::from_medium(medium))
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
